#!/usr/bin/env bash
# Installs what the build needs and nothing that is there already. With apt (as root or through sudo) it
# installs; elsewhere it prints the line to run and fails.
set -eu

missing=()
probe() { # probe <package> <test command...>
  local package=$1; shift
  "$@" >/dev/null 2>&1 || missing+=("$package")
}
compiles() { # compiles <header> <library>
  printf '#include <stddef.h>\n#include <%s>\nint main(void){return 0;}\n' "$1" |
    "${CC:-cc}" ${CPPFLAGS:-} -x c - -o /dev/null ${LDFLAGS:-} "-l$2"
}
if [ "$(uname -s)" = Darwin ]; then
  for d in /opt/homebrew /usr/local; do
    [ -d "$d/opt/openblas" ] || continue
    CPPFLAGS="-I$d/include -I$d/opt/openblas/include ${CPPFLAGS:-}"
    LDFLAGS="-L$d/lib -L$d/opt/openblas/lib ${LDFLAGS:-}"
  done
fi
probe sqlite3 sqlite3 -version
probe libsqlite3-dev compiles sqlite3.h sqlite3
probe libopenblas-dev compiles cblas.h openblas
probe libcurl4-openssl-dev compiles curl/curl.h curl
probe libcjson-dev compiles cjson/cJSON.h cjson
[ ${#missing[@]} -eq 0 ] && exit 0

echo "rec: missing: ${missing[*]}" >&2
if command -v apt-get >/dev/null; then
  sudo=; [ "$(id -u)" -eq 0 ] || sudo=sudo
  if [ -n "$sudo" ] && ! command -v sudo >/dev/null; then
    echo "rec: run as root: apt-get install -y ${missing[*]}" >&2; exit 1
  fi
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq "${missing[@]}" >/dev/null
elif command -v brew >/dev/null; then
  echo "rec: run: brew install sqlite openblas curl cjson" >&2; exit 1
elif command -v dnf >/dev/null; then
  echo "rec: run: sudo dnf install sqlite sqlite-devel openblas-devel libcurl-devel cjson-devel" >&2; exit 1
elif command -v pacman >/dev/null; then
  echo "rec: run: sudo pacman -S sqlite openblas curl cjson" >&2; exit 1
else
  echo "rec: install SQLite, OpenBLAS, libcurl and cJSON with their headers" >&2; exit 1
fi

# Sourced: load_gowalla <db> makes the ordinary tables that a user would have, if they are not there yet.
gowalla=../shared/data/gowalla
load_gowalla() {
  local db=$1
  [ -f "$db" ] && return
  for part in train test; do
    awk '{ for (i = 2; i <= NF; i++) print $1 "," $i }' $gowalla/$part.txt >"$db.$part.csv"
  done
  rm -f "$db.tmp"
  sqlite3 -batch -init /dev/null "$db.tmp" <<SQL
CREATE TABLE checkins(user INTEGER, item INTEGER); CREATE TABLE test(user INTEGER, item INTEGER, PRIMARY KEY(user, item)) WITHOUT ROWID;
.mode csv
.import "$db.train.csv" checkins
.import "$db.test.csv" test
CREATE INDEX checkins_user ON checkins(user);
SQL
  rm -f "$db.train.csv" "$db.test.csv"
  mv "$db.tmp" "$db"
}

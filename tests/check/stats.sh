#!/usr/bin/env bash
# Function lengths and comment share of every source file (lines, functions, median, p90 and longest function,
# per cent of lines that are comment). Reads files as clang-format leaves them: a function body opens with a line
# that ends in '{' after a head in column 0, and closes with '}' in column 0.
set -eu
cd "$(dirname "$0")/../.."
files=("$@")
[ ${#files[@]} -gt 0 ] || mapfile -t files < <(ls ext/*.c ext/*/*.c | grep -v '^ext/vendor/')
awk '
function flush_file(   i, j, t, median, p90, longest, kind) {
    if (file == "") return
    for (i = 2; i <= n_fn; i++) { # insertion sort, short lists
        t = len[i]
        for (j = i - 1; j > 0 && len[j] > t; j--) len[j + 1] = len[j]
        len[j + 1] = t
    }
    median = n_fn ? len[int((n_fn + 1) / 2)] : 0
    p90 = n_fn ? len[int((n_fn * 9 + 9) / 10)] : 0
    longest = n_fn ? len[n_fn] : 0
    for (i = 1; i <= n_fn; i++) all[++n_all] = len[i]
    printf "%-36s %6d %5d %7d %5d %5d %7d%%  %s\n", file, lines, n_fn, median, p90, longest, \
        (lines ? 100 * comments / lines : 0), (longest > 80 ? longest_name : "")
    sum_lines += lines; sum_comments += comments
}
function start_file() { file = FILENAME; lines = comments = n_fn = in_comment = in_fn = top = 0; longest_name = ""; best = 0; split("", len) }
BEGIN { printf "%-36s %6s %5s %7s %5s %5s %8s\n", "file", "lines", "fns", "median", "p90", "max", "comment" }
FNR == 1 { flush_file(); start_file() }
{
    lines++
    if (in_comment || $0 ~ /^[ \t]*(\/\*|\/\/)/) comments++
    if (!in_comment && $0 ~ /^[ \t]*\/\*/) { if ($0 !~ /\*\//) in_comment = 1 }
    else if (in_comment && $0 ~ /\*\//) in_comment = 0
    if (in_comment) next
    # A head starts in column 0 with a name and is no declaration of data; it may go over several lines.
    if (!in_fn && $0 ~ /^[A-Za-z_]/) { head = $0; head_line = FNR }
    else if (!in_fn && head != "" && $0 ~ /^[ \t]+[^ \t]/) head = head " " $0
    if (!in_fn && head ~ /\) *\{$/ && head !~ /^(struct|enum|union|typedef|static_assert)[^(]*\{$/ && head !~ /= *\{$/) {
        in_fn = 1; first = head_line; name = head
        sub(/ *\(.*/, "", name); sub(/.*[ *]/, "", name); head = ""
    } else if (!in_fn && head ~ /[;{}]$/) head = ""
    else if (in_fn && $0 ~ /^\}/) {
        len[++n_fn] = FNR - first + 1; in_fn = 0
        if (len[n_fn] > best) { best = len[n_fn]; longest_name = name }
    }
}
END {
    flush_file()
    # Counting sort: lengths are small numbers.
    for (i = 1; i <= n_all; i++) { count[all[i]]++; if (all[i] > top_len) top_len = all[i] }
    seen = 0; median = p90 = 0
    for (l = 1; l <= top_len; l++) {
        seen += count[l]
        if (!median && seen * 2 >= n_all) median = l
        if (!p90 && seen * 10 >= n_all * 9) p90 = l
    }
    printf "%-36s %6d %5d %7d %5d %5d %7d%%\n", "all", sum_lines, n_all, median, p90, top_len, (sum_lines ? 100 * sum_comments / sum_lines : 0)
}' "${files[@]}"

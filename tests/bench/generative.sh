#!/usr/bin/env bash
# generative.sh - the next item on Amazon Beauty (22,363 users, 12,101 items), beside what was published.
#   generative.sh [case ...]
#   BENCH_SEEDS="1 2 3"   mean and spread are over these; BENCH_PART=5  every fifth user, which compares with nothing
#   BENCH_THREADS=2
#
# Protocol: leave-one-out in file order, item ids relabelled at random by the seed, all items but the history ranked, equal
# scores in the order of a hash (tests/bench/generative.c). `protocol` keeps back the newest training item of every user, as
# the published figures do; `default` that of a tenth, and learns from the others.
set -eu -o pipefail
cd "$(dirname "$0")/../.."
data=${BENCH_BEAUTY:-../shared/data/beauty/Beauty.txt}
bench=build/release/bench/generative
[ -f "$data" ] || { echo "no $data: nothing measured"; exit 0; }
make --no-print-directory -s -j2 $bench >&2

# case | algorithm and options | published Recall@10 / NDCG@10 | goal
cases=$(cat <<'TABLE'
popularity | popularity | .0152 / .0068 |
itemknn    | itemknn | |
protocol   | sequence validation=1 | SASRec-CE .0897 / .0539, SASRec .0605 / .0318 | .0897 / .0539
default    | sequence | | .0897 / .0539
TABLE
)
echo "| case | options | published | goal | Recall@10 / NDCG@10 | spread | fit, CPU s |"
echo "|---|---|---|---|---|---|---|"
echo "$cases" | while IFS='|' read -r name options published goal; do
  name=$(echo $name)
  [ $# = 0 ] || [[ " $* " == *" $name "* ]] || continue
  for seed in ${BENCH_SEEDS:-1 2 3}; do
    # shellcheck disable=SC2086  # options are words
    OPENBLAS_NUM_THREADS=${BENCH_THREADS:-2} $bench --data "$data" --part "${BENCH_PART:-1}" --threads "${BENCH_THREADS:-2}" \
      --seed "$seed" $options
  done | awk -F, -v n="$name" -v o="$(echo $options)" -v p="$(echo $published)" -v g="$(echo $goal)" '
    { r += $7; d += $8; rr += $7 * $7; dd += $8 * $8; s += $10; k++ }
    function spread(sum, square) { v = square / k - (sum / k) ^ 2; return v > 0 ? sqrt(v) : 0 }
    END { printf "| %s | `%s` | %s | %s | %.4f / %.4f | %.4f / %.4f | %.0f |\n", n, o, p, g, r / k, d / k, spread(r, rr), spread(d, dd), s / k }'
done

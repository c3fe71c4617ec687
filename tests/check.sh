#!/bin/bash
# Runs all tests of a build and ends with one line: N passed, N failed, N skipped.
#
# usage: check.sh BUILD [pytest arguments]
#
# Unit tests are cmocka programs, fuzz targets replay their seed corpus, interop and end-to-end tests
# are pytest's. A group that cannot run at all counts as a failure.
set -u

build=$(cd "${1:-build}" && pwd) || exit 2
shift
cd "$(dirname "$0")/.." || exit 2
export NACRE_BUILD=$build
passed=0 failed=0 skipped=0

report() {
	printf '\n== %s\n' "$*"
}

# The tests that have such a line; cmocka names them where they run and again at the end.
named() {
	printf '%s\n' "$output" | grep "^\[ *$1 *\] " | grep -v 'test(s)' | sort -u
}

# cmocka's own count is taken, so that one program with ten tests counts as ten.
report "unit tests"
for test in "$build"/tests/test_*; do
	[ -x "$test" ] && [ -f "$test" ] || continue
	name=$(basename "$test")
	output=$(timeout 300 "$test" 2>&1)
	status=$?
	ok=$(printf '%s\n' "$output" | grep -c '^\[       OK \]')
	bad=$(named FAILED | wc -l)
	skip=$(named SKIPPED | wc -l)
	[ $((ok + bad + skip)) -gt 0 ] || bad=1
	if [ $status -ne 0 ]; then
		# Ended by a signal or by the time limit: the test that ran then has no line.
		if [ "$bad" -eq 0 ] || [ $status -ge 124 ]; then bad=$((bad + 1)); fi
		printf '%s\n' "$output" | tail -40
	fi
	printf '%-32s %4d passed %4d failed %4d skipped\n' "$name" "$ok" "$bad" "$skip"
	named SKIPPED
	passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
done

report "fuzz corpora"
for target in "$build"/fuzz/fuzz_*; do
	[ -x "$target" ] || continue
	name=$(basename "$target")
	if output=$(timeout 120 "$target" "tests/fuzz/corpus/${name#fuzz_}" 2>&1); then
		passed=$((passed + 1))
		printf '%-32s passed\n' "$name"
	else
		failed=$((failed + 1))
		printf '%-32s FAILED\n%s\n' "$name" "$(printf '%s\n' "$output" | tail -20)"
	fi
done

report "interop and end to end"
summary=$(mktemp)
/usr/bin/python3 -m pytest -q -p no:cacheprovider -n "${NACRE_TEST_JOBS:-4}" -rfEs \
    --junitxml="$summary" tests/interop "$@" || [ -s "$summary" ] || failed=$((failed + 1))
read -r tests bad skip < <(/usr/bin/python3 - "$summary" <<'EOF'
import sys
import xml.etree.ElementTree as tree

try:
    suites = list(tree.parse(sys.argv[1]).getroot().iter('testsuite'))
except (tree.ParseError, OSError):
    suites = []


def total(name):
    return sum(int(suite.get(name, 0)) for suite in suites)


print(total('tests'), total('failures') + total('errors'), total('skipped'))
EOF
)
rm -f "$summary"
passed=$((passed + tests - bad - skip)) failed=$((failed + bad)) skipped=$((skipped + skip))
[ "$tests" -gt 0 ] || failed=$((failed + 1))

echo
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]

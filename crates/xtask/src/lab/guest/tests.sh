# Runs the programs of the boot, and tells of skipped tests and of the end.
export HOME=/root TMPDIR=/tmp RUST_BACKTRACE=0 DHOW_SKIPS=/tmp/skips DHOW_BIN=/lab/dhow
export CONFORMANCE_PROBE=/lab/dhow-conformance/conformance-probe

# run_tests THREADS PROGRAM FILTER...: a test that fails is tried again, alone and twice, as on the
# host; where it passes then, it is named as flaky.
run_tests() {
    threads=$1 program=$2
    shift 2
    { "$program" --test-threads "$threads" "$@" 2>&1; echo $? >/tmp/code; } | tee /tmp/words
    for name in $(failed_tests /tmp/words); do
        try_again "$name" || try_again "$name"
    done
    echo
    echo "@@ ended with $(cat /tmp/code)"
}

# The names below the last "failures:" of a runner.
failed_tests() {
    awk '/^failures:$/ { names = "" } /^    [a-z0-9_:]+$/ { names = names $1 "\n" }
         END { printf "%s", names }' "$1"
}

try_again() {
    if "$program" --test-threads 1 --exact "$1" >/tmp/again 2>&1; then
        echo "@@ flaky: $1"
    else
        sed 's/^test result:/again:/' /tmp/again
        return 1
    fi
}

. /lab/boot.sh
echo
[ -f "$DHOW_SKIPS" ] && sed 's/^/skipped: /' "$DHOW_SKIPS"
echo '@@ end'

# Runs the programs of the boot, and tells of skipped tests and of the end.
export HOME=/root TMPDIR=/tmp RUST_BACKTRACE=0 DHOW_SKIPS=/tmp/skips DHOW_BIN=/lab/dhow
export CONFORMANCE_PROBE=/lab/dhow-conformance/conformance-probe
. /lab/boot.sh
echo
[ -f "$DHOW_SKIPS" ] && sed 's/^/skipped: /' "$DHOW_SKIPS"
echo '@@ end'

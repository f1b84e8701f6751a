#!/bin/sh
# Runs the tests of a build: ctest, then pytest with the real Keras beside it.
# Arguments: the build folder, then the pytest files (default: all).
# With KP_REQUIRE_LIVE=1 a missing Python environment is a failure; otherwise it is said in a line.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
build=$1
shift
[ $# -gt 0 ] || set -- tests
case $build in /*) ;; *) build=$top/$build ;; esac
(cd "$build" && ctest --output-on-failure -j "$(nproc)")

python=$top/.venv/bin/python
if [ ! -x "$python" ]; then
    if [ "${KP_REQUIRE_LIVE:-0}" = 1 ]; then
        echo "check: no .venv; run tools/make_venv" >&2
        exit 1
    fi
    echo "check: left out the comparison with the real Keras: no .venv (make deps sets it up)"
    exit 0
fi
cd "$top"
KP_BUILD_DIR=$build TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES= PYTHONDONTWRITEBYTECODE=1
export KP_BUILD_DIR TF_CPP_MIN_LOG_LEVEL CUDA_VISIBLE_DEVICES PYTHONDONTWRITEBYTECODE
run() {
    "$python" -m pytest -q --disable-warnings -p no:cacheprovider "$@"
}
# Comparisons with Keras run side by side; what starts and kills processes has the machine alone.
folders="tests/parity tests/keras tests/backend tests/hostile tests/verify"
beside="" alone=""
for path in "$@"; do
    case $path in
    tests)
        beside=$folders alone="$alone tests"
        for folder in $folders; do alone="$alone --ignore=$folder"; done
        ;;
    tests/parity* | tests/keras* | tests/backend* | tests/hostile* | tests/verify*)
        beside="$beside $path"
        ;;
    *) alone="$alone $path" ;;
    esac
done
# shellcheck disable=SC2086
[ -z "$alone" ] || run $alone
# shellcheck disable=SC2086
[ -z "$beside" ] || run -n "$(nproc)" $beside

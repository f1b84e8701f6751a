#!/bin/sh
# What is too long for every change: the long pytest marks, other random cases every day (also with
# the newest Keras), and each fuzz target for a minute.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
build=$1
case $build in /*) ;; *) build=$top/$build ;; esac
cd "$top"
KP_LONG=1 KP_BUILD_DIR=$build TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES= \
    .venv/bin/python -m pytest -q -p no:cacheprovider -m long tests
newest=$top/.venv-newest
/usr/bin/python3 -m venv "$newest"
"$newest/bin/pip" install -q --disable-pip-version-check --upgrade tensorflow-cpu keras numpy pillow h5py \
    pytest pytest-xdist
for python in .venv "$newest"; do
    KP_LONG=1 KP_BUILD_DIR=$build TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES= \
        "$python/bin/python" -m pytest -q --disable-warnings -p no:cacheprovider -n "$(nproc)" \
        tests/parity/test_parity_cases.py
done
tools/install_deps fuzz
make -s fuzz BUILD="$1"
for target in "$build"-fuzz/fuzz/fuzz_*; do
    name=$(basename "$target")
    corpus=$(mktemp -d)
    "$target" -max_total_time="${KP_FUZZ_SECONDS:-60}" -rss_limit_mb=2048 -print_final_stats=0 \
        "$corpus" "tests/fuzz/corpus/$name"
    rm -rf "$corpus"
done

"""What the end-to-end tests share: the build folder, running the command, process hygiene."""

import os
import pathlib
import subprocess
import time

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# What TensorFlow computes must not depend on the processor: without oneDNN, its default on some, windows
# in 3 dimensions whose stride skips cells start elsewhere, and dilated transposed convolutions fail.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

TOP = pathlib.Path(__file__).resolve().parents[1]


def pytest_configure(config):
    config.addinivalue_line("markers", "long: nightly size; runs with `make check-long`")


def pytest_collection_modifyitems(config, items):
    if os.environ.get("KP_LONG"):
        return
    skip = pytest.mark.skip(reason="nightly size; make check-long")
    for item in items:
        if "long" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def build():
    return pathlib.Path(os.environ.get("KP_BUILD_DIR", TOP / "build")).resolve()


@pytest.fixture(scope="session")
def kpredict(build):
    """Runs the command and gives the finished process; never raises on its exit status."""

    def run(*args, timeout=120, **kwargs):
        return subprocess.run(
            [build / "kpredict", *map(str, args)],
            capture_output=True, text=True, timeout=timeout, **kwargs,
        )

    return run


def helper_processes(build):
    """pid -> name of every living kp-worker and kp-device that runs from this build."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            exe = os.readlink(entry / "exe").removesuffix(" (deleted)")
        except OSError:
            continue
        if exe in (str(build / "kp-worker"), str(build / "kp-device")):
            found[int(entry.name)] = pathlib.Path(exe).name
    return found


def assert_nothing_left(build, within_s=1.0):
    end = time.monotonic() + within_s
    while (left := helper_processes(build)) and time.monotonic() < end:
        time.sleep(0.02)
    assert not left, f"still running: {left}"

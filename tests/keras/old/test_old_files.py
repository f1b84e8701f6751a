"""Files that older versions of Keras wrote, read with the numbers that those versions predicted.

files/ was made by the scripts beside this one, each run with the version that its names tell.
Nothing is made here, and no Keras is needed.
"""

import gzip
import os
import pathlib
import shutil
import subprocess

import pytest

np = pytest.importorskip("numpy")

HERE = pathlib.Path(__file__).resolve().parent
FILES = HERE / "files"
RUN = pathlib.Path(os.environ.get("KP_BUILD_DIR", "build")).resolve() / "tests" / "model_run"

# What float16 layers compute differs by their rounding.
LOOSE = {"mixed": 2e-3}

# Keras 3.2 stored 0 for every call of a shared layer; where one of them is used twice, nobody can
# know which (Keras takes the first each time): refused.
LOST = {"k3.2.1_outside"}

def cases():
    for expected in sorted(FILES.glob("*.npz")):
        for path in sorted(FILES.glob(expected.name[:-len(".npz")] + ".*")):
            if path.suffix not in (".json", ".npz"):
                yield pytest.param(expected, path, id=path.name)


def unpacked(path, folder):
    if path.suffix != ".gz":
        return path
    out = folder / path.name[:-len(".gz")]
    with gzip.open(path) as f, open(out, "wb") as o:
        shutil.copyfileobj(f, o)
    return out


@pytest.mark.parametrize("expected, path", cases())
@pytest.mark.parametrize("backend", ["ref", "cpu"])
def test_numbers_of_the_writer(tmp_path, expected, path, backend):
    arrays = np.load(expected)
    inputs = []
    for i in range(sum(n.startswith("in") for n in arrays.files)):
        inputs.append(tmp_path / f"in{i}.npy")
        np.save(inputs[-1], arrays[f"in{i}"])
    options = []
    architecture = expected.with_suffix(".json")
    if ".weights." in path.name:
        options = ["--architecture", architecture]
    r = subprocess.run([RUN, unpacked(path, tmp_path), "--backend", backend, *options, *inputs,
                        "-o", tmp_path / "out"], capture_output=True, text=True, timeout=120)
    case = expected.stem.split("_")[1]
    if expected.stem in LOST:
        assert r.returncode == 4 and "did not store which of the calls" in r.stderr
        return
    assert r.returncode == 0, r.stderr
    n = sum(name.startswith("out") for name in arrays.files)
    assert len(list(tmp_path.glob("out.*.npy"))) == n
    loose = LOOSE.get(case, 1e-5)
    for i in range(n):
        got, want = np.load(tmp_path / f"out.{i}.npy"), arrays[f"out{i}"]
        assert got.shape == want.shape and got.dtype == want.dtype
        assert np.isfinite(want).all() and abs(want).max() > 0
        difference = abs(got.astype("float64") - want)
        assert (difference <= loose + 10 * loose * abs(want)).all(), difference.max()

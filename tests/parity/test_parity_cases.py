"""Every registered case (tests/parity/cases) on ref and cpu against the real Keras.

KP_CASE_SEEDS: how many seeds a case (default 6); KP_SEED: added to each, so that other configurations
are drawn (check-long takes the day). One process of model_run per case and backend. KP_CASE_RESULTS:
a file to which each case adds a line (tools/coverage makes the table of them).
"""

import os
import subprocess
import time
import zlib

import pytest
from parity_kit import BUILD, execute, keras, note_case, np, reference

from cases import REFUSED, Expect, load

SEEDS = int(os.environ.get("KP_CASE_SEEDS", "6"))
BASE = int(os.environ.get("KP_SEED", time.time() // 86400 * 1000 if "KP_LONG" in os.environ else 0))
REGISTRY = load()


def check(got, want, expect):
    assert got.shape == want.shape, (got.shape, want.shape)
    assert got.dtype == want.dtype, (got.dtype, want.dtype)
    if want.dtype.kind not in "fV":
        assert (got == want).all(), "exact types differ"
        return 0.0
    g, w = got.astype("float64"), want.astype("float64")
    assert (np.isnan(g) == np.isnan(w)).all(), "NaN in other places"
    same = (g == w) | np.isnan(w)
    error = np.where(same, 0, np.abs(np.where(same, 0, g) - np.where(same, 0, w)))
    limit = expect.atol + expect.rtol * np.abs(np.where(np.isfinite(w), w, 0))
    assert (error <= limit).all(), f"off by {error.max():.3g}, {np.max(error / limit):.3g} of the limit"
    scale = expect.atol / expect.rtol + np.abs(np.where(np.isfinite(w), w, 0))
    return float(np.max(error / scale, initial=0))


def as_text(a):
    """Strings come as bytes of a fixed width from our side, as objects or bytes from Keras."""
    if a.dtype.kind in "OSU":
        return np.array([x if isinstance(x, bytes) else str(x).encode() for x in a.ravel()],
                        dtype="S").reshape(a.shape)
    return a


def look_at(path):
    """What is shown of a model goes through its whole graph too."""
    for verb in ("inspect", "summary"):
        done = subprocess.run([BUILD / "kpredict", verb, path], capture_output=True, text=True)
        assert done.returncode == 0, (verb, done.returncode, done.stderr)


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("kind,name", sorted(REGISTRY), ids=lambda v: str(v))
def test_case(kind, name, seed, tmp_path):
    rng = np.random.default_rng([zlib.crc32(f"{kind} {name}".encode()), BASE + seed])
    made = REGISTRY[(kind, name)](rng)
    model, inputs = made[:2]
    expect = made[2] if len(made) > 2 else Expect()
    print(f"KP_SEED={BASE} seed {seed}:", [(l.__class__.__name__, getattr(l, "get_config", dict)())
                                            for l in model.operations][:12])
    want = expect.outputs if expect.outputs is not None else reference(model, inputs)
    want = [as_text(np.asarray(w)) for w in want]
    worst = 0.0
    for fmt in expect.formats:
        path = tmp_path / f"m.{fmt}"
        model.save(path)
        if seed == 0:
            look_at(path)
        ref = execute(path, inputs, tmp_path, "ref")
        cpu = execute(path, inputs, tmp_path, "cpu")
        for r, c, w in zip(ref, cpu, want, strict=True):
            worst = max(worst, check(as_text(r), w, expect), check(as_text(c), w, expect))
    note_case(kind, name, BASE + seed, worst)
    keras.backend.clear_session(free_memory=False)


@pytest.mark.parametrize("kind,name", sorted(REFUSED), ids=lambda v: str(v))
def test_refused(kind, name, tmp_path):
    path = tmp_path / "m.keras"
    REFUSED[(kind, name)][0](path, np.random.default_rng(zlib.crc32(name.encode())))
    with pytest.raises(RuntimeError) as error:
        execute(path, [np.zeros((1, 4), "float32")], tmp_path, "cpu")
    print(error.value)
    assert name in str(error.value)

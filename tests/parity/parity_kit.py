"""Models of the real Keras with weights that matter, run by model_run and by Keras itself."""

import json
import os
import pathlib
import subprocess

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
np = pytest.importorskip("numpy")
keras = pytest.importorskip("keras")

BUILD = pathlib.Path(os.environ.get("KP_BUILD_DIR", "build")).resolve()
RUN = BUILD / "tests" / "model_run"
BACKENDS = tuple(os.environ.get("KP_PARITY_BACKENDS", "ref,cpu").split(","))

# ref accumulates in double, so what differs is Keras' own rounding.
LIMIT = {"ref": 5e-5, "cpu": 1e-4}


def randomise(model, seed=1):
    """No weight is left at what a layer starts with: biases, statistics and slopes included."""
    rng = np.random.default_rng(seed)
    for v in model.variables:
        if "seed_generator" in v.path or not v.dtype.startswith("float"):
            continue
        name, shape = v.path.split("/")[-1], v.shape
        if name in ("kernel", "depthwise_kernel", "pointwise_kernel"):
            fan = max(int(np.prod(shape[:-1])), 1)
            if "depthwise" in name or "depthwise" in v.path:
                fan = max(int(np.prod(shape[:-2])), 1)
            value = rng.normal(0, np.sqrt(1.7 / fan), shape)
        elif name in ("moving_variance", "variance"):
            value = rng.uniform(0.4, 2.0, shape)
        elif name == "gamma":
            value = rng.uniform(0.5, 1.5, shape)
        else:
            value = rng.normal(0.1, 0.3, shape)
        v.assign(np.asarray(value, v.dtype))
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Normalization) and layer.input_mean is None:
            layer.finalize_state()
    return model


def spread(model, x, seed=2):
    """Moving statistics near those of real activations, so that a deep network neither dies nor
    explodes, but different from them, so that they matter."""
    norms = [l for l in model._flatten_layers() if isinstance(l, keras.layers.BatchNormalization)]
    rng = np.random.default_rng(seed)
    # Whole branches that are dropped would spread the activations far more than the data does.
    drops = [l for l in model._flatten_layers() if isinstance(l, keras.layers.Dropout)]
    momentum, rates = [l.momentum for l in norms], [l.rate for l in drops]
    for l in norms:
        l.momentum = 0.0
    for l in drops:
        l.rate = 0.0
    model(x, training=True)
    for l, r in zip(drops, rates):
        l.rate = r
    for l, m in zip(norms, momentum):
        l.momentum = m
        mean, var = np.asarray(l.moving_mean), np.asarray(l.moving_variance)
        l.moving_mean.assign(mean + 0.2 * np.sqrt(var) * rng.normal(size=mean.shape))
        l.moving_variance.assign(var * rng.uniform(0.6, 1.6, var.shape) + 1e-3)
    return model


def note_case(kind, name, seed, worst):
    """One line a case for tools/coverage, when it asks for them (KP_CASE_RESULTS: the file)."""
    if "KP_CASE_RESULTS" in os.environ:
        with open(os.environ["KP_CASE_RESULTS"], "a") as f:
            f.write(json.dumps([kind, name, seed, worst]) + "\n")


def data(shape, seed=3, kind="float32"):
    rng = np.random.default_rng(seed)
    if kind == "uint8":
        return rng.integers(0, 256, shape, dtype="uint8")
    return rng.normal(0.2, 1.3, shape).astype(kind)


def reference(model, inputs):
    """inputs in the model's flat order; it gets them in the form that it was made with."""
    if any(a.dtype.kind in "OSU" for a in inputs):
        import tensorflow as tf  # Keras takes strings as tensors only
        inputs = [tf.constant(a) for a in inputs]
    struct = keras.tree.pack_sequence_as(model._inputs_struct, inputs) if hasattr(
        model, "_inputs_struct") else inputs[0]
    out = model(struct, training=False)
    return [np.asarray(t) for t in keras.tree.flatten(out)]


def execute(path, inputs, folder, backend, *options):
    names = []
    for i, a in enumerate(inputs):
        names.append(str(folder / f"in{i}.npy"))
        np.save(names[-1], np.char.encode(a, "utf-8") if a.dtype.kind == "U" and i % 2 else a)
    prefix = folder / f"out_{backend}"
    for old in folder.glob(prefix.name + ".*.npy"):
        old.unlink()
    r = subprocess.run([RUN, path, "--backend", backend, "--threads", "2", *options, *names, "-o",
                        prefix], capture_output=True, text=True, timeout=300)
    if r.returncode != 0:
        raise RuntimeError(r.stderr.strip())
    n = len(list(folder.glob(prefix.name + ".*.npy")))
    return [np.load(f"{prefix}.{i}.npy") for i in range(n)]


def distance(got, want):
    assert got.shape == want.shape, (got.shape, want.shape)
    want = want.astype("float64")
    norm = np.linalg.norm(want)
    assert np.isfinite(want).all() and norm > 0
    return np.linalg.norm(got.astype("float64") - want) / norm


def compare(model, inputs, folder, want=None, backends=BACKENDS, formats=("keras", "h5")):
    """Every format on every backend against Keras (or the given values)."""
    if want is None:
        want = reference(model, inputs)
    for fmt in formats:
        path = folder / f"m.{fmt}"
        model.save(path)
        for backend in backends:
            got = execute(path, inputs, folder, backend)
            assert len(got) == len(want)
            for g, w in zip(got, want):
                assert g.dtype == w.dtype, (fmt, backend, g.dtype, w.dtype)
                d = distance(g, w)
                assert d <= LIMIT[backend], f"{fmt} on {backend}: relative L2 {d:.3g}"
    return want

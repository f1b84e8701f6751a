"""run --layer: the outputs of layers instead of the model's, against the real Keras."""

import os
import pathlib
import subprocess

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
np = pytest.importorskip("numpy")
keras = pytest.importorskip("keras")
BUILD = pathlib.Path(os.environ.get("KP_BUILD_DIR", "build")).resolve()
L, K = keras.layers, keras


@pytest.fixture(scope="module")
def model():
    i = K.Input((7,))
    inner = K.Model(i, [L.Dense(4, name="deep")(i), L.ReLU(name="bent")(i)], name="inner")
    x = K.Input((5,), name="row")
    shared = L.Dense(7, name="shared")
    a = shared(L.Dense(5, name="first")(x))
    b = shared(x)
    p, q = inner(a)
    return K.Model(x, L.Concatenate()([p, q, inner(b)[0]]))


@pytest.fixture(scope="module")
def run(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("layers")
    model.save(folder / "m.keras")
    rows = np.random.default_rng(3).normal(size=(9, 5)).astype("float32")
    np.save(folder / "x.npy", rows)

    def call(*layers, out="y.npz"):
        options = [w for name in layers for w in ("--layer", name)]
        return subprocess.run([BUILD / "kpredict", "run", folder / "m.keras", folder / "x.npy", "-o",
                               folder / out, "--force", *options], capture_output=True, text=True)

    def values(*layers):
        done = call(*layers)
        assert done.returncode == 0, done.stderr
        with np.load(folder / "y.npz") as archive:
            return {k: archive[k] for k in archive.files}
    call.values, call.rows = values, rows
    return call


def test_one_layer_and_its_input(model, run):
    want = K.Model(model.inputs, model.get_layer("first").output).predict(run.rows, verbose=0)
    got = run.values("first", "row")
    assert list(got) == ["first", "row"]
    np.testing.assert_allclose(got["first"], want, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(got["row"], run.rows)


def test_all_calls_of_a_shared_layer_in_their_order(model, run):
    calls = [n.output_tensors[0] for n in model.get_layer("shared")._inbound_nodes]
    want = K.Model(model.inputs, calls).predict(run.rows, verbose=0)
    got = list(run.values("shared").values())
    assert len(got) == 2
    for g, w in zip(got, want):
        np.testing.assert_allclose(g, w, rtol=1e-4, atol=1e-5)


def test_inside_a_nested_model_for_each_of_its_calls(model, run):
    inner = model.get_layer("inner")
    outer = K.Model(model.inputs, [n.input_tensors[0] for n in inner._inbound_nodes])
    deep = K.Model(inner.inputs, inner.get_layer("deep").output)
    got = list(run.values("inner/deep").values())
    assert len(got) == 2
    for g, x in zip(got, outer.predict(run.rows, verbose=0)):
        np.testing.assert_allclose(g, deep.predict(x, verbose=0), rtol=1e-4, atol=1e-5)


def test_several_outputs_of_a_call_and_what_is_refused(run):
    assert len(run.values("inner")) == 4
    done = run("nobody")
    assert done.returncode == 2 and 'no layer "nobody"' in done.stderr
    assert run("deep").returncode == 2  # its path is inner/deep
    assert "inner" in run("inner", out="y.npy").stderr  # an NPY takes one output

"""inspect --weights against the variables that the real Keras has."""

import json
import subprocess

import pytest
from parity_kit import BUILD, keras, np, randomise

L, K = keras.layers, keras


def model_with_variety():
    inner = K.Sequential([K.Input((9, 8, 3)), L.Conv2D(5, 3, name="conv"),
                          L.BatchNormalization(name="norm")], name="inner")
    x = K.Input((9, 8, 3))
    y = L.GlobalAveragePooling2D()(inner(x))
    shared = L.Dense(5, name="shared")
    half = L.Dense(7, name="half", dtype="float16")
    frozen = L.Dense(2, name="still", trainable=False)
    return randomise(K.Model(x, frozen(half(shared(shared(y))))))


def inspect(path, *options):
    done = subprocess.run([BUILD / "kpredict", "inspect", "--weights", path, *options],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_weights(ending, tmp_path):
    model = model_with_variety()
    path = tmp_path / f"m.{ending}"
    model.save(path)
    got = {w["name"]: w for w in json.loads(inspect(path, "--json"))["weights"]}
    trainable = {id(v) for v in model.trainable_weights}
    want = {v.path.removeprefix("inner/"): v for v in model.weights}
    assert len(got) == len(want)
    for name, w in got.items():  # Keras' path may leave out the model around
        v = want[name.removeprefix("inner/")]
        a = np.asarray(v, "float64")
        assert w["shape"] == str(a.shape)
        assert w["dtype"] == v.dtype
        assert w["trainable"] == (id(v) in trainable)
        for key, value in (("min", a.min()), ("mean", a.mean()), ("max", a.max())):
            assert w[key] == pytest.approx(value, rel=1e-6, abs=1e-9), (name, key)


def test_text_and_what_runs_each_node(tmp_path):
    model = model_with_variety()
    model.save(tmp_path / "m.keras")
    text = inspect(tmp_path / "m.keras")
    assert "shared/kernel" in text and "float16" in text
    part = text.split("== what computes each node")[1].split("==")[0]
    rows = [line.split() for line in part.splitlines() if line.strip() and line.split()[0].isdigit()]
    assert rows and all(r[2] in ("onednn", "own", "ref", "cpu", "none") for r in rows), part


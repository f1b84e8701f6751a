"""The command with a model that looks over its batch: in batches of 32 rows of a file, or of
--batch-size, the last one being smaller, as Keras' predict."""

import pytest
from parity_kit import keras, np, randomise

ops = keras.ops


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    x = keras.Input((4,))
    y = ops.sort(keras.layers.Dense(5)(x), axis=0)
    y = ops.matmul(ops.softmax(ops.matmul(y, ops.transpose(y)), axis=0), y)
    made = randomise(keras.Model(x, keras.layers.Dense(3)(y - ops.max(x))))
    path = tmp_path_factory.mktemp("batch") / "m.keras"
    made.save(path)
    return made, path


@pytest.mark.parametrize("rows", [3, 5, 32, 45, 70])
@pytest.mark.parametrize("batch", [None, 7])
def test_run(kpredict, model, tmp_path, rows, batch):
    made, path = model
    a = np.random.default_rng(rows).normal(size=(rows, 4)).astype("float32")
    np.save(tmp_path / "x.npy", a)
    option = ["--batch-size", batch] if batch else []
    p = kpredict("run", path, "x.npy", "-o", "y.npy", *option, cwd=tmp_path)
    assert p.returncode == 0, p.stderr
    want = made.predict(a, batch_size=batch or 32, verbose=0)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), want, rtol=1e-4, atol=1e-5)

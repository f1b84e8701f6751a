"""A model whose outputs are not one for each row is refused in words: predict would join its batches."""

import pytest
from parity_kit import execute, keras, np

ops = keras.ops

# Classes that run in other forms (cases/batch.py); those that never do are among the cases.
MIXING = {
    "Amax": lambda x: ops.amax(x), "Argmax": lambda x: ops.argmax(x),
    "Concatenate": lambda x: ops.concatenate([x, x]),
    "Dot": lambda x: ops.dot(x[:, 0], x),
    "ExpandDims": lambda x: ops.expand_dims(x, 0), "GetItem": lambda x: x[1:, :2],
    "Mean": lambda x: ops.mean(x), "Outer": lambda x: ops.outer(x, x),
    "Quantile": lambda x: ops.quantile(x, [0.1, 0.9], axis=1), "Ravel": lambda x: ops.ravel(x),
    "Repeat": lambda x: ops.repeat(x, 2, axis=0), "Reshape": lambda x: ops.reshape(x, (-1, 2)),
    "Split": lambda x: ops.split(x, 3)[0], "Stack": lambda x: ops.stack([x, x]),
    "Sum": lambda x: ops.sum(x, axis=0), "Tile": lambda x: ops.tile(x, (2, 1)),
    "Transpose": lambda x: ops.transpose(x),
    "Unique": lambda x: keras.src.ops.numpy.Unique()(x), "Where": lambda x: ops.where(x)[0],
}


@pytest.mark.parametrize("name", sorted(MIXING))
def test_refused(name, tmp_path):
    x = keras.Input((4,))
    model = keras.Model(x, MIXING[name](x))
    model.save(tmp_path / "m.keras")
    with pytest.raises(RuntimeError, match="KP_EMODEL.*(apart from each other|batch|equal pieces)"):
        execute(tmp_path / "m.keras", [np.ones((3, 4), "float32")], tmp_path, "ref")

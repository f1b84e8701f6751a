"""Operations that mix the rows of a batch are refused in words: rows are predicted apart."""

import pytest
from parity_kit import execute, keras, np

ops = keras.ops
N = keras.src.ops.numpy

MIXING = {
    "AllClose": lambda x: ops.allclose(x, x), "Amax": lambda x: ops.amax(x),
    "Argmax": lambda x: ops.argmax(x), "Argpartition": lambda x: ops.argpartition(x, 1),
    "Concatenate": lambda x: ops.concatenate([x, x]), "Corrcoef": lambda x: ops.corrcoef(x),
    "Cumsum": lambda x: ops.cumsum(x, 0),
    "Diag": lambda x: ops.diag(x[:, 0]), "Diagflat": lambda x: ops.diagflat(x), "Dot": lambda x: ops.dot(x[:, 0], x),
    "Einsum": lambda x: ops.einsum("bi,cj->bcij", x, x), "ExpandDims": lambda x: ops.expand_dims(x, 0),
    "Flipud": lambda x: ops.flipud(x), "GetItem": lambda x: x[1:, :2], "Histogram": lambda x: ops.histogram(x)[0],
    "Mean": lambda x: ops.mean(x), "Nonzero": lambda x: ops.nonzero(x)[0], "Outer": lambda x: ops.outer(x, x),
    "Quantile": lambda x: ops.quantile(x, [0.1, 0.9], axis=1), "Ravel": lambda x: ops.ravel(x),
    "Repeat": lambda x: ops.repeat(x, 2, axis=0), "Reshape": lambda x: ops.reshape(x, (-1, 2)),
    "Roll": lambda x: ops.roll(x, 1), "Size": lambda x: x + ops.cast(N.Size()(x), "float32"),
    "Sort": lambda x: ops.sort(x, axis=0), "Split": lambda x: ops.split(x, 3)[0], "Stack": lambda x: ops.stack([x, x]),
    "Sum": lambda x: ops.sum(x, axis=0), "Tile": lambda x: ops.tile(x, (2, 1)), "Transpose": lambda x: ops.transpose(x),
    "Tril": lambda x: ops.tril(x), "Unique": lambda x: N.Unique()(x), "Vander": lambda x: ops.vander(x[:, 0]),
    "Vdot": lambda x: ops.vdot(x, x), "Vsplit": lambda x: ops.vsplit(x, 3)[0], "Vstack": lambda x: ops.vstack([x, x]),
    "Where": lambda x: ops.where(x)[0],
}


@pytest.mark.parametrize("name", sorted(MIXING))
def test_refused(name, tmp_path):
    x = keras.Input((4,))
    model = keras.Model(x, MIXING[name](x))
    model.save(tmp_path / "m.keras")
    with pytest.raises(RuntimeError, match="KP_EMODEL.*(apart from each other|batch)"):
        execute(tmp_path / "m.keras", [np.ones((3, 4), "float32")], tmp_path, "ref")

"""Operations of keras.ops whose every form mixes the rows of a batch: refused by name."""

from . import refused
from .kit import keras

ops = keras.ops
N = keras.src.ops.numpy
REASON = "mixes the rows of a batch, which are predicted apart from each other"

FORMS = {
    "AllClose": lambda x: ops.allclose(x, x), "Argpartition": lambda x: ops.argpartition(x, 1),
    "Corrcoef": ops.corrcoef, "Diag": lambda x: ops.diag(x[:, 0]), "Diagflat": ops.diagflat,
    "Histogram": lambda x: ops.histogram(x)[0], "Nonzero": lambda x: ops.nonzero(x)[0],
    "Size": lambda x: x + ops.cast(N.Size()(x), "float32"), "Unique": lambda x: N.Unique()(x),
}


def form(name, call):
    @refused(name, REASON, "op")
    def one(path, rng):
        x = keras.Input((4,))
        keras.Model(x, call(x)).save(path)


for _name, _call in FORMS.items():
    form(_name, _call)

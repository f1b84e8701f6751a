"""Operations of keras.ops whose results are as many as the data say: refused by name."""

from . import refused
from .kit import keras

ops = keras.ops
REASON = "has as many results as the data say"

FORMS = {"Nonzero": lambda x: ops.nonzero(x)[0]}


def form(name, call):
    @refused(name, REASON, "op")
    def one(path, rng):
        x = keras.Input((4,))
        keras.Model(x, call(x)).save(path)


for _name, _call in FORMS.items():
    form(_name, _call)

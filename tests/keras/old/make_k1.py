"""Writes the corpus files of Keras 1.2: python make_k1.py FOLDER [CASE...] (Python 2.7).

KERAS_BACKEND is theano or tensorflow, KERAS_ORDER "tf" (channels last) or "th".
"""

import os
import sys

try:
    import theano.ifelse  # Keras 1 relies on Theano 0.9, which did so itself
except ImportError:
    pass
import keras
import numpy as np
from cases import shrink, write_expected
from keras import layers as L
from keras.layers import Input, merge
from keras.models import Model, Sequential

ORDER = os.environ.get("KERAS_ORDER", "tf")
keras.backend.set_image_dim_ordering(ORDER)
rng = np.random.RandomState(7)


def data(*shape):
    return rng.normal(0.2, 1.1, shape).astype("float32")


def image(h, w, c):
    return (h, w, c) if ORDER == "tf" else (c, h, w)


def fill(model):
    new = []
    for w in model.get_weights():
        if w.ndim > 1:
            fan = max(w.size // max(w.shape), 1)
            new.append(rng.normal(0, 1.3 / np.sqrt(fan), w.shape).astype("float32"))
        else:
            new.append(rng.uniform(0.3, 1.4, w.shape).astype("float32"))
    model.set_weights(new)
    return model


def convolutions():
    model = Sequential()
    model.add(L.ZeroPadding2D((1, 2), input_shape=image(9, 8, 2)))
    model.add(L.Convolution2D(5, 3, 2, activation="relu", border_mode="same", subsample=(2, 1)))
    model.add(L.BatchNormalization(axis=-1 if ORDER == "tf" else 1))
    model.add(L.AtrousConvolution2D(4, 2, 2, atrous_rate=(2, 2)))
    model.add(L.LeakyReLU(0.2))
    model.add(L.MaxPooling2D((2, 2)))
    model.add(L.Dropout(0.3))
    model.add(L.Flatten())
    model.add(L.Dense(6, activation="hard_sigmoid"))
    model.add(L.Dense(3, activation="softmax"))
    return fill(model), [data(2, *image(9, 8, 2))]


def merges():
    """The functional merge() and a layer called twice."""
    a, b = Input((5,), name="a"), Input((5,), name="b")
    dense = L.Dense(4, activation="tanh", name="twice")
    x, y = dense(a), dense(b)
    parts = [merge([x, y], mode=m) for m in ("sum", "mul", "ave", "max")]
    z = merge(parts + [x], mode="concat", concat_axis=-1)
    return fill(Model([a, b], [L.Dense(3)(z), merge([x, y], mode="dot", dot_axes=1)])), \
        [data(3, 5), data(3, 5)]


def branches():
    """Merge as a Sequential's first layer, its branches inside it."""
    left, right = Sequential(), Sequential()
    left.add(L.Dense(4, input_dim=3))
    right.add(L.Dense(4, input_dim=5, bias=False, activation="sigmoid"))
    model = Sequential()
    model.add(L.Merge([left, right], mode="concat"))
    model.add(L.Dense(2))
    return fill(model), [data(3, 3), data(3, 5)]


def forest():
    """Branches inside branches, a layer that two of them share, a branch that is a graph."""
    shared = L.Dense(4, activation="tanh", name="shared")
    one, two, deep, deeper = Sequential(), Sequential(), Sequential(), Sequential()
    one.add(L.Dense(5, input_dim=5))
    one.add(shared)
    two.add(L.Embedding(9, 2, input_length=6))
    two.add(L.LSTM(5))
    two.add(shared)
    i = Input((3,))
    graph = Model(i, merge([L.Dense(4)(i), L.Dense(4, activation="relu")(i)], mode="mul"))
    deeper.add(L.Merge([two, graph], mode="sum"))
    deeper.add(L.Dense(4, activation="sigmoid"))
    deep.add(L.Merge([one, deeper], mode="max"))
    model = Sequential()
    plain = Sequential()
    plain.add(L.Dense(4, input_dim=2))
    model.add(L.Merge([deep, plain], mode="concat"))
    model.add(L.BatchNormalization())
    model.add(L.Dense(3))
    return fill(model), [data(2, 5), rng.randint(0, 9, (2, 6)).astype("int32"), data(2, 3),
                         data(2, 2)]


def recurrent():
    a = Input((6, 4))
    x = L.Bidirectional(L.LSTM(3, return_sequences=True))(a)
    x = L.TimeDistributed(L.Dense(5, activation="relu"))(x)
    x = L.GRU(4, return_sequences=True)(x)
    x = merge([L.SimpleRNN(3)(x), L.LSTM(2, go_backwards=True)(x)], mode="concat")
    return fill(Model(a, x)), [data(2, 6, 4)]


def text():
    model = Sequential()
    model.add(L.Embedding(11, 5, input_length=7))
    model.add(L.Convolution1D(4, 3, activation="relu", border_mode="same"))
    model.add(L.MaxPooling1D(2))
    model.add(L.TimeDistributedDense(3))
    model.add(L.LSTM(4))
    model.add(L.Dense(1, activation="sigmoid"))
    return fill(model), [rng.randint(0, 11, (3, 7)).astype("int32")]


def nested():
    i = Input(image(5, 5, 3))
    base = Model(i, L.Convolution2D(4, 2, 2)(i), name="base")
    inner = Sequential(name="inner")
    inner.add(L.Convolution2D(3, 2, 2, input_shape=image(4, 4, 4)))
    inner.add(L.GlobalAveragePooling2D())
    a = Input(image(5, 5, 3))
    return fill(Model(a, L.Dense(2)(inner(base(a))))), [data(2, *image(5, 5, 3))]


def main(folder, names):
    short = "th" if keras.backend.backend() == "theano" else "tf"
    for name in names or ["convolutions", "merges", "branches", "forest", "recurrent", "text", "nested"]:
        keras.backend.clear_session() if short == "tf" else None
        model, inputs = globals()[name]()
        prefix = os.path.join(folder, "k%s%s-%s_%s" % (keras.__version__, short, ORDER, name))
        write_expected(prefix + ".npz", inputs, model.predict(inputs))
        model.save(prefix + ".h5")
        shrink(prefix + ".h5")
        if name == "nested":
            model.save_weights(prefix + ".weights.h5")
            shrink(prefix + ".weights.h5")
            with open(prefix + ".json", "w") as f:
                f.write(model.to_json())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

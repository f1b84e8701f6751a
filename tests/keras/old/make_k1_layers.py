"""Files of Keras 1.2.2, on Theano and on TensorFlow, with what that Keras predicts.

Run with a Python that has Keras 1.2.2: KERAS_BACKEND=theano (or tensorflow) python make_k1_layers.py FOLDER.
Works with Python 2.7 and 3.6.
"""

from __future__ import print_function

import os
import sys

os.environ.setdefault("THEANO_FLAGS", "device=cpu,optimizer=fast_compile,blas.ldflags=-lblas")

import numpy as np  # noqa: E402

import keras  # noqa: E402
from keras import backend as K  # noqa: E402
from keras.layers import *  # noqa: E402,F401,F403
from keras.models import Model, Sequential  # noqa: E402

THEANO = K.backend() == "theano"
if THEANO:
    import theano.ifelse  # noqa: F401  (Keras uses it without importing it)
rng = np.random.RandomState(11)


def image(channels=3, rows=11, cols=10):
    return (channels, rows, cols) if K.image_dim_ordering() == "th" else (rows, cols, channels)


def convolutions():
    m = Sequential()
    m.add(ZeroPadding2D((1, 2), input_shape=image()))
    m.add(Convolution2D(5, 3, 2, border_mode="same" if not THEANO else "valid", subsample=(2, 1),
                        activation="relu"))
    m.add(AtrousConvolution2D(4, 2, 2, atrous_rate=(2, 2)))
    m.add(BatchNormalization(axis=1 if K.image_dim_ordering() == "th" else -1))
    m.add(LeakyReLU(0.2))
    m.add(UpSampling2D((2, 1)))
    m.add(MaxPooling2D((2, 2)))
    m.add(Dropout(0.3))
    m.add(Flatten())
    m.add(Dense(6, activation="softmax", name="scores"))
    return m


def lines():
    m = Sequential()
    m.add(Convolution1D(5, 3, input_shape=(11, 4), activation="tanh"))
    m.add(MaxPooling1D(2))
    m.add(AtrousConvolution1D(3, 2, atrous_rate=2))
    m.add(TimeDistributedDense(4, activation="relu"))
    m.add(GRU(5, return_sequences=True))
    m.add(LSTM(3))
    m.add(Highway(activation="tanh"))
    m.add(MaxoutDense(4, nb_feature=3))
    m.add(PReLU())
    return m


def sequences():
    x = Input((7,), dtype="int32", name="tokens")
    y = Embedding(12, 5, input_length=7)(x)
    y = Bidirectional(LSTM(4, return_sequences=True), merge_mode="concat")(y)
    a = TimeDistributed(Dense(3, activation="sigmoid"))(y)
    b = SimpleRNN(3, return_sequences=True, go_backwards=True)(y)
    y = merge([a, b], mode="mul")
    z = merge([a, b], mode="concat", concat_axis=-1)
    return Model(x, [GRU(4, go_backwards=True)(z), GlobalMaxPooling1D()(y)])


def merges():
    x, y = Input((6,), name="left"), Input((6,), name="right")
    d = Dense(6, activation="hard_sigmoid", name="shared")
    a, b = d(x), d(y)
    outs = [merge([a, b], mode=mode) for mode in ("sum", "ave", "max", "mul")]
    z = merge(outs, mode="concat")
    return Model([x, y], [Dense(3)(z), merge([a, b], mode="dot", dot_axes=1)])


def others():
    x = Input((6,))
    a = ELU(0.7)(x)
    b = ThresholdedReLU(0.3)(x)
    c = ParametricSoftplus()(x)
    d = SReLU()(x)
    y = merge([a, b, c, d], mode="concat")
    return Model(x, Dense(4, bias=False, activation="softplus")(y))


def local():
    m = Sequential()
    m.add(LocallyConnected2D(4, 3, 2, subsample=(2, 1), input_shape=image(2, 7, 6), activation="tanh"))
    m.add(Flatten())
    m.add(RepeatVector(5))
    m.add(LocallyConnected1D(3, 2))
    return m


def nested():
    inner = Sequential(name="inner")
    inner.add(Dense(5, input_dim=4, activation="relu"))
    inner.add(BatchNormalization())
    inner.add(Dense(3))
    x, y = Input((4,)), Input((4,))
    return Model([x, y], merge([inner(x), inner(y)], mode="concat"))


def write(folder, name, model):
    weights = []
    for w in model.get_weights():
        v = rng.normal(0.1, 0.4, w.shape)
        if name == "others":  # slopes above 0: elsewhere Theano and TensorFlow differ in SReLU
            v = np.abs(v)
        weights.append(np.abs(v) + 0.3 if w.ndim == 1 and np.allclose(w, 1) else v)
    model.set_weights([w.astype("float32") for w in weights])
    arrays = {}
    shapes = model.input_shape if isinstance(model.input_shape, list) else [model.input_shape]
    inputs = []
    for i, s in enumerate(shapes):
        s = (3,) + tuple(s[1:])
        tokens = name == "sequences"
        inputs.append(rng.randint(0, 12, s).astype("int32") if tokens else
                      rng.normal(0.2, 1.2, s).astype("float32"))
        arrays["in%d" % i] = inputs[-1]
    out = model.predict(inputs if len(inputs) > 1 else inputs[0])
    for i, o in enumerate(out if isinstance(out, list) else [out]):
        arrays["out%d" % i] = o
    path = os.path.join(folder, "k1.2.2_%s%s" % (name, "-theano" if THEANO else "-tensorflow"))
    model.save(path + ".h5")
    np.savez(path + ".npz", **arrays)
    print(path)


for make in (convolutions, lines, sequences, merges, others, local, nested):
    K.set_image_dim_ordering("th" if THEANO else "tf")
    try:
        write(sys.argv[1], make.__name__, make())
    except Exception as e:
        print("left out:", make.__name__, repr(e)[:300])

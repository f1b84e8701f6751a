"""The models of the corpus of old files, as far as each version of Keras has what they need.

kind is the Keras to use: the module keras (1.2 to 3.x), tf.keras or tf_keras. Runs on Python 2.7 to
3.13. Each case gives (model, inputs); inputs is a list in the model's flat order. The sizes are odd
and differ from each other, so that nothing fits by accident.
"""

import gzip
import os
import zipfile

import numpy as np


class Cases(object):
    def __init__(self, kind, version):
        self.kind, self.L = kind, kind.layers
        self.version = tuple(int(p) for p in version.split(".")[:2])
        self.model = getattr(kind, "Model", None) or kind.models.Model
        self.sequential_class = getattr(kind, "Sequential", None) or kind.models.Sequential
        self.rng = np.random.RandomState(7)

    def input(self, shape, name=None, dtype=None):
        make = getattr(self.kind, "Input", None) or self.L.Input
        args = {"name": name} if name else {}
        if dtype:
            args["dtype"] = dtype
        return make(shape=shape, **args)

    def data(self, *shape):
        return (self.rng.normal(0.2, 1.1, shape)).astype("float32")

    def fill(self, model):
        """Weights that differ from each other and from what a layer starts with."""
        new = []
        for w in model.get_weights():
            if w.dtype.kind != "f":
                new.append(w)
            elif w.ndim > 1:
                fan = max(int(np.prod(w.shape[:-1])), 1)
                new.append(self.rng.normal(0, 1.3 / np.sqrt(fan), w.shape).astype(w.dtype))
            else:
                new.append(self.rng.uniform(0.3, 1.4, w.shape).astype(w.dtype))
        model.set_weights(new)
        return model

    # ---- every version from Keras 2 on ----

    def shared(self):
        """A layer called twice, convolutions of one class, two inputs, two outputs, batch norm."""
        L = self.L
        a, b = self.input((7, 6, 3), "a"), self.input((7, 6, 3), "b")
        conv = L.Conv2D(5, 3, padding="same", activation="relu", name="twice")
        x = L.Concatenate(name="both")([conv(a), conv(b)])
        x = L.BatchNormalization(name="bn")(x)
        x = L.Conv2D(4, (2, 3), strides=2, name="second")(x)
        x = L.Activation("tanh")(x)
        y = L.Flatten()(L.MaxPooling2D(2)(conv(b)))
        y = L.Dropout(0.3)(L.Dense(5, name="wide")(y))
        x = L.GlobalAveragePooling2D()(x)
        out = L.Dense(3, activation="softmax", name="out")(L.Concatenate()([x, y]))
        model = self.model([a, b], [out, y])
        return self.fill(model), [self.data(2, 7, 6, 3), self.data(2, 7, 6, 3)]

    def nested(self):
        """Nested Functional and Sequential, one called twice, one frozen, one inside another."""
        L = self.L
        i = self.input((5, 5, 3))
        y = L.BatchNormalization()(L.Conv2D(4, 3, padding="same", use_bias=False)(i))
        base = self.model(i, L.Conv2D(6, 1)(L.Activation("relu")(y)), name="base")
        frozen = self.sequential_class([L.Conv2D(5, 2, input_shape=(5, 5, 6)),
                                        L.BatchNormalization()] if self.version < (3, 0) else
                                       [self.input((5, 5, 6)), L.Conv2D(5, 2),
                                        L.BatchNormalization()], name="frozen")
        frozen.trainable = False
        j = self.input((5, 5, 3))
        outer = self.model(j, frozen(base(j)), name="outer")
        a, b = self.input((5, 5, 3), "a"), self.input((5, 5, 3), "b")
        x = L.Add()([outer(a), outer(b)])
        x = L.GlobalMaxPooling2D()(x)
        x = L.Dense(4, name="head")(x)
        return self.fill(self.model([a, b], x)), [self.data(2, 5, 5, 3), self.data(2, 5, 5, 3)]

    def transfer(self):
        """A frozen base whose output feeds a head: what transfer learning makes."""
        L = self.L
        i = self.input((6, 6, 3))
        y = L.DepthwiseConv2D(3, padding="same")(L.Conv2D(4, 3)(i)) if self.version >= (2, 1) \
            else L.Conv2D(4, 3)(i)
        y = L.BatchNormalization()(y)
        base = self.model(i, L.SeparableConv2D(5, 2)(y), name="base")
        base.trainable = False
        a = self.input((6, 6, 3))
        x = base(a, training=False) if self.version >= (2, 3) else base(a)
        x = L.GlobalAveragePooling2D()(x)
        x = L.Dense(2, activation="sigmoid")(x)
        return self.fill(self.model(a, x)), [self.data(3, 6, 6, 3)]

    def sequential(self):
        """The input shape on the first layer."""
        L = self.L
        first = [self.input((9, 8, 2))] if self.version >= (3, 0) else []
        args = {} if first else {"input_shape": (9, 8, 2)}
        model = self.sequential_class(first + [
            L.Conv2D(5, 3, dilation_rate=2, **args), L.LeakyReLU(0.2),
            L.ZeroPadding2D(((1, 0), (2, 1))),
            L.AveragePooling2D((2, 3)), L.PReLU(shared_axes=[1, 2]), L.Flatten(),
            L.Dense(7, activation="elu"), L.Dropout(0.5), L.Dense(3, activation="softmax")])
        return self.fill(model), [self.data(2, 9, 8, 2)]

    def wide(self):
        """Weights of every rank, in one and three axes."""
        L = self.L
        a, b = self.input((10, 3), "a"), self.input((5, 4, 6, 2), "b")
        x = L.Conv1D(4, 3, strides=2, padding="valid" if self.version < (2, 1) else "causal")(a)
        x = L.GlobalMaxPooling1D()(L.UpSampling1D(2)(x))
        y = L.Conv3D(3, (2, 1, 3))(b)
        y = L.Flatten()(L.MaxPooling3D((1, 2, 2))(y))
        y = L.Dense(4, activation="softplus")(y)
        z = L.Multiply()([x, y])
        z = L.Concatenate()([z, L.Maximum()([x, y]), L.Reshape((4,))(L.Average()([x, y]))])
        return self.fill(self.model([a, b], z)), [self.data(2, 10, 3), self.data(2, 5, 4, 6, 2)]

    def transposed(self):
        L = self.L
        a = self.input((4, 5, 3))
        x = L.Conv2DTranspose(5, 3, strides=2, padding="same", activation="relu")(a)
        x = L.Cropping2D(((1, 1), (0, 2)))(L.UpSampling2D((1, 2))(x))
        x = L.Permute((2, 1, 3))(x)
        return self.fill(self.model(a, x)), [self.data(2, 4, 5, 3)]

    # ---- recurrent ----

    def recurrent(self):
        """Two directions, stacked, two outputs."""
        L = self.L
        a = self.input((7, 4))
        x = L.Bidirectional(L.LSTM(3, return_sequences=True))(a)
        x = L.TimeDistributed(L.Dense(5, activation="relu"))(x)
        x = L.GRU(4, return_sequences=True, name="gru")(x)
        y = L.SimpleRNN(3, go_backwards=True)(x)
        z = L.LSTM(2)(x)
        return self.fill(self.model(a, [L.Concatenate()([y, z]), x])), [self.data(2, 7, 4)]

    def text(self):
        """Token numbers, zero masked."""
        L = self.L
        a = self.input((6,), dtype="int32")
        x = L.Embedding(11, 5, mask_zero=True)(a)
        x = L.LSTM(4)(x)
        tokens = self.rng.randint(1, 11, (3, 6)).astype("int32")
        tokens[0, 3:] = 0
        tokens[2, 1:] = 0
        return self.fill(self.model(a, L.Dense(3)(x))), [tokens]

    def masked(self):
        L = self.L
        model = self.sequential_class(
            ([self.input((5, 3))] if self.version >= (3, 0) else []) +
            [L.Masking(mask_value=0.0, **({} if self.version >= (3, 0) else
                                         {"input_shape": (5, 3)})),
             L.GRU(4, return_sequences=True), L.Bidirectional(L.LSTM(3))])
        x = self.data(3, 5, 3)
        x[0, 3:] = 0
        x[1, 1] = 0
        return self.fill(model), [x]

    def joined(self):
        """Masks that differ, and what has none, joined by layers in every way."""
        L = self.L
        a, b = self.input((5,), "a", "int32"), self.input((5,), "b", "int32")
        x, y = L.Embedding(7, 6, mask_zero=True)(a), L.Embedding(7, 6, mask_zero=True)(b)
        pairs = [L.Add()([x, y]), L.Multiply()([x, y]), L.Maximum()([x, y]), L.Average()([x, y]),
                 L.Concatenate()([x, y]), L.Concatenate(axis=1)([x, y]),
                 L.Add()([x, L.Embedding(7, 6)(b)])]
        return (self.fill(self.model([a, b], [L.LSTM(3)(p) for p in pairs])),
                [self.rng.randint(0, 3, (4, 5)).astype("int32") for _ in range(2)])

    def states(self):
        """An encoder's states start a decoder."""
        L = self.L
        a, b = self.input((5, 3), "a"), self.input((4, 2), "b")
        _, h, c = L.LSTM(6, return_state=True, name="encoder")(a)
        y = L.LSTM(6, return_sequences=True, name="decoder")(b, initial_state=[h, c])
        return self.fill(self.model([a, b], y)), [self.data(2, 5, 3), self.data(2, 4, 2)]

    def convlstm(self):
        L = self.L
        a = self.input((3, 5, 4, 2))
        return (self.fill(self.model(a, L.ConvLSTM2D(3, 2, padding="same")(a))),
                [self.data(2, 3, 5, 4, 2)])

    # ---- tf.keras 2.4 and later ----

    def attention(self):
        L = self.L
        a, b = self.input((5, 6), "a"), self.input((4, 6), "b")
        # From 3.7 on JAX computes it itself, for values as wide as the keys only.
        x = L.MultiHeadAttention(2, 3, value_dim=3 if self.version >= (3, 7) else 4,
                                 name="mha")(a, b)
        x = L.LayerNormalization()(L.Add()([a, x]))
        y = L.MultiHeadAttention(3, 2)(x, x)
        y = L.Attention(use_scale=True)([y, b])
        return self.fill(self.model([a, b], y)), [self.data(2, 5, 6), self.data(2, 4, 6)]

    def hidden(self):
        """Masks that some versions look at and others do not."""
        L = self.L
        a = self.input((5,), "a", "int32")
        x = L.Embedding(11, 4, mask_zero=True)(a)
        if not hasattr(L, "MultiHeadAttention"):
            return (self.fill(self.model(a, [L.Softmax(axis=1)(x), L.LSTM(3)(x)])),
                    [np.array([[3, 1, 0, 4, 5], [0, 2, 7, 0, 0]], "int32")])
        y = L.MultiHeadAttention(2, 3, dropout=0.1)(x, x)
        outputs = [L.GlobalMaxPooling1D()(y), L.LSTM(3)(y), L.GlobalAveragePooling1D()(x)]
        return (self.fill(self.model(a, outputs)),
                [np.array([[3, 1, 0, 4, 5], [0, 0, 0, 9, 0], [0, 2, 7, 0, 0]], "int32")])

    def dicts(self):
        """Inputs and outputs by name, not in sorted order."""
        L = self.L
        z, m = self.input((3,), "z"), self.input((5,), "m")
        x = L.Dense(4, name="dz")(z)
        y = L.Dense(4, name="dm")(m)
        outputs = {"sum": L.Add(name="sum")([x, y]), "all": L.Concatenate(name="all")([x, y])}
        model = self.model({"z": z, "m": m}, outputs)
        return self.fill(model), [self.data(2, 5), self.data(2, 3)]

    def outside(self):
        """A shared layer and a nested model that are also called outside of the model."""
        L = self.L
        i = self.input((4,))
        inner = self.model(i, L.Dense(3, name="in_it")(i), name="inner")
        shared = L.Dense(4, name="shared")
        a, b, other = self.input((4,), "a"), self.input((4,), "b"), self.input((4,), "other")
        shared(other), inner(other)
        x = shared(a)
        shared(other)
        y = inner(shared(b))
        inner(other)
        z = inner(x)
        return (self.fill(self.model([a, b], L.Subtract()([z, L.Multiply()([y, y])]))),
                [self.data(2, 4), self.data(2, 4)])

    def wrapped(self):
        """One layer object by itself and inside a wrapper, one inside two wrappers."""
        L = self.L
        a, b = self.input((5, 3), "a"), self.input((3,), "b")
        dense, other = L.Dense(4, name="common"), L.Dense(4, name="deep")
        x = L.TimeDistributed(dense, name="over_time")(a)
        x = L.TimeDistributed(other)(x)
        y = L.GlobalMaxPooling1D()(L.TimeDistributed(other)(x))
        return (self.fill(self.model([a, b], L.Subtract()([y, dense(b)]))),
                [self.data(2, 5, 3), self.data(2, 3)])

    def structures(self):
        """Inputs and outputs nested in each other."""
        L = self.L
        a, b, c = self.input((3,), "zeta"), self.input((3,), "alpha"), self.input((4,), "mid")
        x = L.Dense(5, name="dx")(L.Concatenate()([a, b]))
        y = L.Dense(2, name="dy")(c)
        model = self.model({"p": [a, b], "q": c}, [x, {"t": (y, x), "s": L.Dense(3, name="dz")(x)}])
        return self.fill(model), [self.data(2, 3), self.data(2, 3), self.data(2, 4)]

    def constants(self):
        """Arrays among a call's arguments, a layer called by keyword, one that gets no mask."""
        L = self.L
        a, m = self.input((4, 3), "a"), self.input((4,), "m", "bool")
        x = L.Dense(3, name="first")(inputs=a)
        x = self.plus_constant(x, self.data(1, 4, 3))
        x = self.times_constant(self.data(1, 1, 3), x)
        y = L.GlobalAveragePooling1D()(x, mask=m)
        z = L.BatchNormalization()(L.GlobalMaxPooling1D()(x), training=False)
        mask = np.array([[1, 0, 1, 1], [1, 1, 0, 0]], "bool")
        return (self.fill(self.model([a, m], L.Subtract()([y, z]))), [self.data(2, 4, 3), mask])

    def twins(self):
        """One layer object inside two nested models."""
        L = self.L
        dense = L.Dense(4, name="common")
        i, j = self.input((4,)), self.input((4,))
        first = self.model(i, L.Activation("tanh")(dense(i)), name="first")
        second = self.model(j, L.Dense(3, name="own")(dense(j)), name="second")
        a = self.input((4,))
        return self.fill(self.model(a, second(first(a)))), [self.data(3, 4)]

    def normalised(self):
        """Feature layers that are adapted, not trained."""
        L = self.L
        norm = L.Normalization(axis=-1)
        norm.adapt(self.data(50, 4))
        a = self.input((4,))
        x = L.Dense(3)(norm(a))
        return self.model(a, L.Rescaling(0.5, offset=-1.0)(x)), [self.data(3, 4)]


def structure(name, inputs):
    """What predict takes."""
    if name == "structures":
        return {"p": [inputs[0], inputs[1]], "q": inputs[2]}
    if name == "dicts":
        return {"m": inputs[0], "z": inputs[1]}
    return inputs[0] if len(inputs) == 1 else inputs


def flat(values):
    """Outputs in the order of the model: dicts by sorted key."""
    if isinstance(values, dict):
        return [v for k in sorted(values) for v in flat(values[k])]
    if isinstance(values, (list, tuple)):
        return [v for item in values for v in flat(item)]
    return [np.asarray(values)]


def shrink(path):
    """An archive's members deflated, an HDF5 file as .gz: most of either is nothing."""
    if path.endswith(".keras"):
        with zipfile.ZipFile(path) as z:
            members = [(i.filename, z.read(i)) for i in z.infolist()]
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
            for name, content in members:
                z.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    else:
        with open(path, "rb") as f:
            content = f.read()
        with open(path + ".gz", "wb") as raw:
            with gzip.GzipFile("", "wb", 9, raw, 0) as f:
                f.write(content)
        os.unlink(path)


def write_expected(path, inputs, outputs):
    arrays = {"in%d" % i: a for i, a in enumerate(inputs)}
    arrays.update({"out%d" % i: a for i, a in enumerate(flat(outputs))})
    np.savez_compressed(path, **arrays)

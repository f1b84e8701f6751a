"""Writes the corpus files of one tf.keras (2.0 to 2.15) or tf_keras.

python make_tf.py FOLDER [CASE...]. tf_keras is taken where it is installed, else tensorflow.keras.
The expected numbers are those of the model that was saved, predicted by the Keras that saved it.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from cases import Cases, shrink, structure, write_expected

try:
    import tf_keras as kind
    NAME = "tfk"
except ImportError:
    kind, NAME = tf.keras, "tf"

NAMES = ["shared", "nested", "transfer", "sequential", "wide", "transposed", "recurrent", "text",
         "masked", "states", "convlstm", "attention", "dicts", "twins", "outside", "wrapped",
         "structures", "constants", "normalised", "operators", "hidden", "local", "joined", "adapted"]


class CasesTF(Cases):
    def plus_constant(self, x, value):
        return self.L.Add()([x, tf.constant(value)])

    def times_constant(self, value, x):
        return self.L.Multiply()([tf.constant(value), x])

    def local(self):
        """What Keras 3 has no more: kernels that differ from place to place, stored in three ways."""
        L, first = self.L, "channels_first"
        a, b, c = self.input((7, 3), "a"), self.input((6, 5, 2), "b"), self.input((2, 6, 5), "c")
        x = [L.LocallyConnected1D(4, 3, strides=2)(a),
             L.LocallyConnected1D(4, 3, strides=2, padding="same", implementation=2)(a),
             L.LocallyConnected1D(2, 4, padding="same", implementation=3, use_bias=False)(a),
             L.LocallyConnected2D(3, (2, 3), strides=(1, 2), implementation=2)(b),
             L.LocallyConnected2D(3, (4, 3), padding="same", implementation=3)(b),
             L.LocallyConnected2D(3, (2, 3), padding="same", implementation=2, data_format=first)(c),
             L.LocallyConnected2D(2, (3, 2), strides=2, implementation=3, data_format=first)(c)]
        if hasattr(L, "SpectralNormalization"):
            x.append(L.SpectralNormalization(L.Dense(3))(L.Flatten()(a)))
        return (self.fill(self.model([a, b, c], x)),
                [self.data(2, 7, 3), self.data(2, 6, 5, 2), self.data(2, 2, 6, 5)])

    def adapted(self):
        """Layers that keep what adapt() saw, and types of counts; axes in any order, dicts in lists."""
        L = self.L
        a, b, t = self.input((2,), "a"), self.input((4, 3), "b"), self.input((1,), "t", "string")
        bins, few = L.Discretization(num_bins=7), L.Discretization(num_bins=9)
        words = L.TextVectorization(output_mode="multi_hot", vocabulary=["red", "blue"])
        p, q = self.input((2,), "p"), self.input((2,), "q")
        inner = self.model([p, {"y": q, "x": a}], L.Dense(3)(L.Concatenate()([p, q, a])))
        i, j, k = self.input((2,), "i"), self.input((2,), "j"), self.input((2,), "k")
        inner([i, {"y": j, "x": k}])
        y = inner([L.Dense(2)(a), {"y": a, "x": L.Dense(2, activation="tanh")(a)}])
        model = self.model([a, b, t], [bins(a), few(a), L.LayerNormalization(axis=[2, 1])(b), words(t), y])
        self.fill(model)
        bins.adapt(self.data(60, 1))
        few.adapt(self.data(3, 1))
        return model, [self.data(4, 2), self.data(4, 4, 3),
                       np.array([["red red"], ["blue"], ["x red"], [""]])]

    def operators(self):
        """TensorFlow's functions between layers."""
        L = self.L
        a, b = self.input((4, 6), "a"), self.input((4, 6), "b")
        x = L.Dense(6)(a) * 0.5 + b
        x = tf.concat([x[:, 1:3], tf.nn.relu(b)[:, ::2, :]], axis=1)
        y = tf.reduce_mean(x, axis=-1, keepdims=True)
        x = (x - y) / tf.sqrt(tf.reduce_mean(tf.square(x - y), axis=-1, keepdims=True) + 1e-3)
        x = 1.0 - tf.transpose(x, [0, 2, 1])
        x = tf.matmul(x, tf.reshape(x, (-1, 4, 6)))
        return (self.fill(self.model([a, b], L.Dense(3)(x))),
                [self.data(2, 4, 6), self.data(2, 4, 6)])


def main(folder, names):
    version = getattr(kind, "__version__", tf.__version__)
    archive = tuple(int(p) for p in version.split(".")[:2]) >= (2, 12)
    for name in names or NAMES:
        kind.backend.clear_session()
        cases = CasesTF(kind, version)
        if name == "normalised" and not hasattr(kind.layers, "Normalization"):
            continue
        model, inputs = getattr(cases, name)()
        prefix = os.path.join(folder, "%s%s_%s" % (NAME, version.replace("-tf", ""), name))
        write_expected(prefix + ".npz", inputs, model.predict(structure(name, inputs), verbose=0))
        if archive:
            model.save(prefix + ".keras", save_format="keras")  # 2.12's default is HDF5
            shrink(prefix + ".keras")
        if not archive or name in ("shared", "nested", "operators", "twins"):
            model.save(prefix + ".h5", save_format="h5")
            shrink(prefix + ".h5")
        if name in ("shared", "nested"):
            if archive and name == "shared":
                model.save_weights(prefix + ".weights.h5")
            else:
                model.save_weights(prefix + ".weights.h5", save_format="h5")
            shrink(prefix + ".weights.h5")
            with open(prefix + ".json", "w") as f:
                f.write(model.to_json())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

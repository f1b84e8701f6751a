"""Writes the corpus files of one Keras 3 version: python make_k3.py FOLDER [CASE...].

Run on JAX: KERAS_BACKEND=jax, which needs no TensorFlow of the version's age.

The expected numbers are those of the model that was saved, predicted by the Keras that saved it.
"""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
from cases import Cases, shrink, structure, write_expected
from keras.src.saving import saving_lib

NAMES = ["shared", "nested", "transfer", "sequential", "wide", "transposed", "recurrent", "text",
         "masked", "states", "convlstm", "attention", "dicts", "twins", "outside", "wrapped",
         "structures", "constants", "normalised", "operators", "mixed", "hidden", "joined", "arguments"]
# "packed" too, from Keras 3.11 on


class Cases3(Cases):
    def plus_constant(self, x, value):
        return keras.ops.add(x, value)

    def times_constant(self, value, x):
        return keras.ops.multiply(keras.ops.convert_to_tensor(value), x)

    def operators(self):
        """keras.ops and Python's operators between layers, constants among the arguments."""
        ops, L = keras.ops, self.L
        a, b = self.input((4, 6), "a"), self.input((4, 6), "b")
        x = L.Dense(6)(a) * 0.5 + b
        x = ops.concatenate([x[:, 1:3], ops.relu(b)[:, ::2, :]], axis=1)
        y = ops.mean(x, axis=-1, keepdims=True)
        x = (x - y) / ops.sqrt(ops.add(ops.mean(ops.square(x - y), axis=-1, keepdims=True), 1e-3))
        x = 1.0 - ops.transpose(x, (0, 2, 1))
        x = ops.matmul(x, ops.reshape(x, (-1, 4, 6)))
        return (self.fill(self.model([a, b], L.Dense(3)(x))),
                [self.data(2, 4, 6), self.data(2, 4, 6)])

    def arguments(self):
        """Operations whose settings were the call's arguments, or had other names."""
        ops, L = keras.ops, self.L
        a = self.input((4, 6), "a")
        x = ops.threshold(a, 0.3, -1.7) + ops.zeros_like(a, dtype="float32")
        y = ops.full_like(a, 2.0, dtype="int32")
        return (self.fill(self.model(a, [L.Dense(3)(x), y, ops.ones_like(a, dtype="bool")])),
                [self.data(2, 4, 6)])

    def packed(self):
        """Kernels of four bits, of two and more axes, with inputs that are rounded."""
        L = self.L
        a = self.input((4, 5), "a")
        x = L.MultiHeadAttention(2, 3)(L.Dense(6)(a), L.Dense(6)(a))
        x = L.EinsumDense("abc,cde->abde", (None, 2, 7), bias_axes="de")(x)
        model = self.fill(self.model(a, L.Dense(3)(x)))
        model.quantize("int4")
        return model, [self.data(3, 4, 5)]

    def mixed(self):
        """A policy for all layers but the last."""
        L = self.L
        a = self.input((5,))
        x = L.Dense(6, activation="relu", dtype="mixed_float16")(a)
        x = L.BatchNormalization(dtype="mixed_float16")(x)
        return self.fill(self.model(a, L.Dense(3, dtype="float32")(x))), [self.data(4, 5)]


def main(folder, names):
    version = keras.__version__
    for name in names or NAMES:
        keras.utils.clear_session()
        cases = Cases3(keras, version)
        model, inputs = getattr(cases, name)()
        prefix = os.path.join(folder, "k%s_%s" % (version, name))
        write_expected(prefix + ".npz", inputs, model.predict(structure(name, inputs), verbose=0))
        model.save(prefix + ".keras")
        if name != "wide":  # one a version stays as it was written
            shrink(prefix + ".keras")
        if name in ("nested", "twins", "recurrent"):
            try:
                model.save(prefix + ".h5")
                shrink(prefix + ".h5")
            except ValueError as e:  # "name already exists": some versions cannot
                print(prefix + ".h5:", e)
                os.unlink(prefix + ".h5")
        if name == "shared":
            model.save_weights(prefix + ".weights.h5")
            shrink(prefix + ".weights.h5")
            with open(prefix + ".json", "w") as f:
                f.write(model.to_json())
        if name == "sequential":
            saving_lib.save_model(model, prefix + ".npz.keras", weights_format="npz")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

"""Writes the corpus files of one multi-backend Keras 2 (2.0 to 2.3).

python make_k2.py FOLDER [CASE...]. KERAS_BACKEND is tensorflow (1.x) or theano; the latter's files
have "th" in their names: convolution kernels are stored turned by 180 degrees against TensorFlow's,
and nothing but the attribute `backend` says so.
"""

import os
import sys

import keras
from cases import Cases, shrink, structure, write_expected

NAMES = ["shared", "nested", "transfer", "sequential", "wide", "transposed", "recurrent", "text",
         "masked", "states", "convlstm", "twins", "outside", "wrapped", "local"]


class Cases2(Cases):
    def local(self):
        """What Keras 3 has no more."""
        L = self.L
        a, b = self.input((6, 5, 2), "a"), self.input((8, 3), "b")
        x = L.Flatten()(L.LocallyConnected2D(3, (2, 3))(a))
        y = L.Flatten()(L.ThresholdedReLU(0.4)(L.LocallyConnected1D(4, 3)(b)))
        return (self.fill(self.model([a, b], L.Concatenate()([x, L.Dense(2)(y)]))),
                [self.data(2, 6, 5, 2), self.data(2, 8, 3)])


def main(folder, names):
    backend = keras.backend.backend()
    version = keras.__version__ + ("th" if backend == "theano" else "")
    for name in names or NAMES:
        if backend == "tensorflow":
            keras.backend.clear_session()
        cases = Cases2(keras, keras.__version__)
        model, inputs = getattr(cases, name)()
        prefix = os.path.join(folder, "k%s_%s" % (version, name))
        write_expected(prefix + ".npz", inputs, model.predict(structure(name, inputs)))
        model.save(prefix + ".h5")
        shrink(prefix + ".h5")
        if name in ("shared", "nested"):
            model.save_weights(prefix + ".weights.h5")
            shrink(prefix + ".weights.h5")
            with open(prefix + ".json", "w") as f:
                f.write(model.to_json())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

"""The layers of cases.c in Python."""

import keras

register = keras.saving.register_keras_serializable(package="cases")


@register
class Scale(keras.layers.Layer):
    def __init__(self, power=1.0, **kwargs):
        super().__init__(**kwargs)
        self.power = power

    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1],), name="w", initializer="random_uniform")

    def call(self, x, shift=0.5):
        return x * self.w**self.power + shift

    def get_config(self):
        return {**super().get_config(), "power": self.power}


@register
class Block(keras.layers.Layer):
    def __init__(self, units, mode="mean", **kwargs):
        super().__init__(**kwargs)
        self.units, self.mode = units, mode
        self.dense = keras.layers.Dense(units)

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x):
        y = self.dense(x)
        s = keras.ops.softmax(keras.ops.matmul(y, keras.ops.transpose(y, (0, 2, 1))))
        y = keras.ops.tanh(keras.ops.concatenate([0.5 * keras.ops.matmul(s, y), y], axis=1))
        return keras.ops.mean(y, axis=1) if self.mode == "mean" else keras.ops.max(y, axis=1)

    def get_config(self):
        return {**super().get_config(), "units": self.units, "mode": self.mode}

"""The layer in Python, as a user of Keras writes it; swish.c is the same for kpredict."""

import keras


@keras.saving.register_keras_serializable(package="my_package")
class Swish(keras.layers.Layer):
    def __init__(self, beta=1.0, **kwargs):
        super().__init__(**kwargs)
        self.beta = beta
        self.supports_masking = True

    def call(self, x):
        return x * keras.ops.sigmoid(self.beta * x)

    def get_config(self):
        return {**super().get_config(), "beta": self.beta}

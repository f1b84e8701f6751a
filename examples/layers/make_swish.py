"""Writes swish.keras: a small model with a layer of its own, saved by Keras."""

import pathlib

import keras
from my_layers import Swish

keras.utils.set_random_seed(7)
model = keras.Sequential(
    [
        keras.Input((6,), name="row"),
        keras.layers.Dense(5, name="hidden", bias_initializer="random_normal"),
        Swish(beta=1.5, name="swish"),
        keras.layers.Dense(3, activation="softmax", name="kind"),
    ],
    name="swish_example",
)
model.save(pathlib.Path(__file__).parent / "swish.keras")

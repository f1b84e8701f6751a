"""Dense and what is like it."""

from parity_kit import data, keras, randomise

from . import case

L = keras.layers


@case("Dense")
def dense(rng):
    shape = tuple(int(v) for v in rng.integers(2, 8, rng.integers(1, 4)))
    x = keras.Input(shape)
    y = L.Dense(int(rng.choice([1, 5, 7, 17])), use_bias=bool(rng.integers(2)),
                activation=[None, "relu", "tanh", "softplus"][rng.integers(4)])(x)
    return randomise(keras.Model(x, y), int(rng.integers(1 << 30))), [data((3,) + shape, int(rng.integers(1 << 30)))]


@case("Cumsum", "op")
def cumsum(rng):
    shape = tuple(int(v) for v in rng.integers(1, 6, rng.integers(1, 4)))
    x = keras.Input(shape, dtype=str(rng.choice(["float32", "int32"])))
    y = keras.ops.cumsum(x, axis=int(rng.integers(1, len(shape) + 1)))
    return keras.Model(x, y), [(data((3,) + shape, int(rng.integers(1 << 30))) * 5).astype(x.dtype)]

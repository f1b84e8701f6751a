"""Rows from tables by number."""

from parity_kit import keras, np, randomise

from . import case

L = keras.layers


def seed(rng):
    return int(rng.integers(1 << 30))


def numbers(rng, shape, below, dtype):
    """Indices of any type; floats are cut off, and signed ones below 0 count from the back."""
    x = rng.integers(0, below, shape)
    if not dtype.startswith("u"):
        x = np.where(rng.integers(0, 4, shape) == 0, x - below, x)
    return (x + (rng.uniform(0, 0.4, shape) * (x >= 0) if "float" in dtype else 0)).astype(dtype)


@case("Embedding")
def embedding(rng):
    shape = tuple(int(v) for v in rng.integers(1, 6, rng.integers(0, 4)))
    dtype = str(rng.choice(["int32", "int64", "float32", "uint8", "int8", "int16", "uint16", "uint32"]))
    rows = int(rng.choice([1, 3, 17, 100]))
    x = keras.Input(shape, dtype=dtype)
    y = L.Embedding(rows, int(rng.choice([1, 5, 7, 16])), mask_zero=bool(rng.integers(2)))(x)
    return randomise(keras.Model(x, y), seed(rng)), [numbers(rng, (3,) + shape, rows, dtype)]


@case("Masking")
def masking(rng):
    shape = tuple(int(v) for v in rng.integers(1, 6, rng.integers(1, 4)))
    dtype = str(rng.choice(["float32", "float32", "int32", "int64"]))
    value = float(rng.choice([0.0, -1.0, 2.0, 0.1, -3.7]))
    x = keras.Input(shape, dtype=dtype)
    y = L.Masking(value, dtype=str(rng.choice(["float32", "float64"])))(x)
    a = rng.normal(0, 2, (4,) + shape)
    a = np.where(rng.uniform(size=(4,) + shape[:-1] + (1,)) < 0.5, value, a)
    return keras.Model(x, y), [a.astype(dtype)]

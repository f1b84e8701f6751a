"""Masks on their way through models: made, passed on, merged, used, lost."""

from parity_kit import data, keras, np, randomise

from . import Expect, case

L = keras.layers
STEPS = 5


def seed(rng):
    return int(rng.integers(1 << 30))


def flip(rng, chance=0.5):
    return bool(rng.uniform() < chance)


def sources(rng, n):
    """Sequences of 6 features: with a mask by number or by value, or without one."""
    inputs, arrays, tensors = [], [], []
    for _ in range(n):
        kind = int(rng.integers(3))
        if kind == 0:
            inputs.append(keras.Input((STEPS,), dtype="int32"))
            arrays.append(rng.integers(0, 4, (4, STEPS)).astype("int32"))
            tensors.append(L.Embedding(4, 6, mask_zero=True)(inputs[-1]))
        else:
            inputs.append(keras.Input((STEPS, 6)))
            keep = rng.integers(0, 3, (4, STEPS, 1)) > 0
            arrays.append((data((4, STEPS, 6), seed(rng)) * keep).astype("float32"))
            tensors.append(L.Masking()(inputs[-1]) if kind == 1 else inputs[-1])
    return inputs, arrays, tensors


def step(rng, x):
    """A layer that keeps the shape, whatever it does to the mask."""
    d = int(x.shape[-1])
    return [lambda: L.Dense(d, activation="tanh")(x), lambda: L.Dropout(0.3)(x), lambda: L.LayerNormalization()(x),
            lambda: L.Identity()(x), lambda: L.Activation("relu")(x), lambda: L.Conv1D(d, 3, padding="same")(x),
            lambda: L.BatchNormalization()(x), lambda: L.Rescaling(0.5)(x), lambda: L.Reshape((-1, d))(x),
            lambda: L.MultiHeadAttention(2, 3)(x, x), lambda: L.GroupQueryAttention(3, 2, 1)(x, x),
            lambda: L.Attention()([x, x]), lambda: L.EinsumDense("abc,cd->abd", (None, d))(x),
            lambda: L.UnitNormalization()(x), lambda: L.PReLU()(x), lambda: L.Activation("linear")(x)][rng.integers(16)]()


def merge(rng, tensors):
    classes = [L.Add, L.Multiply, L.Average, L.Maximum, L.Minimum]
    return classes[rng.integers(5)]()(tensors)


def end(rng, x):
    """What uses a mask, if it is still there."""
    return [lambda: L.GlobalAveragePooling1D(keepdims=flip(rng))(x), lambda: L.Attention()([x, x]),
            lambda: L.GlobalAveragePooling1D()(L.Dense(3)(x)), lambda: L.Multiply()([x, L.Dense(int(x.shape[-1]))(x)]),
            lambda: L.MultiHeadAttention(2, 3, dropout=0.2)(x, x), lambda: x][rng.integers(6)]()


def finish(rng, inputs, arrays, outputs):
    return randomise(keras.Model(inputs, outputs), seed(rng)), arrays, Expect(formats=("keras", "h5"))


@case("masks through layers", "model")
def chain(rng):
    inputs, arrays, (x,) = sources(rng, 1)
    for _ in range(int(rng.integers(1, 4))):
        x = step(rng, x)
    return finish(rng, inputs, arrays, end(rng, x))


@case("masks merged", "model")
def merged(rng):
    inputs, arrays, tensors = sources(rng, int(rng.integers(2, 4)))
    y = merge(rng, [step(rng, t) if flip(rng, 0.3) else t for t in tensors])
    return finish(rng, inputs, arrays, end(rng, y))


@case("masks joined", "model")
def joined(rng):
    inputs, arrays, tensors = sources(rng, int(rng.integers(2, 4)))
    return finish(rng, inputs, arrays, end(rng, L.Concatenate(axis=int(rng.choice([1, 2, -1])))(tensors)))


@case("masks around attention", "model")
def around(rng):
    inputs, arrays, tensors = sources(rng, 2)
    x = tensors[0]
    y = L.MultiHeadAttention(2, 3, dropout=float(rng.choice([0, 0.1])))(x, tensors[1])
    y = merge(rng, [x, y] + ([tensors[1]] if flip(rng, 0.3) else []))
    return finish(rng, inputs, arrays, end(rng, y))


@case("masks and nested models", "model")
def nested(rng):
    inputs, arrays, (x,) = sources(rng, 1)
    inner_in = keras.Input((STEPS, 6))
    inner = keras.Model(inner_in, step(rng, L.Masking()(inner_in) if flip(rng, 0.3) else inner_in))
    return finish(rng, inputs, arrays, end(rng, inner(x)))


@case("GlobalAveragePooling1D with a mask", "model")
def pooled(rng):
    first = flip(rng)
    x = keras.Input((6, STEPS) if first else (STEPS, 6))
    mask = keras.Input((STEPS,), dtype=str(rng.choice(["bool", "int32", "float32"])))
    layer = L.GlobalAveragePooling1D(data_format="channels_first" if first else "channels_last", keepdims=flip(rng))
    y = layer(x, mask) if flip(rng, 0.3) else layer(x, mask=mask)
    keep = rng.integers(0, 2, (4, STEPS))
    keep[:, 0] = 1
    return finish(rng, [x, mask], [data((4, *x.shape[1:]), seed(rng)), keep.astype(mask.dtype)], y)

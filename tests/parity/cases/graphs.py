"""Whole graphs at random: layers shared between calls and models, models within models, several inputs
and outputs in lists and dicts, operations with constants and keywords among the layers, both formats."""

from parity_kit import spread

from . import Expect, case
from .kit import L, activation, flag, inputs_of, keras, np, pick, randomise, seed

ops = keras.ops
BOTH = Expect(formats=("keras", "h5"))


def dense_block(rng, width):
    """A small nested model on vectors."""
    x = keras.Input((width,))
    y = L.Dense(int(rng.integers(2, 8)), activation=activation(rng))(x)
    if flag(rng):
        y = L.BatchNormalization()(y)
    y = L.Dense(width)(y)
    if flag(rng):
        y = L.Add()([x, y])
    model = keras.Model(x, y)
    model.trainable = flag(rng, 0.8)
    return model


def sequential_block(rng, width):
    return keras.Sequential([L.Input((width,)), L.Dense(5, activation=activation(rng)), L.Dropout(0.3),
                             L.LayerNormalization(), L.Dense(width)])


def step(rng, values, width, shared):
    """One more value of the graph from those that are there."""
    a, b = (values[int(rng.integers(len(values)))] for _ in range(2))
    kind = int(rng.integers(14))
    if kind == 0:
        return L.Dense(width, activation=activation(rng))(a)
    if kind == 1:
        return shared[int(rng.integers(len(shared)))](a)
    if kind == 2:
        return pick(rng, L.Add, L.Multiply, L.Average, L.Maximum, L.Minimum)()([a, b])
    if kind == 3:
        return L.Dense(width)(L.Concatenate()([a, b]))
    if kind == 4:
        return a * float(rng.uniform(0.3, 1.4)) + b
    if kind == 5:
        return float(rng.uniform(0.5, 1.5)) - a / 2
    if kind == 6:
        return ops.tanh(ops.stack([a, b], axis=1)[:, int(rng.integers(2))])
    if kind == 7:
        return ops.where(a > 0.1, b, np.full((width,), 0.3, "float32"))
    if kind == 8:
        return L.Dense(width)(ops.concatenate([a, ops.sum(b, axis=-1, keepdims=True)], axis=-1))
    if kind == 9:
        return ops.clip(ops.maximum(a, b), -2.0, x_max=2.0)
    if kind == 10:
        return a - ops.mean(a, axis=1, keepdims=True)
    if kind == 11:
        return L.Reshape((width,))(L.Conv1D(1, 3, padding="same")(L.Reshape((width, 1))(a)))
    if kind == 12:
        return ops.reshape(ops.transpose(ops.reshape(a, (-1, 2, width // 2)), (0, 2, 1)), (-1, width))
    return ops.softmax(a, axis=-1) * b


@case("random graph", "model")
def graph(rng):
    width = 2 * int(rng.integers(2, 5))
    xs = [keras.Input((width,), name=f"in_{i}") for i in range(int(rng.integers(1, 4)))]
    shared = [L.Dense(width, activation=activation(rng), name="shared"), dense_block(rng, width),
              sequential_block(rng, width)]
    values = list(xs)
    for _ in range(int(rng.integers(5, 14))):
        values.append(step(rng, values, width, shared))
    outs = [values[-1]] + [values[int(rng.integers(len(xs), len(values)))] for _ in range(int(rng.integers(0, 3)))]
    outs = [L.Activation("linear", name=f"out_{i}")(o) for i, o in enumerate(outs)]
    form = int(rng.integers(4))
    if form == 0:
        ins, outs = {x.name: x for x in xs}, {f"head_{i}": o for i, o in enumerate(outs)}
    elif form == 1 and len(xs) == 1 and len(outs) == 1:
        ins, outs = xs[0], outs[0]
    elif form == 2:
        ins, outs = xs, {"b": outs[0], "a": outs[1:]} if len(outs) > 1 else outs
    else:
        ins = tuple(xs)
    model = randomise(keras.Model(ins, outs), seed(rng))
    # Constants among an operation's arguments, which a legacy file can hold too.
    return model, inputs_of([(width,)] * len(xs), rng), Expect()


@case("transfer learning", "model")
def transfer(rng):
    """A frozen convolutional base inside, called with training=False, as published models are."""
    base_in = keras.Input((8, 8, 3))
    y = L.Conv2D(4, 3, padding="same", use_bias=False)(base_in)
    y = L.BatchNormalization()(y)
    y = L.ReLU(6.0)(y)
    y = L.DepthwiseConv2D(3, strides=2, padding="same")(y)
    y = L.BatchNormalization()(y)
    base = keras.Model(base_in, L.Conv2D(6, 1, activation="relu")(y), name="base")
    base.trainable = flag(rng)
    if flag(rng):
        for l in base.layers[:2]:
            l.trainable = False
    x = keras.Input((8, 8, 3))
    z = L.RandomFlip()(x)
    z = L.Rescaling(1 / 127.5, offset=-1)(z)
    z = base(z, training=False)
    z = L.GlobalAveragePooling2D()(z)
    z = L.Dropout(0.2)(z)
    model = randomise(keras.Model(x, L.Dense(5, activation=pick(rng, None, "softmax"))(z)), seed(rng))
    images = [rng.integers(0, 256, (3, 8, 8, 3)).astype("float32")]
    return spread(model, images[0]), images, BOTH


@case("siamese", "model")
def siamese(rng):
    """One model called twice, its outputs compared."""
    width = int(rng.integers(3, 8))
    inner = dense_block(rng, width)
    a, b = keras.Input((width,), name="a"), keras.Input((width,), name="b")
    u, v = inner(a), inner(b)
    how = int(rng.integers(3))
    y = L.Dot(1, normalize=True)([u, v]) if how == 0 else ops.abs(u - v) if how == 1 else L.Subtract()([u, v])
    model = randomise(keras.Model([a, b], L.Dense(1, activation="sigmoid")(y)), seed(rng))
    return model, inputs_of([(width,)] * 2, rng), BOTH if how != 1 else Expect()


@case("models called with dicts", "model")
def called_with_dicts(rng):
    """Inputs by keys in any order, by the inputs' names, in structures; with and without masks."""
    names = [str(n) for n in rng.permutation(["zz", "aa", "mm"])]
    inner = [keras.Input((5, 4), name=n) for n in names]
    y = L.Attention()([inner[0], inner[1]]) - 2 * inner[2] * inner[1]
    form = int(rng.integers(4))
    keys = [str(n) for n in rng.permutation(["q", "b", "k"])]
    struct = [dict(zip(keys, inner)), dict(zip(names, inner)), inner, [inner[0], {"y": inner[1], "x": inner[2]}]][form]
    model = keras.Model(struct, {"out": y, "more": L.Dense(2)(y)} if flag(rng) else y)
    xs = [keras.Input((5, 4)) for _ in range(3)]
    zs = [L.Masking()(x) if flag(rng) else x for x in xs]
    order = [int(i) for i in rng.permutation(3)]
    if form < 2 or (form == 2 and flag(rng)):
        made = (keys if form == 0 else names)
        call = {made[i]: zs[i] for i in order}
    else:
        call = zs if form == 2 else [zs[0], {"y": zs[1], "x": zs[2]}]
    whole = keras.Model(xs, model(call))
    values = [v * (rng.integers(0, 3, (3, 5, 1)) > 0) for v in inputs_of([(5, 4)] * 3, rng)]
    return randomise(whole, seed(rng)), [v.astype("float32") for v in values], Expect()


@case("open sizes", "model")
def open_sizes(rng):
    """A fully convolutional net on any size, or a mean over any length."""
    if flag(rng):
        x = keras.Input((None, None, 3))
        y = L.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
        y = L.Conv2DTranspose(2, 2, strides=2)(L.UpSampling2D()(L.MaxPooling2D()(y)))
        shape = (int(rng.integers(6, 14)), int(rng.integers(6, 14)), 3)
    else:
        x = keras.Input((None, 5))
        y = L.Conv1D(6, 3, padding=pick(rng, "same", "causal"))(x)
        y = L.LayerNormalization()(y) + L.Dense(6)(x)
        y = y - ops.mean(y, axis=1, keepdims=True)
        shape = (int(rng.integers(3, 11)), 5)
    return randomise(keras.Model(x, y), seed(rng)), inputs_of([shape], rng)

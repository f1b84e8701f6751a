"""Layers without windows: activations, normalisations, merging, reshaping, what does nothing at
inference, scaling."""

from . import Expect, case
from .kit import BATCH, L, activation, channels, flag, inputs_of, keras, layer_case, np, optional, pick, sizes


@case("Activation")
def activation_layer(rng):
    return layer_case(L.Activation(activation(rng)), [sizes(rng, int(rng.integers(1, 4)), 2, 7)], rng)


@case("ReLU")
def relu(rng):
    args = optional(rng, max_value=pick(rng, None, 1.1, 6.0), negative_slope=pick(rng, 0.0, 0.3),
                    threshold=pick(rng, 0.0, 0.4))
    return layer_case(L.ReLU(**args), [sizes(rng, 2, 2, 7)], rng)


@case("LeakyReLU")
def leaky(rng):
    return layer_case(L.LeakyReLU(**optional(rng, negative_slope=float(rng.uniform(0, 0.6)))),
                      [sizes(rng, 2, 2, 7)], rng)


@case("ELU")
def elu(rng):
    return layer_case(L.ELU(**optional(rng, alpha=float(rng.uniform(0.2, 2)))), [sizes(rng, 2, 2, 7)], rng)


@case("PReLU")
def prelu(rng):
    shape = sizes(rng, int(rng.integers(1, 4)), 2, 6)
    shared = [a + 1 for a in range(len(shape)) if flag(rng)]
    return layer_case(L.PReLU(shared_axes=shared or None), [shape], rng)


@case("BatchNormalization")
def batchnorm(rng):
    shape = sizes(rng, int(rng.integers(1, 4)), 2, 7)
    axis = int(rng.integers(1, len(shape) + 1)) * pick(rng, 1, -1)
    if axis < 0:
        axis = max(axis, -len(shape))
    args = optional(rng, epsilon=pick(rng, 1e-3, 0.05), center=flag(rng), scale=flag(rng), renorm=flag(rng, 0.3))
    model, inputs = layer_case(L.BatchNormalization(axis=axis, **args), [shape], rng)
    return model, inputs, Expect(formats=("keras", "h5"))


@case("LayerNormalization")
def layernorm(rng):
    shape = sizes(rng, int(rng.integers(1, 4)), 2, 7)
    axes = [a - len(shape) - 1 if flag(rng, 0.4) else a
            for a in dict.fromkeys(int(a) for a in rng.integers(1, len(shape) + 1, 2))]
    args = optional(rng, axis=pick(rng, -1, axes), epsilon=pick(rng, 1e-3, 0.1), center=flag(rng),
                    scale=flag(rng))
    if flag(rng, 0.2) and not isinstance(args.get("axis"), list):
        args["rms_scaling"] = True
    return layer_case(L.LayerNormalization(**args), [shape], rng)


@case("GroupNormalization")
def groupnorm(rng):
    groups = pick(rng, 1, 3, 5)
    shape = list(sizes(rng, int(rng.integers(1, 4)), 2, 6))
    axis = pick(rng, -1, int(rng.integers(1, len(shape) + 1)), -int(rng.integers(1, len(shape) + 1)))
    shape[axis - 1 if axis > 0 else axis] = groups * int(rng.integers(1, 4))
    if flag(rng, 0.2):
        groups = -1
    args = optional(rng, epsilon=pick(rng, 1e-3, 0.1), center=flag(rng), scale=flag(rng))
    return layer_case(L.GroupNormalization(groups, axis=axis, **args), [tuple(shape)], rng)


@case("RMSNormalization")
def rmsnorm(rng):
    shape = sizes(rng, 3, 2, 7)
    if flag(rng, 0.2):
        shape = (5, 5)
        return layer_case(L.RMSNormalization(axis=1), [shape], rng)
    return layer_case(L.RMSNormalization(axis=pick(rng, -1, [2, 3], [-1], [1, 2, 3], 3),
                                         epsilon=pick(rng, 1e-6, 1e-2)), [shape], rng)


@case("UnitNormalization")
def unitnorm(rng):
    model, inputs = layer_case(L.UnitNormalization(axis=pick(rng, -1, 1, [1, 2], [-1, 1], 2, [1, 2, 3])),
                               [sizes(rng, 3, 2, 7)], rng)
    if flag(rng, 0.3):
        inputs[0][0] = 0
    return model, inputs


@case("SpectralNormalization")
def spectral(rng):
    inner, shape = pick(rng,
        (L.Dense(5, activation="relu"), (7,)), (L.Conv2D(4, 3, strides=2), (7, 6, 3)),
        (L.Conv1D(5, 2, padding="same"), (6, 3)), (L.Conv2DTranspose(3, 3, strides=2), (4, 5, 2)),
        (L.Dense(3, use_bias=False), (4, 5)),
        (L.EinsumDense("abc,cd->abd", (None, 6), bias_axes="d"), (4, 5)))
    model, inputs = layer_case(L.SpectralNormalization(inner, power_iterations=pick(rng, 1, 2)), [shape], rng)
    return model, inputs, Expect(formats=("keras", "h5"))


@case("EinsumDense")
def einsum_dense(rng):
    equation, shape, out, bias = pick(rng,
        ("ab,bc->ac", (5,), (7,), "c"), ("abc,cd->abd", (3, 5), (3, 7), "d"),
        ("abc,cd->adb", (3, 5), (7, 3), "d"), ("abc,cde->abde", (3, 5), (3, 2, 4), "de"),
        ("abde,dec->abc", (3, 2, 5), (3, 7), "c"), ("...x,xy->...y", (3, 2, 5), (3, 2, 7), "y"),
        ("ab...,bc->ac...", (5, 3, 2), (7, 3, 2), "c"), ("abc,bcd->abd", (3, 5), (3, 7), "bd"),
        ("abc,bd->acd", (3, 5), (5, 7), "cd"), ("abcd,bde->abce", (3, 4, 5), (3, 4, 6), "be"),
        ("abc,dc->abd", (3, 5), (3, 7), None), ("abcd,bce->aecbd", (2, 3, 4), (5, 3, 2, 4), "e"),
        ("ab,bcd->adc", (5,), (3, 2), "dc"), ("abc,bc->ab", (3, 5), (3,), "b"))
    return layer_case(L.EinsumDense(equation, out, bias_axes=bias if flag(rng, 0.8) else None,
                                    activation=activation(rng)), [shape], rng)


@case("Dot")
def dot(rng):
    a, b, axes = pick(rng, ((5,), (5,), 1), ((5,), (5,), -1), ((4, 5), (3, 5), 2), ((4, 5), (4, 3), 1),
                      ((4, 5), (5, 3), (2, 1)), ((5,), (5, 3), 1), ((5, 3), (5,), 1),
                      ((2, 3, 5), (4, 5), (3, 2)), ((2, 5, 3), (5, 4, 2), (2, 1)), ((5, 2), (3, 5), (-2, -1)))
    return layer_case(L.Dot(axes=axes, normalize=flag(rng)), [a, b], rng)


def merge(name):
    @case(name)
    def one(rng):
        # No size is BATCH: with rows that are known, as here and not in predict, Keras' addition takes a
        # column of so many for a bias of its features.
        shape = sizes(rng, int(rng.integers(1, 5)), BATCH + 1, 7)
        n = 2 if name == "Subtract" else int(rng.integers(2, 5))
        shapes = [tuple(s if flag(rng, 0.8) else 1 for s in shape) for _ in range(n)]
        if flag(rng, 0.2) and len(shape) > 1:
            shapes[-1] = shape[-1:]
        return layer_case(getattr(L, name)(), shapes, rng)


for _name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"):
    merge(_name)


@case("Concatenate")
def concatenate(rng):
    shape = sizes(rng, int(rng.integers(1, 4)), 1, 5)
    axis = int(rng.integers(1, len(shape) + 1))
    shapes = [shape[:axis - 1] + (int(rng.integers(1, 5)),) + shape[axis:]
              for _ in range(int(rng.integers(2, 5)))]
    return layer_case(L.Concatenate(axis=pick(rng, axis, axis - len(shape) - 1)), shapes, rng)


@case("Reshape")
def reshape(rng):
    shape = sizes(rng, int(rng.integers(1, 4)), 1, 6)
    total = int(np.prod(shape))
    first = pick(rng, *[d for d in range(1, total + 1) if total % d == 0])
    target = pick(rng, (total,), (first, total // first), (-1, first), (first, -1), (1, -1), (-1,))
    return layer_case(L.Reshape(target), [shape], rng)


@case("Permute")
def permute(rng):
    shape = sizes(rng, int(rng.integers(1, 5)), 1, 5)
    return layer_case(L.Permute(tuple(int(v) + 1 for v in rng.permutation(len(shape)))), [shape], rng)


@case("RepeatVector")
def repeat_vector(rng):
    return layer_case(L.RepeatVector(int(rng.integers(1, 6))), [(channels(rng),)], rng)


@case("Rescaling")
def rescaling(rng):
    kind = pick(rng, "float32", "uint8", "int32")
    shape = sizes(rng, 3, 1, 5)
    x = keras.Input(shape, dtype=kind)
    scale, offset = float(rng.uniform(0.001, 2)), float(rng.uniform(-1, 1))
    if flag(rng, 0.2):
        scale, offset = [float(v) for v in rng.uniform(0.1, 2, shape[-1])], [0.5] * shape[-1]
    y = L.Rescaling(scale, **({"offset": offset} if flag(rng) else {}))(x)
    values = rng.integers(0, 256, (3,) + shape).astype(kind)
    return keras.Model(x, y), [values]


@case("Identity")
def identity(rng):
    return layer_case(lambda x: L.Identity()(L.Dense(3)(x)), [(channels(rng),)], rng)


NOTHING = {
    "Dropout": lambda rng: L.Dropout(0.4), "GaussianDropout": lambda rng: L.GaussianDropout(0.3),
    "GaussianNoise": lambda rng: L.GaussianNoise(0.7), "AlphaDropout": lambda rng: L.AlphaDropout(0.2),
    "ActivityRegularization": lambda rng: L.ActivityRegularization(0.1, 0.2),
}


def nothing(name, make):
    @case(name)
    def one(rng):
        return layer_case(lambda x: L.Dense(4)(make(rng)(x)), [sizes(rng, 2, 2, 6)], rng)


for _name, _make in NOTHING.items():
    nothing(_name, _make)


def spatial_dropout(name, n):
    @case(name)
    def one(rng):
        format = {} if n == 1 or flag(rng) else {"data_format": "channels_last"}
        return layer_case(lambda x: L.Dense(4)(getattr(L, name)(0.4, **format)(x)),
                          [sizes(rng, n + 1, 2, 5)], rng)


for _n in (1, 2, 3):
    spatial_dropout(f"SpatialDropout{_n}D", _n)


@case("InputLayer")
def input_layer(rng):
    shape, kind = sizes(rng, 2, 1, 5), pick(rng, "float32", "int32", "uint8", "bool", "float16", "int64")
    x = keras.Input(shape, dtype=kind)
    y = keras.Input(shape)
    values = rng.integers(0, 2 if kind == "bool" else 100, (3,) + shape).astype(kind)
    return keras.Model([x, y], [L.Identity()(x), L.Dense(2)(y)]), [values] + inputs_of([shape], rng)


@case("Softmax")
def softmax(rng):
    shape = sizes(rng, int(rng.integers(1, 4)), 2, 6)
    axes = sorted(set(int(a) for a in rng.integers(1, len(shape) + 1, 2)))
    return layer_case(L.Softmax(**optional(rng, axis=pick(rng, -1, axes, axes[0]))), [shape], rng)

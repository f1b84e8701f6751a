"""keras.ops.nn as it stands in saved graphs."""

from parity_kit import data, keras, np

from . import Expect, case, refused
from .kit import flag, pick, seed

ops = keras.ops
SPECIAL = np.array([0.0, -0.0, 1, -1, 0.5, -0.5, 3, -3, 6, -6, 20, -20, 90, -90, np.inf, -np.inf], "float32")


def number(rng, low, high):
    return int(rng.integers(low, high))


def sizes(rng, low=1, high=4):
    return [number(rng, 1, 7) for _ in range(number(rng, low, high))]


def draw(rng, shape, special=False, kind="float32"):
    x = data((3, *shape), seed(rng))
    if kind.startswith(("int", "uint")):
        return (x * 4).astype(kind)
    if special:
        where = rng.random(x.shape) < 0.2
        x = np.where(where, rng.choice(SPECIAL, x.shape), 3 * x)
    return x.astype(kind)


def one(fn, rng, shape, x=None, expect=None, kind="float32"):
    v = keras.Input(shape, dtype=kind)
    y = fn(v)
    made = keras.Model(v, list(y) if isinstance(y, (list, tuple)) else y), [draw(rng, shape) if x is None else x]
    return (*made, expect) if expect else made


# ---- functions

FUNCTIONS = {
    "Celu": lambda rng: lambda x: ops.celu(x, float(rng.uniform(0.3, 2))),
    "Elu": lambda rng: lambda x: ops.elu(x, pick(rng, 1.0, 0.4, 1.7)),
    "Gelu": lambda rng: lambda x: ops.gelu(x, flag(rng)),
    "HardShrink": lambda rng: lambda x: ops.hard_shrink(x, float(rng.uniform(0, 2))),
    "HardSigmoid": lambda rng: ops.hard_sigmoid,
    "HardSilu": lambda rng: ops.hard_silu,
    "HardTanh": lambda rng: ops.hard_tanh,
    "LeakyRelu": lambda rng: lambda x: ops.leaky_relu(x, float(rng.uniform(0, 0.9))),
    "LogSigmoid": lambda rng: ops.log_sigmoid,
    "Relu": lambda rng: ops.relu,
    "Relu6": lambda rng: ops.relu6,
    "Selu": lambda rng: ops.selu,
    "Sigmoid": lambda rng: ops.sigmoid,
    "Silu": lambda rng: ops.silu,
    "SoftShrink": lambda rng: lambda x: ops.soft_shrink(x, float(rng.uniform(0, 2))),
    "Softplus": lambda rng: ops.softplus,
    "Softsign": lambda rng: ops.softsign,
    "SparsePlus": lambda rng: ops.sparse_plus,
    "SparseSigmoid": lambda rng: ops.sparse_sigmoid,
    "Squareplus": lambda rng: lambda x: ops.squareplus(x, pick(rng, 4, 0, 1.5)),
    "TanhShrink": lambda rng: ops.tanh_shrink,
    "Threshold": lambda rng: lambda x: ops.threshold(x, float(rng.normal()), float(rng.normal())),
}


def function(name, make):
    @case(name, "op")
    def made(rng):
        shape = sizes(rng, 0, 4)
        kind = pick(rng, "float32", "float32", "int32") if name in ("Relu", "Relu6") else "float32"
        return one(make(rng), rng, shape, draw(rng, shape, name != "Gelu", kind), kind=kind)


for _name, _make in FUNCTIONS.items():
    function(_name, _make)


def any_axis(rng, shape):
    axis = number(rng, 1, len(shape) + 1)
    return axis if flag(rng) else axis - len(shape) - 1


@case("Glu", "op")
def glu(rng):
    shape = sizes(rng)
    axis = any_axis(rng, shape)
    shape[axis - 1 if axis > 0 else axis] = pick(rng, 2, 4, 6)
    return one(lambda x: ops.glu(x, axis), rng, shape)


@case("Softmax", "op")
def softmax(rng):
    shape = sizes(rng)
    axis = any_axis(rng, shape)
    return one(lambda x: ops.softmax(x, axis), rng, shape)


@case("LogSoftmax", "op")
def log_softmax(rng):
    shape = sizes(rng)
    axis = any_axis(rng, shape)
    return one(lambda x: ops.log_softmax(x, axis), rng, shape)


@case("Sparsemax", "op")
def sparsemax(rng):
    shape = sizes(rng)
    axis = any_axis(rng, shape)
    return one(lambda x: ops.sparsemax(x, axis), rng, shape)


# ---- classes as vectors

KINDS = ("float32", "int32", "bool", "uint8", "int64")


@case("OneHot", "op")
def one_hot(rng):
    shape, n = sizes(rng, 0, 4), number(rng, 1, 8)
    axis = pick(rng, -1, number(rng, 1, len(shape) + 1) if shape else -1)
    kind, dtype = pick(rng, "int32", "int64", "uint8"), pick(rng, *KINDS)
    x = rng.integers(0 if kind == "uint8" else -2, n + 2, (3, *shape)).astype(kind)
    return one(lambda v: ops.one_hot(v, n, axis=axis, dtype=dtype), rng, shape, x, kind=kind)


@case("MultiHot", "op")
def multi_hot(rng):
    shape, n = sizes(rng, 1, 3), number(rng, 1, 8)
    axis = pick(rng, -1, number(rng, 1, len(shape) + 1))
    dtype = pick(rng, "float32", "int32", "uint8")
    x = rng.integers(0, n, (3, *shape)).astype("int32")
    return one(lambda v: ops.multi_hot(v, n, axis=axis, dtype=dtype), rng, shape, x, kind="int32")


# ---- statistics

def some_axes(rng, n):
    return sorted(int(a) + 1 for a in rng.permutation(n)[:number(rng, 1, n + 1)])


@case("Moments", "op")
def moments(rng):
    shape = sizes(rng)
    axes = some_axes(rng, len(shape))
    keep = flag(rng)
    return one(lambda x: ops.moments(x, axes, keepdims=keep), rng, shape)


@case("Normalize", "op")
def normalize(rng):
    shape = sizes(rng)
    order = pick(rng, 2, 1, 3, 2)
    axis = any_axis(rng, shape)
    if order == 2 and flag(rng):
        axis = tuple(some_axes(rng, len(shape)))
    x = draw(rng, shape)
    x[0] = 0
    x[1] *= pick(rng, 1, 1e-6)
    epsilon = pick(rng, None, 1e-3)
    return one(lambda v: ops.normalize(v, axis=axis, order=order, epsilon=epsilon), rng, shape, x)


@case("BatchNorm", "op")
def batch_norm(rng):
    shape = sizes(rng)
    axis = any_axis(rng, shape)
    n = shape[axis - 1 if axis > 0 else axis]
    mean, offset = rng.normal(0, 1, (2, n)).astype("float32")
    variance, scale = rng.uniform(0.3, 2, (2, n)).astype("float32")
    epsilon = pick(rng, 1e-3, 1e-5, 0.1)
    return one(lambda x: keras.ops.batch_normalization(x, mean, variance, axis, offset=offset, scale=scale,
                                                       epsilon=epsilon), rng, shape)


@case("LayerNorm", "op")
def layer_norm(rng):
    shape = sizes(rng)
    axes = some_axes(rng, len(shape))
    one_axis = len(axes) == 1
    n = [shape[a - 1] for a in axes]
    gamma, beta = rng.uniform(0.5, 1.5, n).astype("float32"), rng.normal(0, 1, n).astype("float32")
    rms = flag(rng)
    return one(lambda x: ops.layer_normalization(x, gamma, beta, axis=axes[0] if one_axis else axes,
                                                 epsilon=pick(rng, None, 1e-3), rms_scaling=rms), rng, shape,
               expect=Expect(rtol=2e-4, atol=5e-5))


@case("RMSNorm", "op")
def rms_norm(rng):
    shape = sizes(rng)
    last = shape[-1]
    scale = pick(rng, None, rng.uniform(0.5, 1.5, last).astype("float32"))
    axis = pick(rng, -1, tuple(some_axes(rng, len(shape))))
    return one(lambda x: ops.rms_normalization(x, scale=scale, axis=axis, epsilon=pick(rng, None, 1e-3)), rng, shape)


@case("DotProductAttention", "op")
def attention(rng):
    t, s, depth, groups, own = [number(rng, 1, 6) for _ in range(5)]
    heads = own * groups if own > 1 else own
    shapes = [(t, heads, depth), (s, own, depth), (s, own, depth)]
    xs = [keras.Input(v) for v in shapes]
    arrays = [draw(rng, v) for v in shapes]
    config = {"is_causal": flag(rng), "scale": pick(rng, None, 0.3)}
    if flag(rng):
        config["bias"] = rng.normal(0, 1, (1, pick(rng, 1, heads), t, s)).astype("float32")
    kind = number(rng, 0, 3)
    if kind == 1:
        config["mask"] = rng.random((1, 1, t, s)) < 0.7
    if kind == 2:
        xs.append(keras.Input((1, t, s), dtype="bool"))
        arrays.append(rng.random((3, 1, t, s)) < 0.7)
        config["mask"] = xs[-1]
    return keras.Model(xs, ops.dot_product_attention(*xs[:3], **config)), arrays


# ---- windows

def padding(rng):
    return pick(rng, "valid", "same")


def image(rng, n, extent, channels, first):
    space = [int(rng.integers(extent, extent + 7)) for _ in range(n)]
    return [channels, *space] if first else [*space, channels]


def pool(name, fn):
    @case(name, "op")
    def made(rng):
        n, first = number(rng, 1, 4), flag(rng)
        size = pick(rng, 2, 3, tuple(number(rng, 1, 4) for _ in range(n)))
        strides = pick(rng, None, 1, 2, tuple(number(rng, 1, 4) for _ in range(n)))
        shape = image(rng, n, 3, number(rng, 1, 6), first)
        pad = padding(rng)
        return one(lambda x: fn(x, size, strides, pad, "channels_first" if first else "channels_last"), rng, shape)


pool("MaxPool", ops.max_pool)
pool("AveragePool", ops.average_pool)


def steps(rng, n, high=3):
    """Strides and dilations: only one of them may be above 1."""
    strides = pick(rng, 1, 2, tuple(number(rng, 1, high) for _ in range(n)))
    dilation = pick(rng, 1, 2, tuple(number(rng, 1, high) for _ in range(n)))
    return (strides, 1) if flag(rng) else (1, dilation)


@case("Conv", "op")
def conv(rng):
    """TensorFlow cannot convolve channels_first on a CPU: expected is the same with channels last."""
    n, first = number(rng, 1, 4), flag(rng)
    into, out = number(rng, 1, 4), number(rng, 1, 5)
    kernel = rng.normal(0, 0.4, (*[number(rng, 1, 4) for _ in range(n)], into, out)).astype("float32")
    strides, dilation = steps(rng, n)
    x = draw(rng, image(rng, n, 5, into, False))
    pad = padding(rng)
    if not first:
        return one(lambda v: ops.conv(v, kernel, strides, pad, "channels_last", dilation), rng, x.shape[1:], x)
    want = np.moveaxis(np.asarray(ops.conv(x, kernel, strides, pad, "channels_last", dilation)), -1, 1)
    x = np.ascontiguousarray(np.moveaxis(x, -1, 1))
    return one(lambda v: ops.conv(v, kernel, strides, pad, "channels_first", dilation), rng, x.shape[1:], x,
               Expect(outputs=[want]))


@case("DepthwiseConv", "op")
def depthwise(rng):
    n, first = number(rng, 1, 3), flag(rng)
    into = number(rng, 1, 5)
    kernel = rng.normal(0, 0.4, (*[number(rng, 1, 4) for _ in range(n)], into, number(rng, 1, 3))).astype("float32")
    strides, dilation = number(rng, 1, 3), 1
    if flag(rng):
        strides, dilation = 1, pick(rng, 2, tuple(number(rng, 1, 3) for _ in range(n)))
    shape = image(rng, n, 5, into, first)
    pad = padding(rng)
    return one(lambda x: ops.depthwise_conv(x, kernel, strides, pad, "channels_first" if first else "channels_last",
                                            dilation), rng, shape)


@case("SeparableConv", "op")
def separable(rng):
    n, first = number(rng, 1, 3), flag(rng)
    into, mult = number(rng, 1, 5), number(rng, 1, 3)
    kernel = rng.normal(0, 0.4, (*[number(rng, 1, 4) for _ in range(n)], into, mult)).astype("float32")
    point = rng.normal(0, 0.4, (*[1] * n, into * mult, number(rng, 1, 5))).astype("float32")
    shape = image(rng, n, 5, into, first)
    pad, strides = padding(rng), number(rng, 1, 3)
    return one(lambda x: ops.separable_conv(x, kernel, point, strides, pad,
                                            "channels_first" if first else "channels_last"), rng, shape)


def window(rng):
    """The arguments of fold and unfold, and an image that they fit."""
    k, d, s, p = [pick(rng, number(rng, 1, 4), (number(rng, 1, 4), number(rng, 1, 4))) for _ in range(4)]
    p = pick(rng, 0, 1, (1, 2))
    pair = lambda v: (v, v) if isinstance(v, int) else v
    hw = [max(1, (pair(k)[i] - 1) * pair(d)[i] + 1 - 2 * pair(p)[i]) + number(rng, 0, 4) for i in range(2)]
    return {"kernel_size": k, "dilation": d, "padding": p, "stride": s}, hw


@case("Unfold", "op")
def unfold(rng):
    config, hw = window(rng)
    return one(lambda x: ops.unfold(x, **config), rng, [number(rng, 1, 4), *hw])


@case("Fold", "op")
def fold(rng):
    config, hw = window(rng)
    c = number(rng, 1, 4)
    shape = ops.unfold(np.zeros((1, c, *hw), "float32"), **config).shape[1:]
    return one(lambda x: ops.fold(x, tuple(hw), **config), rng, [int(v) for v in shape])


@case("DepthToSpace", "op")
def depth_to_space(rng):
    b, first = number(rng, 2, 4), flag(rng)
    shape = image(rng, 2, 1, b * b * number(rng, 1, 4), first)
    kind = pick(rng, "float32", "int32")
    return one(lambda x: ops.depth_to_space(x, b, "channels_first" if first else "channels_last"), rng, shape,
               draw(rng, shape, kind=kind), kind=kind)


@case("SpaceToDepth", "op")
def space_to_depth(rng):
    b, first = number(rng, 2, 4), flag(rng)
    space = [b * number(rng, 1, 4) for _ in range(2)]
    shape = [number(rng, 1, 4), *space] if first else [*space, number(rng, 1, 4)]
    return one(lambda x: ops.space_to_depth(x, b, "channels_first" if first else "channels_last"), rng, shape)


@case("ExtractSequences", "op")
def extract_sequences(rng):
    shape = sizes(rng)
    shape[-1] = number(rng, 3, 20)
    n, step = number(rng, 1, shape[-1] + 1), number(rng, 1, 6)
    return one(lambda x: ops.extract_sequences(x, n, step), rng, shape)


# ---- losses

def loss_inputs(rng, shape, kind):
    """The output as probabilities, or as what a sigmoid or softmax makes of an input."""
    made = flag(rng)
    z = draw(rng, shape)
    x = keras.Input(shape)
    if made:
        y = ops.sigmoid(x) if kind == "binary" else ops.softmax(x)
        return x, y, z
    p = 1 / (1 + np.exp(-z))
    p[0, ..., :1] = rng.choice([0, 1, 1e-9])
    return x, x, p.astype("float32")


@case("BinaryCrossentropy", "op")
def binary_crossentropy(rng):
    shape, logits = sizes(rng), flag(rng)
    x, y, z = loss_inputs(rng, shape, "binary")
    t = keras.Input(shape)
    target = rng.random((3, *shape)).astype("float32").round(int(rng.integers(2)))
    return keras.Model([t, x], ops.binary_crossentropy(t, y, from_logits=logits)), [target, z]


@case("CategoricalCrossentropy", "op")
def categorical_crossentropy(rng):
    shape, logits = sizes(rng), flag(rng)
    x, y, z = loss_inputs(rng, shape, "softmax")
    t = keras.Input(shape)
    target = rng.dirichlet(np.ones(shape[-1]), (3, *shape[:-1])).astype("float32")
    return keras.Model([t, x], ops.categorical_crossentropy(t, y, from_logits=logits)), [target, z]


@case("SparseCategoricalCrossentropy", "op")
def sparse_categorical_crossentropy(rng):
    shape, logits = sizes(rng), flag(rng)
    x, y, z = loss_inputs(rng, shape, "softmax")
    lead = shape[:-1] + ([1] if flag(rng) else [])
    t = keras.Input(lead, dtype="int32")
    target = rng.integers(0, shape[-1], (3, *lead)).astype("int32")
    return keras.Model([t, x], ops.sparse_categorical_crossentropy(t, y, from_logits=logits)), [target, z]


@case("CTCLoss", "op")
def ctc_loss(rng):
    labels, classes = number(rng, 1, 4), number(rng, 3, 7)
    steps = 2 * labels + 1 + number(rng, 0, 4)  # room for the worst: equal labels
    blank = pick(rng, 0, classes - 1)
    xs = [keras.Input((labels,), dtype="int32"), keras.Input((steps, classes)), keras.Input((), dtype="int32"),
          keras.Input((), dtype="int32")]
    target = rng.integers(0 if blank else 1, classes - (blank > 0), (3, labels)).astype("int32")
    arrays = [target, draw(rng, (steps, classes)), rng.integers(0, labels + 1, 3).astype("int32"),
              rng.integers(2 * labels + 1, steps + 1, 3).astype("int32")]
    return keras.Model(xs, ops.ctc_loss(*xs, mask_index=blank)), arrays, Expect(rtol=2e-4, atol=5e-5)


# ---- what has no meaning a row

def refuse(name, reason, make):
    @refused(name, reason, "op")
    def one(path, rng):
        make().save(path)


def model_of(fn, *shapes, dtypes=("float32",) * 4):
    xs = [keras.Input(s, dtype=d) for s, d in zip(shapes, dtypes)]
    y = fn(*xs)
    return keras.Model(xs, list(y) if isinstance(y, (list, tuple)) else y)


refuse("Polar", "complex tensors", lambda: model_of(lambda a, b: ops.polar(a, b), (3,), (3,)))
refuse("Eig", "complex tensors", lambda: model_of(lambda a: keras.ops.linalg.eig(a), (3, 3)))
refuse("ElasticTransform", "random at inference too", lambda: model_of(
    lambda a: keras.ops.image.elastic_transform(a), (5, 5, 3)))

"""Graphs that fold the batch into other axes and out of them again, and that put axes before it."""

from . import case
from .kit import data, keras, np, pick, randomise, seed
from .kit import sizes as drawn

layers, ops = keras.layers, keras.ops


def sizes(rng, n, low, high):
    return list(drawn(rng, n, low, high))


def numbers(rng, shape):
    return data(tuple(shape), seed(rng))


def done(rng, inputs, outputs, arrays):
    return randomise(keras.Model(inputs, outputs), seed(rng)), arrays


# ---- atoms: every axis is a product of sizes, one of which is the batch ("B") ----


def target(axes):
    return [-1 if "B" in a else int(np.prod(a, dtype=int)) for a in axes]


def merged(rng, axes):
    at = int(rng.integers(len(axes) - 1))
    return axes[:at] + [axes[at] + axes[at + 1]] + axes[at + 2:]


def parted(rng, axes):
    at = int(rng.integers(len(axes)))
    if len(axes[at]) < 2 or len(axes) > 5:
        return axes
    cut = int(rng.integers(1, len(axes[at])))
    return axes[:at] + [axes[at][:cut], axes[at][cut:]] + axes[at + 1:]


def batch_axis(axes):
    return next(i for i, a in enumerate(axes) if "B" in a)


def by_constant(rng, y, axes):
    """With an array that is broadcast: 1 where the batch is. (Keras takes some that are added for biases.)"""
    n = int(rng.integers(len(axes) + 1))
    shape = [1 if "B" in a or rng.random() < 0.4 else int(np.prod(a, dtype=int)) for a in axes[len(axes) - n:]]
    c = numbers(rng, shape)
    return pick(rng, *[lambda: y - c, lambda: y * c, lambda: ops.maximum(c, y),
                      lambda: ops.where(c > 0, y, -y)])()


def reduced(rng, y, axes):
    free = [i for i, a in enumerate(axes) if "B" not in a]
    if not free or len(axes) < 3:
        return y, axes
    at, keep = pick(rng, *free), bool(rng.integers(2))
    y = pick(rng, *[ops.mean, ops.sum, ops.max, ops.std])(y, axis=at if rng.integers(2) else at - len(axes),
                                                        keepdims=keep)
    return y, axes[:at] + ([[1]] if keep else []) + axes[at + 1:]


def picked(rng, y, axes):
    free = [i for i, a in enumerate(axes) if "B" not in a]
    if not free or len(axes) < 3:
        return y, axes
    at = pick(rng, *free)
    i = int(rng.integers(np.prod(axes[at], dtype=int)))
    how = int(rng.integers(4))
    rest = axes[:at] + axes[at + 1:]
    if how == 0:
        return y[(slice(None),) * at + (i,)], rest
    if how == 1:
        return ops.take(y, i, axis=at), rest
    if how == 2:
        return ops.unstack(y, axis=at)[i], rest
    pieces = ops.split(y, int(np.prod(axes[at], dtype=int)), axis=at)
    return ops.squeeze(pieces[i], at), rest


def one_step(rng, y, axes):
    how = int(rng.integers(10))
    if how <= 1 and len(axes) > 1:
        new = merged(rng, axes)
    elif how <= 3:
        new = parted(rng, axes)
    elif how <= 5:
        perm = [int(v) for v in rng.permutation(len(axes))]
        return ops.transpose(y, perm), [axes[i] for i in perm]
    elif how == 6:
        return by_constant(rng, y, axes), axes
    elif how == 7:
        return reduced(rng, y, axes)
    elif how == 8:
        return picked(rng, y, axes)
    else:
        free = [i for i, a in enumerate(axes) if "B" not in a]
        if free and rng.integers(2):
            return ops.softmax(y, axis=pick(rng, *free)), axes
        return ops.tanh(y) + y, axes
    return (ops.reshape(y, target(new)) if new != axes else y), new


def home(y, axes):
    """The batch first, the rest behind it as one axis."""
    atoms = [[v] for a in axes for v in a]
    y = ops.reshape(y, target(atoms))
    at = batch_axis(atoms)
    y = ops.moveaxis(y, at, 0)
    return ops.reshape(y, (-1, int(np.prod([a[0] for i, a in enumerate(atoms) if i != at], dtype=int))))


@case("axes moved and folded", "model")
def moved(rng):
    atoms = sizes(rng, int(rng.integers(2, 5)), 2, 4)
    x = keras.Input(atoms)
    y, axes = x, [["B"]] + [[v] for v in atoms]
    for _ in range(int(rng.integers(2, 8))):
        y, axes = one_step(rng, y, axes)
    return done(rng, x, home(y, axes), [numbers(rng, [int(rng.integers(1, 6))] + atoms)])


# ---- layers on folded rows ----


def on_images(rng):
    h, w, c = sizes(rng, 2, 4, 7) + [3]
    cnn = keras.Sequential([keras.Input((h, w, c)), layers.Conv2D(5, 3, padding="same", activation="relu"),
                            layers.BatchNormalization(), layers.MaxPooling2D(2), layers.GlobalAveragePooling2D()])
    steps = pick(rng, *[lambda v: cnn(v), lambda v: layers.Flatten()(layers.Conv2D(4, 2, strides=2)(v)),
                       lambda v: layers.GlobalMaxPooling2D()(layers.DepthwiseConv2D(3)(layers.ReLU()(v)))])
    return (h, w, c), steps


def on_sequences(rng):
    t, d = sizes(rng, 2, 2, 7)
    masking = bool(rng.integers(2))
    unit = pick(rng, *[layers.LSTM, layers.GRU, layers.SimpleRNN])

    def attend(v):
        return layers.GlobalAveragePooling1D()(layers.MultiHeadAttention(2, 3)(v, v))

    def recur(v):
        v = layers.Masking(0.5)(v) if masking else v
        return layers.Bidirectional(unit(3))(v)

    def states(v):
        return layers.Concatenate()(layers.LSTM(4, return_state=True)(v)[1:])

    def plain(v):
        v = layers.LayerNormalization()(layers.Conv1D(5, 2, activation="gelu")(v))
        return layers.Dense(3)(ops.max(layers.Dropout(0.5)(v), axis=1))

    def shaped(v):
        v = layers.Permute((2, 1))(layers.Reshape((d, t))(v))
        return layers.Dense(4, "softmax")(layers.Flatten()(layers.ZeroPadding1D(1)(v)))

    return (t, d), pick(rng, *[attend, recur, states, plain, shaped])


def on_vectors(rng):
    d = int(rng.integers(2, 7))

    def steps(v):
        v = layers.BatchNormalization()(layers.Dense(5, pick(rng, *["relu", "tanh", "softmax"]))(v))
        w = layers.Activation("sigmoid")(layers.Dense(5)(v))
        return layers.Concatenate()([layers.Multiply()([v, w]), layers.Average()([v, w]), v - w])

    return (d,), steps


@case("rows of folded axes through layers", "model")
def folded(rng):
    outer = sizes(rng, int(rng.integers(1, 3)), 2, 5)
    shape, steps = pick(rng, *[on_images, on_sequences, on_vectors])(rng)
    x = keras.Input(outer + list(shape))
    y = steps(ops.reshape(x, (-1, *shape)))
    y = ops.reshape(y, (-1, *outer, y.shape[-1]))
    if rng.integers(2):
        y = layers.Dense(3)(layers.Flatten()(y))
    a = numbers(rng, [int(rng.integers(1, 5))] + outer + list(shape))
    a[..., :, 0:1] = np.where(rng.random(a[..., :, 0:1].shape) < 0.3, 0.5, a[..., :, 0:1])
    if len(shape) == 2:
        a[:, 0, ..., -1:, :] = 0.5
    return done(rng, x, y, [a])


@case("words of sentences", "model")
def words(rng):
    s, t = sizes(rng, 2, 2, 6)
    x = keras.Input((s, t), dtype="int32")
    y = layers.Embedding(9, 4, mask_zero=bool(rng.integers(2)))(ops.reshape(x, (-1, t)))
    y = ops.reshape(layers.GRU(3)(y), (-1, s, 3))
    y = layers.LSTM(4, return_sequences=bool(rng.integers(2)))(y)
    return done(rng, x, y, [rng.integers(0, 9, (3, s, t)).astype("int32")])


# ---- windows of images, as in Swin ----


def cut(y, h, w, n, c):
    y = ops.transpose(ops.reshape(y, (-1, h // n, n, w // n, n, c)), (0, 1, 3, 2, 4, 5))
    return ops.reshape(y, (-1, n * n, c))


def join(y, h, w, n, c):
    y = ops.transpose(ops.reshape(y, (-1, h // n, w // n, n, n, c)), (0, 1, 3, 2, 4, 5))
    return ops.reshape(y, (-1, h, w, c))


def attention(rng, y, tokens, c, heads, windows, mask):
    d = c // heads
    q = ops.reshape(layers.Dense(3 * c)(y), (-1, tokens, 3, heads, d))
    q = ops.transpose(q, (2, 0, 3, 1, 4))
    q, k, v = (q[0], q[1], q[2]) if rng.integers(2) else ops.unstack(q, 3, axis=0)
    a = ops.matmul(q * d ** -0.5, ops.transpose(k, (0, 1, 3, 2)))
    a = a + ops.expand_dims(numbers(rng, (heads, tokens, tokens)), 0)
    if mask is not None:
        a = ops.reshape(a, (-1, windows, heads, tokens, tokens)) + mask[None, :, None]
        a = ops.reshape(a, (-1, heads, tokens, tokens))
    a = layers.Dropout(0.1)(ops.softmax(a, axis=-1))
    y = ops.reshape(ops.transpose(ops.matmul(a, v), (0, 2, 1, 3)), (-1, tokens, c))
    return layers.Dense(c)(y)


@case("shifted windows", "model")
def windows(rng):
    n, heads = sizes(rng, 2, 2, 4)
    h, w, c = n * int(rng.integers(1, 4)), n * int(rng.integers(1, 4)), heads * int(rng.integers(2, 4))
    count = h * w // (n * n)
    x = keras.Input((h, w, c))
    shift = int(rng.integers(n))
    y = layers.LayerNormalization()(x)
    y = ops.roll(y, (-shift, -shift), axis=(1, 2)) if shift else y
    mask = ((rng.random((count, n * n, n * n)) < 0.3) * -100.0).astype("float32") if shift else None
    y = attention(rng, cut(y, h, w, n, c), n * n, c, heads, count, mask)
    y = join(y, h, w, n, c)
    y = ops.roll(y, (shift, shift), axis=(1, 2)) if shift else y
    return done(rng, x, x + y, [numbers(rng, (int(rng.integers(1, 4)), h, w, c))])


@case("heads along the batch", "model")
def heads(rng):
    t, d, n = int(rng.integers(2, 6)), int(rng.integers(2, 4)), int(rng.integers(2, 4))
    x = keras.Input((t, n * d))
    q, k, v = (ops.concatenate(ops.split(layers.Dense(n * d)(x), n, axis=2), axis=0) for _ in range(3))
    a = ops.softmax(ops.matmul(q, ops.transpose(k, (0, 2, 1))) / d ** 0.5)
    y = ops.concatenate(ops.split(ops.matmul(a, v), n, axis=0), axis=-1)
    return done(rng, x, layers.LayerNormalization()(y + x), [numbers(rng, (3, t, n * d))])


@case("two inputs one after the other", "model")
def siamese(rng):
    shape = sizes(rng, int(rng.integers(1, 4)), 2, 6)
    n = int(rng.integers(2, 4))
    inputs = [keras.Input(shape) for _ in range(n)]
    y = pick(rng, ops.vstack, ops.concatenate)(inputs)
    y = layers.Dense(4, "tanh")(layers.Flatten()(y))
    parts = ops.split(y, n, axis=0)
    y = parts[0]
    for p in parts[1:]:
        y = y * p + p
    return done(rng, inputs, y, [numbers(rng, [3] + shape) for _ in inputs])


@case("rows joined and cut again", "model")
def vstack(rng):
    d, n = int(rng.integers(2, 6)), int(rng.integers(2, 4))
    inputs = [keras.Input((d,)) for _ in range(n)]
    y = ops.reshape(ops.vstack(inputs) * 2, (n, -1, d))
    return done(rng, inputs, ops.max(y, axis=0), [numbers(rng, (3, d)) for _ in inputs])


@case("rows cut into pieces", "model")
def vsplit(rng):
    d, n = int(rng.integers(2, 6)), int(rng.integers(2, 4))
    x = keras.Input((n, d))
    parts = ops.vsplit(ops.reshape(ops.transpose(x, (1, 0, 2)), (-1, d)), n)
    return done(rng, x, parts[0] - parts[-1], [numbers(rng, (3, n, d))])


@case("rows repeated", "model")
def repeated(rng):
    n, d, e = sizes(rng, 3, 2, 6)
    x, table = keras.Input((d,)), keras.Input((n, e))
    if rng.integers(2):
        y = layers.Concatenate()([ops.repeat(x, n, axis=0), ops.reshape(table, (-1, e))])
        y = ops.reshape(layers.Dense(3)(y), (-1, n, 3))
    else:
        z = ops.reshape(ops.transpose(table, (1, 0, 2)), (-1, e))
        y = layers.Concatenate()([ops.tile(x, (n, 1)), z])
        y = ops.mean(ops.reshape(layers.Dense(3)(y), (n, -1, 3)), axis=0)
    return done(rng, [x, table], y, [numbers(rng, (3, d)), numbers(rng, (3, n, e))])


@case("stacked before the batch", "model")
def stacked(rng):
    shape = sizes(rng, int(rng.integers(1, 3)), 2, 6)
    x = keras.Input(shape)
    parts = [x, layers.Dense(shape[-1])(x), ops.tanh(x)][:int(rng.integers(2, 4))]
    y = ops.stack(parts, axis=0) if rng.integers(2) else ops.concatenate([ops.expand_dims(p, 0) for p in parts], 0)
    y = pick(rng, *[lambda v: ops.mean(v, axis=0), lambda v: ops.max(v * 2 - v, axis=0), lambda v: v[1] - v[-1],
                   lambda v: ops.sum(ops.softmax(v, axis=0) * v, axis=0), lambda v: ops.var(v, axis=0),
                   lambda v: ops.moveaxis(v, 0, -1)])(y)
    return done(rng, x, y, [numbers(rng, [3] + shape)])


# ---- sizes that are open, and a batch that is not ----


@case("an open length folded", "model")
def open_length(rng):
    t, d = sizes(rng, 2, 2, 6)
    x = keras.Input((None, d))
    y = layers.BatchNormalization()(layers.Dense(3, "relu")(ops.reshape(x, (-1, d))))
    y = pick(rng, *[lambda v: v, lambda v: ops.softmax(v), lambda v: layers.LayerNormalization()(v),
                   lambda v: v * numbers(rng, (3,))])(y)
    return done(rng, x, ops.reshape(y, (-1, t, 3)), [numbers(rng, (2, t, d))])


@case("a fixed batch folded", "model")
def fixed(rng):
    b, t, d = sizes(rng, 3, 2, 6)
    x = keras.Input((t, d), batch_size=b)
    y = layers.Dense(3)(ops.reshape(x, pick(rng, *[(b * t, d), (-1, d), (b * t, -1)])))
    y = ops.reshape(y, pick(rng, *[(b, t, 3), (b, -1, 3), (-1, t, 3), (b, t, -1)]))
    z = ops.reshape(ops.transpose(x, (1, 0, 2)), (t * b, d))
    z = ops.transpose(ops.reshape(layers.Dense(3)(z), (t, b, 3)), (1, 0, 2))
    return done(rng, x, y + z, [numbers(rng, (b, t, d))])

"""Operations that look over the batch: reductions, orders and picks along axis 0, products of rows with
rows. The model runs in batches of 32, the last one being smaller, as Keras' predict does."""

from parity_kit import keras, np, reference

from . import Expect, case
from .kit import flag, pick
from .ops_numpy import FLOATS, INTS, shape_of, values

ops = keras.ops
L = keras.layers


def rows_of(rng):
    return int(pick(rng, 2, 5, 32, 45))


def array(rng, dtypes=("float32",), least=0, most=3, kind="any", rows=None):
    return values(rng, (rows or rows_of(rng),) + shape_of(rng, least, most), str(rng.choice(list(dtypes))), kind)


def seen(x, y):
    """y of any shape as an output with rows; x: an input. Axes of an unknown size are the batch."""
    y = ops.cast(y, "float32")
    unknown = [i for i, n in enumerate(y.shape) if n is None]
    if unknown[:1] == [0]:
        return y if len(unknown) == 1 else ops.mean(y, axis=tuple(unknown[1:]))
    if unknown:
        return ops.moveaxis(y if len(unknown) == 1 else ops.mean(y, axis=tuple(unknown[1:])), unknown[0], 0)
    first = ops.cast(x, "float32")
    while len(first.shape) > 1:
        first = first[..., 0]
    return 0 * ops.expand_dims(first, 1) + ops.reshape(y, (1, -1))


def in_batches(model, arrays):
    parts = [reference(model, [a[i:i + 32] for a in arrays]) for i in range(0, len(arrays[0]), 32)]
    return [np.concatenate(p) for p in zip(*parts)]


def whole(fn, *arrays, rtol=1e-4, atol=1e-5, see=seen):
    """fn of one Input an array; what it gives is seen through an output with rows."""
    inputs = [keras.Input(a.shape[1:], dtype=str(a.dtype)) for a in arrays]
    made = fn(*inputs)
    made = list(made) if isinstance(made, (list, tuple)) else [made]
    model = keras.Model(inputs, [see(inputs[0], y) for y in made])
    return model, list(arrays), Expect(rtol, atol, outputs=in_batches(model, arrays))


def over(name):
    return case("batch " + name, "model")


def axes_with_batch(rng, rank, none=True):
    """Axes of which one is the batch."""
    if none and flag(rng, 0.3):
        return None
    if flag(rng, 0.6):
        return pick(rng, 0, -rank)
    return tuple(sorted({0, *(int(a) for a in rng.integers(0, rank, rng.integers(1, 3)))}))


# ---- reductions ----

REDUCTIONS = {
    "Sum": ("sum", FLOATS[:5] + INTS, "any"), "Mean": ("mean", FLOATS[:5] + INTS, "any"),
    "Max": ("max", FLOATS[:5] + INTS, "any"), "Min": ("min", FLOATS[:5] + INTS, "any"),
    "Amax": ("amax", FLOATS[:5], "any"), "Amin": ("amin", FLOATS[:5], "any"),
    "Prod": ("prod", FLOATS[:5], "unit"), "Std": ("std", FLOATS[:5] + ["int32"], "any"),
    "Var": ("var", FLOATS[:5] + ["int32"], "any"), "Any": ("any", ["bool", "float32"], "unit"),
    "All": ("all", ["bool", "float32"], "unit"), "CountNonzero": ("count_nonzero", FLOATS[:5] + INTS, "any"),
    "Median": ("median", FLOATS[:5], "any"), "Logsumexp": ("logsumexp", FLOATS[:4], "any"),
    "Nansum": ("nansum", FLOATS[:4], "any"), "Nanmean": ("nanmean", FLOATS[:4], "any"),
    "Nanmax": ("nanmax", FLOATS[:4], "any"), "Nanmin": ("nanmin", FLOATS[:4], "any"),
    "Nanvar": ("nanvar", FLOATS[:4], "any"), "Nanstd": ("nanstd", FLOATS[:4], "any"),
    "Nanprod": ("nanprod", FLOATS[:4], "unit"), "Nanmedian": ("nanmedian", FLOATS[:4], "any"),
    "Ptp": ("ptp", FLOATS[:5], "any"),
}


def reduction(name, function, dtypes, kind):
    @over(name)
    def run(rng):
        a = array(rng, dtypes, kind=kind)
        options = {"axis": axes_with_batch(rng, a.ndim)}
        if name != "CountNonzero":
            options["keepdims"] = flag(rng)
        return whole(lambda x: getattr(ops, function)(x, **options), a, atol=1e-4)


for _name, _row in REDUCTIONS.items():
    if hasattr(ops, _row[0]):
        reduction(_name, *_row)


def place(name, function):
    @over(name)
    def run(rng):
        a = array(rng, FLOATS[:5] + INTS)
        options = {"axis": pick(rng, None, 0, -a.ndim), "keepdims": flag(rng)}
        return whole(lambda x: getattr(ops, function)(x, **options), a)


for _name, _fn in [("Argmax", "argmax"), ("Argmin", "argmin"), ("Nanargmax", "nanargmax"), ("Nanargmin", "nanargmin")]:
    if hasattr(ops, _fn):
        place(_name, _fn)


@over("Quantile")
def quantile(rng):
    a = array(rng, FLOATS[:5])
    q = pick(rng, 0.3, [0.1, 0.9, 0.5], np.array([0.25, 1.0], "float32"))
    fn = pick(rng, ops.quantile, lambda x, q, **o: ops.percentile(x, np.multiply(q, 100).tolist(), **o)) if hasattr(ops, "percentile") else ops.quantile
    options = {"axis": pick(rng, axes_with_batch(rng, a.ndim), -1), "keepdims": flag(rng),
               "method": pick(rng, "linear", "lower", "higher", "nearest", "midpoint")}
    return whole(lambda x: fn(x, q, **options), a)


@over("Average")
def average(rng):
    a = array(rng)
    form = int(rng.integers(3))
    if form == 0:
        return whole(lambda x: ops.average(x, axis=pick(rng, None, 0)), a)
    weights = values(rng, a.shape[:1] if form == 1 else a.shape, "float32", "positive")
    return whole(lambda x, w: ops.average(x, axis=0, weights=w), a, weights)


@over("Moments")
def moments(rng):
    a = array(rng)
    return whole(lambda x: ops.moments(x, axes=[0] if a.ndim == 1 else pick(rng, [0], [0, 1]), keepdims=flag(rng)), a)


@over("Norm")
def norm(rng):
    a = array(rng, least=1)
    axis = pick(rng, 0, (0, 1)) if a.ndim > 2 else pick(rng, None, 0, (0, 1))
    order = pick(rng, None, 1, 2, np.inf) if axis == 0 else pick(rng, None, 1, np.inf) if axis else None
    return whole(lambda x: ops.norm(x, ord=order, axis=axis, keepdims=flag(rng) and axis is not None), a)


# ---- as long as the batch ----

@over("Center")
def center(rng):
    """x less its mean, over its deviation; then layers that work row by row."""
    a = array(rng, least=1)
    k = int(rng.integers(3))

    def fn(x):
        y = (x - ops.mean(x, axis=0, keepdims=flag(rng))) / (ops.std(x, axis=0) + 0.5)
        return L.Dense(5)(y) if k == 0 else L.Activation("tanh")(y) if k == 1 else L.LayerNormalization()(y)
    return whole(fn, a)


def sorting(name, fn):
    @over(name)
    def run(rng):
        a = array(rng, FLOATS[:5] + INTS)
        return whole(lambda x: fn(x, axis=pick(rng, 0, -a.ndim)), a)


for _name, _fn in [("Sort", ops.sort), ("Argsort", ops.argsort)]:
    sorting(_name, _fn)


@over("SortAll")
def sort_all(rng):
    a = array(rng)
    fn = pick(rng, ops.sort, ops.argsort)
    return whole(lambda x: ops.take(fn(x, axis=None), [0, 1], axis=0), a, see=lambda x, y: seen(x, ops.reshape(y, (2,))))


def running(name, fn):
    @over(name)
    def run(rng):
        a = array(rng, ["float32", "int32"], kind="unit")
        return whole(lambda x: fn(x, axis=pick(rng, 0, -a.ndim)), a, atol=1e-4)


for _name, _fn in [("Cumsum", ops.cumsum), ("Cumprod", ops.cumprod)]:
    running(_name, _fn)


@over("CumsumAll")
def cumsum_all(rng):
    a = array(rng, ["float32", "int32"], kind="unit")
    return whole(lambda x: ops.reshape(ops.cumsum(x), (-1,) + a.shape[1:]), a, atol=1e-4)


@over("Flip")
def flip(rng):
    a = array(rng, ["float32", "int32"])
    axis = axes_with_batch(rng, a.ndim)
    return whole(lambda x: ops.flip(x, axis=axis), a)


@over("Roll")
def roll(rng):
    a = array(rng, ["float32", "int32"])
    axis = pick(rng, None, 0, -a.ndim)
    return whole(lambda x: ops.roll(x, int(rng.integers(-4, 5)), axis=axis), a)


@over("Softmax")
def softmax(rng):
    a = array(rng)
    fn = pick(rng, ops.softmax, ops.log_softmax)
    axis = pick(rng, 0, -a.ndim, None) if fn is ops.softmax and a.ndim > 1 else 0
    if flag(rng, 0.3):
        return whole(L.Softmax(axis=0), a)
    return whole(lambda x: fn(x, axis=axis), a)


@over("Normalize")
def normalize(rng):
    a = array(rng)
    if flag(rng, 0.4):
        return whole(L.UnitNormalization(axis=0), a)
    return whole(lambda x: ops.normalize(x, axis=0, order=pick(rng, 1, 2)), a)


@over("Transpose")
def transpose(rng):
    """The batch goes elsewhere and comes back."""
    a = array(rng, least=1)
    perm = [int(i) for i in rng.permutation(a.ndim)]
    return whole(lambda x: ops.sin(ops.transpose(x, perm)), a)


@over("Gram")
def gram(rng):
    a = array(rng, least=1, most=2)
    form = int(rng.integers(5))

    def fn(x):
        t = ops.transpose(x)
        if form == 0:
            return ops.matmul(t, x)
        if form == 1:
            return ops.matmul(ops.matmul(x, t), x)
        if form == 2:
            return ops.softmax(ops.matmul(x, t), axis=-1) @ x
        if form == 3:
            return ops.einsum(pick(rng, "bi,bj->ij", "bi,cj->bij", "bi,ci->bc", "bi,cj->ijb"), x, x)
        return ops.tensordot(x, x, axes=[[0], [0]])
    return whole(fn, a)


@over("Vdot")
def vdot(rng):
    a = array(rng)
    b = values(rng, a.shape, "float32")
    return whole(lambda x, y: pick(rng, ops.vdot(x, y), ops.inner(x, y) if a.ndim == 1 else ops.vdot(x, y)), a, b)


@case("Vdot", "op")
def vdot_op(rng):
    return vdot(rng)


@case("Flipud", "op")
def flipud(rng):
    return whole(ops.flipud, array(rng, ["float32", "int32"]))


@case("Vsplit", "op")
def vsplit(rng):
    a = array(rng, ["float32", "int32"], least=1, rows=pick(rng, 4, 32, 36))
    return whole(lambda x: ops.mean(ops.vsplit(x, 2)[pick(rng, 0, 1)], axis=0), a)


@case("Vstack", "op")
def vstack(rng):
    a = array(rng, ["float32", "int32"], least=1)
    b = values(rng, (int(rng.integers(1, 4)),) + a.shape[1:], str(a.dtype))
    return whole(lambda x: ops.max(ops.vstack([x, ops.convert_to_tensor(b), x]), axis=0), a)


@over("Outer")
def outer(rng):
    a, b = array(rng), values(rng, (), "float32")
    other = values(rng, (int(rng.integers(1, 5)),), "float32")
    k = int(np.prod(a.shape[1:]))
    return whole(lambda x: ops.mean(ops.reshape(ops.outer(pick(rng, other, float(b)), x), (-1, k)), axis=0), a)


@over("Kron")
def kron(rng):
    a, b = array(rng, least=1), values(rng, shape_of(rng, 1, 3), "float32")
    return whole(lambda x: ops.mean(ops.kron(x, b), axis=0), a)


# ---- picks, joins, splits ----

@over("GetItem")
def get_item(rng):
    a = array(rng, ["float32", "int32"], least=1)
    k = int(rng.integers(2))
    key = pick(rng, k, -1 - k, (Ellipsis, 0), (k, slice(None), 0) if a.ndim > 2 else (k, 0), (None, k))
    return whole(lambda x: x[key], a)


@over("Take")
def take(rng):
    a = array(rng, ["float32", "int32"])
    at = rng.integers(-2, 2, shape_of(rng, 1, 3)).tolist()
    axis = pick(rng, None, 0)
    return whole(lambda x: ops.take(x, at, axis=axis), a)


@over("TakeAlongAxis")
def take_along_axis(rng):
    a = array(rng)
    at = values(rng, (1,) + a.shape[1:], "int32", "unit")
    return whole(lambda x: ops.take_along_axis(x, at, axis=0), a)


@over("Slice")
def slices(rng):
    a = array(rng, least=1)
    k = int(rng.integers(2))
    size = pick(rng, 1, 2 - k)
    return whole(lambda x: ops.slice(x, (k,) + (0,) * (a.ndim - 1), (size,) + a.shape[1:]), a)


@over("SliceUpdate")
def slice_update(rng):
    a = array(rng, least=1)
    part = values(rng, (1,) + a.shape[1:], "float32")
    return whole(lambda x: ops.slice_update(x, (int(rng.integers(2)),) + (0,) * (a.ndim - 1), part), a)


@over("Concatenate")
def concatenate(rng):
    a = array(rng)
    b = values(rng, (int(rng.integers(1, 4)),) + a.shape[1:], "float32")
    form = int(rng.integers(5))

    def fn(x):
        if form == 0:
            y = ops.concatenate([x, 2 * x], axis=0)
        elif form == 1:
            y = ops.vstack([ops.convert_to_tensor(b), x]) if a.ndim > 1 else ops.append(x, b)
        elif form == 2:
            y = L.Concatenate(axis=0)([x, x])
        elif form == 3:
            y = ops.stack([x, 3 * x])[pick(rng, 0, 1)]
        else:
            y = ops.pad(x, [(1, 2)] + [(0, 0)] * (a.ndim - 1))
        return ops.sum(y, axis=0)
    return whole(fn, a, atol=1e-4)


@over("Split")
def split(rng):
    a = array(rng, rows=pick(rng, 4, 32, 36))
    fn = pick(rng, ops.split, ops.array_split)
    return whole(lambda x: ops.mean(fn(x, 2, axis=0)[pick(rng, 0, 1)], axis=0), a)


@over("Repeat")
def repeat(rng):
    a = array(rng, ["float32", "int32"])
    n = int(rng.integers(1, 4))

    def fn(x):
        form = int(rng.integers(3))
        if form == 0:
            y = ops.repeat(x, n, axis=0)
        elif form == 1:
            y = ops.tile(x, (n,) + (1,) * (a.ndim - 1))
        else:
            y = ops.tile(x, (n, 2) + (1,) * (a.ndim - 1))
        return ops.sum(ops.cast(y, "float32") * 0.5, axis=(0, 1) if form == 2 else 0)
    return whole(fn, a, atol=1e-4)


@over("Reshape")
def reshape(rng):
    a = array(rng, least=1)
    k = int(np.prod(a.shape[1:]))
    form = int(rng.integers(4))

    def fn(x):
        if form == 0:
            return ops.mean(ops.ravel(x))
        if form == 1:
            return ops.reshape(ops.reshape(x, (-1,)) * 2, (-1, k))
        if form == 2:
            return ops.expand_dims(x, 0)[0]
        return ops.mean(ops.reshape(x, (1, -1, k)), axis=(0, 1))
    return whole(fn, a)


@over("Diff")
def diff(rng):
    a = array(rng)
    return whole(lambda x: ops.sum(ops.diff(x, axis=0) * 2, axis=0), a)


@over("Trapezoid")
def trapezoid(rng):
    return whole(lambda x: ops.trapezoid(x, dx=float(rng.uniform(0.5, 2)), axis=0), array(rng))


@over("Linspace")
def linspace(rng):
    a = array(rng, least=1)
    return whole(lambda x: ops.linspace(ops.min(x, axis=0), ops.max(x, axis=0), int(rng.integers(1, 6))), a)


@over("Triangle")
def triangle(rng):
    a = array(rng, least=1, most=2)
    k = int(rng.integers(-2, 3))
    return whole(lambda x: pick(rng, ops.tril, ops.triu)(x, k=k), a)


@over("Where")
def where(rng):
    a = array(rng)
    return whole(lambda x: ops.where(x > ops.mean(x), x, ops.max(x, axis=0)), a)


@over("TopK")
def top_k(rng):
    a = array(rng, least=1, most=2)
    return whole(lambda x: ops.top_k(ops.transpose(x), 2)[pick(rng, 0, 1)], a)


@over("Layers")
def layers(rng):
    """Row by row, then over the batch, then row by row again, with a loop and a convolution."""
    a = array(rng, rows=rows_of(rng), least=2, most=3)
    form = int(rng.integers(3))

    def fn(x):
        y = L.Conv1D(5, 2, padding="same", activation="tanh")(x)
        y = y - ops.mean(y, axis=0)
        if form == 0:
            return L.LSTM(3, return_sequences=flag(rng))(y)
        if form == 1:
            return L.TimeDistributed(L.Dense(4))(ops.flip(y, axis=0))
        return L.Dense(3)(L.BatchNormalization()(ops.roll(y, 1, axis=0)))
    return whole(fn, a)


@over("Nested")
def nested(rng):
    a = array(rng, least=1, most=2)
    inner_in = keras.Input(a.shape[1:])
    inner = keras.Model(inner_in, inner_in - ops.mean(inner_in, axis=0))
    return whole(lambda x: inner(L.Dense(a.shape[1])(inner(x))), a)


# ---- operations of which every form looks over the batch ----

@case("Size", "op")
def size(rng):
    a = array(rng)
    return whole(lambda x: ops.cast(keras.src.ops.numpy.Size()(x), "float32") * 0.5 + x, a)


@case("Diag", "op")
def diag(rng):
    a = array(rng, ["float32", "int32", "bool"], least=0, most=2)
    k = int(rng.integers(-3, 4)) if a.ndim == 1 else int(rng.integers(-1, a.shape[1]))
    if a.ndim == 2:
        return whole(lambda x: ops.sum(ops.cast(ops.diag(x, k=k), "float32")), a)
    return whole(lambda x: ops.sum(ops.cast(ops.diag(x, k=k), "float32"), axis=pick(rng, (0, 1), 0))[..., None] * 1.5
                 if k == 0 else ops.max(ops.cast(ops.diag(x, k=k), "float32")), a)


@case("Diagflat", "op")
def diagflat(rng):
    a = array(rng, ["float32", "int32"], least=0, most=2, rows=pick(rng, 2, 5, 35))
    k = int(rng.integers(-3, 4))
    return whole(lambda x: ops.take(ops.cast(ops.diagflat(x, k=k), "float32"), [0, 1], axis=0)[:, 1], a)


@case("Corrcoef", "op")
def corrcoef(rng):
    a = array(rng, ["float32", "float32", "float64", "int32"], least=1, most=2)
    if a.shape[1] < 3:
        a = np.concatenate([a, a[:, :1] * 2 + 1, -a[:, :1], a[:, :1] % 3], axis=1).astype(a.dtype)
    a = (a + rng.normal(0, 3, a.shape)).astype(a.dtype)
    a[:, 0] += np.arange(len(a)).astype(a.dtype)
    a[:, 1] -= (np.arange(len(a)) % 7).astype(a.dtype)
    a[:, 2] = 9
    fn = pick(rng, lambda x: ops.mean(ops.corrcoef(ops.take(ops.transpose(x), [0, 1], axis=0)), axis=(0, 1)), lambda x: ops.mean(ops.corrcoef(x), axis=1))
    return whole(fn, a, atol=1e-4)


@case("Correlate", "op")
def correlate(rng):
    """Keras must know the lengths: the batch is fixed."""
    n, m = int(rng.integers(4, 9)), int(rng.integers(1, 5))
    a, b = values(rng, (n,), str(rng.choice(["float32", "int32"]))), values(rng, (m,), "float32")
    x = keras.Input(batch_shape=(n,), dtype=str(a.dtype))
    mode = pick(rng, "valid", "same", "full")
    y = ops.correlate(x, ops.convert_to_tensor(b), mode=mode)
    return keras.Model(x, 0 * ops.cast(x, "float32")[:, None] + ops.reshape(y, (1, -1))), [a]


@case("Argpartition", "op")
def argpartition(rng):
    a = array(rng, ["int32", "float32"], least=0, most=2, rows=pick(rng, 5, 32, 45))
    if a.ndim == 1:
        return whole(lambda x: ops.argpartition(x, int(rng.integers(0, 5)), axis=pick(rng, -1, 0, None)), a)
    k = int(rng.integers(0, min(a.shape[1], 3)))
    return whole(lambda x: ops.argpartition(x, k, axis=pick(rng, -1, 1)), a)


@case("Histogram", "op")
def histogram(rng):
    """Keras' class asks its backend for a function that is elsewhere: the function is the judge."""
    a = array(rng, ["float32", "float64"], most=1)
    options = {"bins": int(rng.integers(1, 12))}
    if flag(rng):
        options["range"] = (float(rng.uniform(-3, 0)), float(rng.uniform(0.5, 3)))
    x = keras.Input(a.shape[1:], dtype=str(a.dtype))
    model = keras.Model(x, [seen(x, y) for y in ops.histogram(x, **options)])
    parts = [ops.histogram(ops.convert_to_tensor(a[i:i + 32]), **options) for i in range(0, len(a), 32)]
    want = [np.concatenate([np.tile(np.asarray(p[k], "float32"), (len(a[i * 32:i * 32 + 32]), 1))
                            for i, p in enumerate(parts)]) for k in range(2)]
    return model, [a], Expect(outputs=want)


@case("Unique", "op")
def unique(rng):
    a = array(rng, ["float32", "int32"])
    a = np.where(rng.random(a.shape) < 0.6, np.round(a), a).astype(a.dtype)
    options = {"size": int(rng.integers(1, 40)), "sorted": flag(rng), "return_index": flag(rng), "return_counts": flag(rng),
               "return_inverse": flag(rng), "fill_value": pick(rng, None, -3)}
    if a.ndim == 1 and flag(rng):
        options["axis"] = 0
    return whole(lambda x: keras.src.ops.numpy.Unique(**options)(x), a)


@case("AllClose", "op")
def allclose(rng):
    a = array(rng, ["float32", "int32"])
    b = (a + (rng.normal(0, 10.0 ** -int(rng.integers(2, 7)), a.shape) if a.dtype == "float32" else 0)).astype(a.dtype)
    if flag(rng, 0.3) and a.dtype == "float32":
        a.flat[0] = b.flat[0] = np.nan
    options = {"rtol": 10.0 ** -int(rng.integers(2, 6)), "atol": 10.0 ** -int(rng.integers(3, 9)), "equal_nan": flag(rng)}
    return whole(lambda x, y: ops.cast(keras.src.ops.numpy.AllClose(**options)(x, y), "float32"), a, b)


@case("PSNR", "op")
def psnr(rng):
    a = array(rng, least=1)
    b = (a + rng.normal(0, 0.2, a.shape)).astype("float32")
    return whole(lambda x, y: ops.psnr(x, y, max_val=float(rng.uniform(0.5, 255))), a, b)


def segment(name, fn):
    @case(name, "op")
    def run(rng):
        a = array(rng, ["float32", "float32", "int32", "float64"], kind="unit" if name == "SegmentProd" else "any")
        n = int(rng.integers(1, 6))
        at = rng.integers(-1, n, a.shape[0]).astype(str(rng.choice(["int32", "int64"])))
        return whole(lambda x, i: ops.clip(ops.cast(fn(x, i, num_segments=n), "float32"), -1e6, 1e6), a, at, atol=1e-4)


for _name, _fn in [("SegmentSum", ops.segment_sum), ("SegmentMax", ops.segment_max),
                   ("SegmentMin", getattr(ops, "segment_min", None)), ("SegmentProd", getattr(ops, "segment_prod", None))]:
    if _fn:
        segment(_name, _fn)


@case("Scatter", "op")
def scatter(rng):
    a = array(rng, ["float32", "int32"])
    n = int(rng.integers(2, 6))
    at = rng.integers(0, n, (a.shape[0], 1)).astype(str(rng.choice(["int32", "int64"])))
    return whole(lambda x, i: ops.scatter(i, x, (n,) + a.shape[1:]), a, at, atol=1e-4)


@case("ScatterUpdate", "op")
def scatter_update(rng):
    a = array(rng, ["float32", "int32"])
    depth = int(rng.integers(1, a.ndim + 1))
    n = int(rng.integers(1, 4))
    reduction = pick(rng, None, "add", "max", "min", "mul")
    sizes = (2,) + a.shape[1:]
    at = rng.permutation(int(np.prod(sizes[:depth])))[:n]
    at = np.stack(np.unravel_index(at, sizes[:depth]), axis=-1).astype("int32")
    new = values(rng, (len(at),) + a.shape[depth:], str(a.dtype))
    return whole(lambda x: ops.scatter_update(x, at, new, reduction=reduction), a)


@case("Lstsq", "op")
def lstsq(rng):
    a = values(rng, (pick(rng, 5, 32),) + (int(rng.integers(1, 5)),), "float32")
    a = (a + rng.normal(0, 1, a.shape)).astype("float32")
    b = values(rng, a.shape[:1] + ((int(rng.integers(1, 4)),) if flag(rng) else ()), "float32")
    xs = [keras.Input(batch_shape=v.shape) for v in (a, b)]
    rcond = pick(rng, None, 1e-6, -1.0)
    model = keras.Model(xs, seen(xs[0], keras.src.ops.linalg.Lstsq(rcond=rcond)(*xs)))
    return model, [a, b], Expect(1e-3, 1e-4)


@case("MapCoordinates", "op")
def map_coordinates(rng):
    image = values(rng, tuple(int(n) for n in rng.integers(2, 6, pick(rng, 1, 2, 3))), str(rng.choice(["float32", "float32", "int32"])))
    mode = pick(rng, "constant", "nearest", "wrap", "mirror", "reflect")
    low, high = (0, 0.9) if mode in ("mirror",) else (-1.5, 1.9)
    at = array(rng, least=0, most=1)
    at = np.stack([rng.uniform(low, high, at.shape[0]) * (n - 1) for n in image.shape], axis=1).astype("float32")
    order = pick(rng, 0, 1)
    return whole(lambda x: ops.image.map_coordinates(ops.convert_to_tensor(image), ops.transpose(x), order=order, fill_mode=mode,
                                                     fill_value=float(rng.integers(-3, 4))), at)


@case("CTCDecode", "op")
def ctc_decode(rng):
    steps, classes = int(rng.integers(2, 9)), int(rng.integers(2, 6))
    a = values(rng, (rows_of(rng), steps, classes), "float32")
    n = rng.integers(0, steps + 1, a.shape[0]).astype("int32")
    options = {"merge_repeated": flag(rng), "mask_index": pick(rng, 0, classes - 1, -1)}
    paths = 1
    if flag(rng):
        paths = int(rng.integers(1, min(3, 1 + (classes > 2)) + 1))
        n = np.maximum(n, 2)
        a = a + rng.normal(0, 0.5, a.shape).astype("float32")  # no two paths alike
        options |= {"strategy": "beam_search", "beam_width": int(pick(rng, 3, 5, 20, 100)), "top_paths": paths}
        options["mask_index"] = pick(rng, 0, 1, classes - 1, None)

    def fn(x, i):
        found, scores = ops.ctc_decode(x, i, **options)
        return [found[k] for k in range(paths)] + [scores]
    return whole(fn, a, n)


@over("FixedBatch")
def fixed_batch(rng):
    """The InputLayer says how many rows a batch has: reshapes may divide them."""
    n = pick(rng, 4, 6)
    a = array(rng, least=1, most=2, rows=n * int(rng.integers(1, 4)))
    x = keras.Input(batch_shape=(n,) + a.shape[1:])
    y = ops.mean(ops.reshape(x, (2, n // 2) + a.shape[1:]), axis=pick(rng, 0, 1))
    y = ops.reshape(ops.concatenate([y] * (n // y.shape[0]), axis=0), (n,) + a.shape[1:])
    model = keras.Model(x, x - 0.5 * y)
    want = [np.concatenate([reference(model, [a[i:i + n]])[0] for i in range(0, len(a), n)])]
    return model, [a], Expect(outputs=want)


@over("Pairs")
def pairs(rng):
    """Every row with every other: as many columns as rows."""
    a = array(rng, least=1, most=2, rows=pick(rng, 3, 5, 31, 32, 64))
    form = int(rng.integers(3))
    return whole(lambda x: ops.matmul(x, ops.transpose(x)) if form == 0 else ops.softmax(ops.inner(x, x), axis=0)
                 if form == 1 else ops.corrcoef(x + np.arange(a.shape[1], dtype="float32") ** 2), a, see=lambda x, y: y)


@over("OneHot")
def one_hot(rng):
    a = rng.integers(0, 4, (rows_of(rng),) + shape_of(rng, 0, 2)).astype("int32")
    return whole(lambda x: ops.one_hot(x, 4, axis=0), a)


def chain_step(rng, x):
    """x (batch, d) through one step, row by row or over the batch, again (batch, some size)."""
    d = x.shape[1]
    t = ops.transpose
    steps = [
        lambda: L.Dense(pick(rng, 3, 5, 32))(x), lambda: L.Dense(d, activation="relu")(x) + x,
        lambda: x - ops.mean(x, axis=0), lambda: ops.sort(x, axis=0), lambda: ops.roll(x, 1, axis=pick(rng, 0, None)),
        lambda: ops.softmax(x, axis=0), lambda: ops.flip(x, axis=0), lambda: ops.tanh(ops.cumsum(x, axis=0)),
        lambda: ops.matmul(ops.softmax(ops.matmul(x, t(x)) / 9), x), lambda: ops.matmul(x, ops.tanh(ops.matmul(t(x), x) / 40)),
        lambda: ops.concatenate([x, x * ops.max(x, axis=0)], axis=1)[:, d // 2:d // 2 + 5],
        lambda: L.LayerNormalization()(x), lambda: L.BatchNormalization()(x),
        lambda: L.LSTM(4)(ops.expand_dims(x, 1)), lambda: L.Flatten()(L.Conv1D(2, 2, padding="same")(ops.expand_dims(x, -1)))[:, :d],
        lambda: ops.take_along_axis(x, ops.argsort(x, axis=0), axis=0), lambda: ops.take(x, ops.argsort(x[:, 0]), axis=0),
        lambda: t(L.Activation("tanh")(t(x))), lambda: ops.where(x > ops.median(x), x, ops.min(x, axis=0, keepdims=True)),
        lambda: x + ops.quantile(x, 0.3, axis=0), lambda: ops.reshape(ops.reshape(x, (-1,)) * 0.5, (-1, d)),
        lambda: L.TimeDistributed(L.Dense(3))(ops.stack([x, ops.flip(x, axis=0)], axis=1))[:, 1],
        lambda: L.MultiHeadAttention(2, 3)(ops.expand_dims(x, 0), ops.expand_dims(x, 0))[0],
        lambda: ops.einsum("bi,cj->bj", x, ops.tanh(x)) * 0.05, lambda: ops.sum(ops.expand_dims(x, 1) - ops.expand_dims(x, 0), axis=1) * 0.05,
    ]
    return steps[int(rng.integers(len(steps)))]()


@over("Chain")
def chain(rng):
    a = rng.normal(0, 1, (int(pick(rng, 2, 3, 5, 32, 37)), int(pick(rng, 2, 3, 4, 5, 32)))).astype("float32")
    a = a + np.arange(len(a), dtype="float32")[:, None] * 1e-3

    def fn(x):
        y = x
        for _ in range(int(rng.integers(2, 6))):
            y = chain_step(rng, y)
        return y
    return whole(fn, a, rtol=5e-4, atol=1e-4)

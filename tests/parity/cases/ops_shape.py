"""keras.ops that pick, move, join and repeat elements, as they stand in saved graphs."""

from parity_kit import keras, np

from . import case
from .ops_numpy import FLOATS, INTS, axis_of, model_of, shape_of, spoil, values

ops = keras.ops
ANY = ["float32"] * 3 + ["int32", "uint8", "bool", "float64", "int64"]


def any_array(rng, least=1, most=4, dtypes=ANY, largest=6):
    return values(rng, (3,) + shape_of(rng, least, most, largest), str(rng.choice(dtypes)))


def one_axis(rng, a):
    return axis_of(rng, a.ndim, False)


# ---- x[...] ----

def part(rng, size):
    """An index of an axis, a slice with a step of either sign."""
    if rng.random() < 0.4:
        return int(rng.integers(-size, size))
    while True:
        ends = [None if rng.random() < 0.3 else int(rng.integers(-size - 1, size + 2)) for _ in range(2)]
        s = slice(*ends, [None, 1, 2, 3, -1, -2][rng.integers(6)])
        if len(range(*s.indices(size))) > 0:
            return s


@case("GetItem", "op")
def get_item(rng):
    a = any_array(rng)
    key = [slice(None)] + [part(rng, n) for n in a.shape[1:]]
    if rng.integers(2):  # an ellipsis for a run of axes
        i, j = sorted(int(v) for v in rng.integers(1, len(key) + 1, 2))
        key[i:j] = [Ellipsis]
    elif rng.integers(2):
        key = key[:int(rng.integers(1, len(key) + 1))]
    for _ in range(int(rng.integers(2))):
        key.insert(int(rng.integers(1, len(key) + 1)), None)
    if key[0] == slice(None) and Ellipsis in key and rng.integers(2) and key.index(Ellipsis) == 1:
        key = key[1:]
    return model_of(lambda x: x[tuple(key)], a)


@case("Take", "op")
def take(rng):
    if rng.integers(3) == 0:  # a table, and indices that the model is given
        table = values(rng, shape_of(rng, 1, 4), str(rng.choice(ANY)))
        i = rng.integers(-table.shape[0], table.shape[0], (3,) + shape_of(rng, 0, 3)).astype("int32")
        return model_of(lambda x: ops.take(table, x, axis=0), i)
    a = any_array(rng)
    axis = one_axis(rng, a)
    i = rng.integers(-a.shape[axis], a.shape[axis], shape_of(rng, 0, 3))
    i = [i, i.tolist(), i.astype("int32")][rng.integers(3)]
    return model_of(lambda x: ops.take(x, i, axis=axis), a)


@case("TakeAlongAxis", "op")
def take_along_axis(rng):
    a = any_array(rng)
    axis = one_axis(rng, a)
    shape = [1 if i != axis % a.ndim and rng.random() < 0.3 else n for i, n in enumerate(a.shape)]
    shape[axis] = int(rng.integers(1, 5))
    tensor = bool(rng.integers(2))
    shape[0] = 3 if tensor else 1
    i = rng.integers(-a.shape[axis], a.shape[axis], shape).astype(["int32", "int64"][rng.integers(2)])
    if tensor:
        return model_of(lambda x, y: ops.take_along_axis(x, y, axis=axis), a, i)
    return model_of(lambda x: ops.take_along_axis(x, i, axis=axis), a)


# ---- shapes ----

@case("Reshape", "op")
def reshape(rng):
    a = any_array(rng)
    size, new = int(np.prod(a.shape[1:])), []
    while size > 1 and len(new) < 4:
        new.append(int(rng.choice([d for d in range(1, size + 1) if size % d == 0])))
        size //= new[-1]
    new.append(size)
    first = [-1, 3][rng.integers(2)]
    return model_of(lambda x: ops.reshape(x, (first, *new)), a)


@case("Ravel", "op")
def ravel(rng):
    a = values(rng, (3,) + (1,) * int(rng.integers(0, 3)), str(rng.choice(ANY)))
    return model_of(ops.ravel, a)


@case("ExpandDims", "op")
def expand_dims(rng):
    a = any_array(rng)
    n = int(rng.integers(1, 3))
    axes = [int(v) for v in rng.permutation(np.arange(1, a.ndim + n))[:n]]
    axes = [v - a.ndim - n if rng.integers(2) else v for v in axes]
    return model_of(lambda x: ops.expand_dims(x, axes[0] if n == 1 else axes), a)


@case("Squeeze", "op")
def squeeze(rng):
    shape = (3,) + tuple(1 if rng.random() < 0.5 else int(rng.integers(2, 5)) for _ in range(4))
    a = values(rng, shape, str(rng.choice(ANY)))
    ones = [i for i in range(1, a.ndim) if shape[i] == 1]
    if not ones or rng.integers(3) == 0:
        return model_of(ops.squeeze, a)
    axes = [int(v) - (a.ndim if rng.integers(2) else 0) for v in rng.permutation(ones)[:rng.integers(1, len(ones) + 1)]]
    return model_of(lambda x: ops.squeeze(x, axes[0] if len(axes) == 1 else axes), a)


@case("BroadcastTo", "op")
def broadcast_to(rng):
    shape = (3,) + tuple(1 if rng.random() < 0.5 else int(rng.integers(2, 5)) for _ in range(3))
    to = tuple(int(rng.integers(1, 5)) if n == 1 else n for n in shape)
    return model_of(lambda x: ops.broadcast_to(x, to), values(rng, shape, str(rng.choice(ANY))))


@case("Full", "op")
def full(rng):
    dtype = [None, "int32", "float32"][rng.integers(3)]
    a = values(rng, (3, 1), str(rng.choice(["float32", "int32"])))
    return model_of(lambda x: keras.src.ops.numpy.Full((3, 5), dtype=dtype)(x), a)


def like(name, function):
    @case(name, "op")
    def run(rng):
        dtype = [None, "int32", "float64", "bool"][rng.integers(4)]
        return model_of(lambda x: getattr(ops, function)(x, dtype=dtype), spoil(rng, any_array(rng)))


for row in [("ZerosLike", "zeros_like"), ("OnesLike", "ones_like")]:
    like(*row)


@case("EmptyLike", "op")
def empty_like(rng):
    return model_of(lambda x: keras.src.ops.numpy.EmptyLike()(x), any_array(rng))


@case("FullLike", "op")
def full_like(rng):
    a = any_array(rng, dtypes=["float32", "int32", "float64"])
    fill = [3, 1.5 if a.dtype.kind == "f" else 2, values(rng, a.shape[-1:], "int32")][rng.integers(3)]
    dtype = [None, "float32", "float64"][rng.integers(3)]
    return model_of(lambda x: ops.full_like(x, fill, dtype=dtype), a)


@case("Array", "op")
def array(rng):
    dtype = [None, "float32", "int32"][rng.integers(3)]
    return model_of(lambda x: ops.array(x, dtype=dtype), any_array(rng, dtypes=["float32", "int32", "uint8"]))


@case("View", "op")
def view(rng):
    shape = (3,) + shape_of(rng, 0, 3) + (4 * int(rng.integers(1, 3)),)
    a = values(rng, shape, str(rng.choice(["float32", "int32", "int16", "uint8"])))
    to = str(rng.choice(["int32", "uint8", "uint16"]))
    return model_of(lambda x: ops.view(x, to), a)


@case("Ndim", "op")
def ndim(rng):
    a = values(rng, [(3, 2), (3, 4, 3), (3, 1, 2, 4)][rng.integers(3)], str(rng.choice(["float32", "int32"])))
    return model_of(lambda x: ops.add(x, keras.src.ops.numpy.Ndim()(x)), a)


# ---- the order of axes and elements ----

@case("Transpose", "op")
def transpose(rng):
    a = any_array(rng)
    perm = [0, *(int(v) for v in rng.permutation(np.arange(1, a.ndim)))]
    perm = [v - a.ndim if v and rng.integers(2) else v for v in perm]
    return model_of(lambda x: ops.transpose(x, perm), a)


@case("Swapaxes", "op")
def swapaxes(rng):
    a = any_array(rng)
    return model_of(lambda x: ops.swapaxes(x, one_axis(rng, a), one_axis(rng, a)), a)


@case("Moveaxis", "op")
def moveaxis(rng):
    a = any_array(rng, 2, 5)
    n = int(rng.integers(1, 3))
    ends = [[int(v) - (a.ndim if rng.integers(2) else 0) for v in rng.permutation(np.arange(1, a.ndim))[:n]]
            for _ in range(2)]
    source, target = ends if n > 1 else (ends[0][0], ends[1][0])
    return model_of(lambda x: ops.moveaxis(x, source, target), a)


@case("Flip", "op")
def flip(rng):
    a = any_array(rng)
    return model_of(lambda x: ops.flip(x, axis_of(rng, a.ndim)), a)


@case("Fliplr", "op")
def fliplr(rng):
    return model_of(keras.ops.fliplr, any_array(rng))


@case("Roll", "op")
def roll(rng):
    a = any_array(rng)
    n = int(rng.integers(1, 3))
    axes = [one_axis(rng, a) for _ in range(n)]
    shifts = [int(rng.integers(-9, 10)) for _ in range(n)]
    return model_of(lambda x: ops.roll(x, shifts if n > 1 else shifts[0], axes if n > 1 else axes[0]), a)


@case("Rot90", "op")
def rot90(rng):
    a = any_array(rng, 2, 4)
    axes = [int(v) - (a.ndim if rng.integers(2) else 0) for v in rng.permutation(np.arange(1, a.ndim))[:2]]
    return model_of(lambda x: ops.rot90(x, k=int(rng.integers(-3, 6)), axes=tuple(axes)), a)


def triangle(name, function):
    @case(name, "op")
    def run(rng):
        a = any_array(rng, 2, 4, ["float32", "int32", "float64", "bool"])
        k = int(rng.integers(1 - a.shape[-2], a.shape[-1]))
        return model_of(lambda x: getattr(ops, function)(x, k=k), a)


for row in [("Tril", "tril"), ("Triu", "triu")]:
    triangle(*row)


def matrix_plane(rng, a):
    return [int(v) - (a.ndim if rng.integers(2) else 0) for v in rng.permutation(np.arange(1, a.ndim))[:2]]


@case("Diagonal", "op")
def diagonal(rng):
    a = any_array(rng, 2, 4)
    one, two = matrix_plane(rng, a)
    offset = int(rng.integers(1 - a.shape[one], a.shape[two]))
    return model_of(lambda x: ops.diagonal(x, offset, one, two), a)


@case("Trace", "op")
def trace(rng):
    a = any_array(rng, 2, 4, FLOATS + INTS)
    one, two = matrix_plane(rng, a)
    one, two = one % a.ndim, two % a.ndim
    most = min(a.shape[one], a.shape[two])  # beyond, Keras itself fails
    offset = int(rng.integers(1 - most, most))
    return model_of(lambda x: ops.trace(x, offset, one, two), a)


# ---- joining, splitting, repeating ----

def several(rng, axis=None, same=False, least=2, ndim=None):
    """Arrays that differ in size along one axis and maybe in type."""
    a = any_array(rng, *((ndim - 1, ndim) if ndim else (1, 4)))
    axis = one_axis(rng, a) if axis is None else axis
    dtype = str(rng.choice(ANY))
    arrays = []
    for _ in range(int(rng.integers(least, 4))):
        shape = list(a.shape)
        if not same:
            shape[axis] = int(rng.integers(1, 5))
        arrays.append(values(rng, tuple(shape), dtype if rng.integers(2) else str(rng.choice(ANY))))
    return arrays, axis


@case("Concatenate", "op")
def concatenate(rng):
    arrays, axis = several(rng)
    return model_of(lambda *x: ops.concatenate(x, axis=axis), *arrays)


@case("Append", "op")
def append(rng):
    arrays, axis = several(rng)
    return model_of(lambda x, y: ops.append(x, y, axis=axis), *arrays[:2])


@case("Stack", "op")
def stack(rng):
    arrays, _ = several(rng, same=True)
    axis = int(rng.integers(1, arrays[0].ndim + 1))
    axis -= arrays[0].ndim + 1 if rng.integers(2) else 0
    return model_of(lambda *x: ops.stack(x, axis=axis), *arrays)


@case("Hstack", "op")
def hstack(rng):
    arrays, _ = several(rng, axis=1)
    return model_of(lambda *x: ops.hstack(x), *arrays)


@case("Dstack", "op")
def dstack(rng):
    arrays, _ = several(rng, axis=2, ndim=3) if rng.integers(2) else several(rng, same=True, ndim=2)
    return model_of(lambda *x: ops.dstack(x), *arrays)


def cuts(rng, size):
    """A number of pieces, or the places of the cuts."""
    if rng.integers(2):
        return int(rng.choice([d for d in range(1, size + 1) if size % d == 0]))
    return sorted({int(v) for v in rng.integers(1, size, int(rng.integers(1, 4)))}) if size > 1 else 1


def splitting(name, function, axis, ndim):
    @case(name, "op")
    def run(rng):
        a = any_array(rng, ndim, 4, largest=8)
        if axis is None:
            at = one_axis(rng, a)
            pieces = cuts(rng, a.shape[at]) if name == "Split" else int(rng.integers(1, a.shape[at] + 1))
            return model_of(lambda x: getattr(ops, function)(x, pieces, axis=at), a)
        return model_of(lambda x: getattr(ops, function)(x, cuts(rng, a.shape[axis])), a)


for row in [("Split", "split", None, 1), ("ArraySplit", "array_split", None, 1), ("Hsplit", "hsplit", 1, 1),
            ("Dsplit", "dsplit", 2, 2)]:
    splitting(*row)


@case("Tile", "op")
def tile(rng):
    a = any_array(rng, largest=4)
    n = int(rng.integers(1, a.ndim + 1))
    times = [int(v) for v in rng.integers(1, 4, n)]
    if n == a.ndim:
        times[0] = 1
    return model_of(lambda x: ops.tile(x, times[0] if n == 1 and rng.integers(2) else times), a)


@case("Repeat", "op")
def repeat(rng):
    a = any_array(rng, dtypes=ANY + ["uint16"])
    axis = one_axis(rng, a)
    times = [int(rng.integers(1, 4)), [int(v) for v in rng.integers(0, 4, a.shape[axis] - 1)] + [1]][rng.integers(2)]
    return model_of(lambda x: ops.repeat(x, times, axis=axis), a)


@case("Pad", "op")
def pad(rng):
    a = any_array(rng, dtypes=["float32", "int32", "float64"])
    mode = ["constant", "reflect", "symmetric"][rng.integers(3)]
    most = [4 if mode == "constant" else n - 1 if mode == "reflect" else n for n in a.shape]
    width = [(0, 0)] + [tuple(int(v) for v in rng.integers(0, m + 1, 2)) for m in most[1:]]
    options = {"constant_values": int(rng.integers(-3, 4))} if mode == "constant" and rng.integers(2) else {}
    return model_of(lambda x: ops.pad(x, width, mode=mode, **options), a)


@case("Where", "op")
def where(rng):
    a = any_array(rng, dtypes=FLOATS[:5] + ["int32", "uint8"])
    condition = values(rng, a.shape, str(rng.choice(["bool", "int32", "float32"])))
    form = int(rng.integers(4))
    if form == 0:
        return model_of(lambda c, x: ops.where(c, x, 0 if a.dtype.kind != "f" else -1.5), condition, a)
    if form == 1:
        return model_of(lambda c, x: ops.where(c, 2, x), condition, a)
    if form == 2:
        other = values(rng, a.shape[-1:], str(rng.choice(["float32", "int32"])))
        return model_of(lambda c, x: ops.where(c, x, other), condition[..., :1], a)
    other = values(rng, (3,) + (1,) * (a.ndim - 1), str(rng.choice(["float32", "int32"])))
    return model_of(ops.where, condition, a, other)


@case("Select", "op")
def select(rng):
    n, shape = int(rng.integers(1, 4)), (3,) + shape_of(rng)
    dtype = str(rng.choice(["float32", "int32"]))
    conditions = [values(rng, shape, "bool") for _ in range(n)]
    choices = [values(rng, shape, dtype) for _ in range(n)]
    dflt = int(rng.integers(-3, 4))
    return model_of(lambda *x: ops.select(list(x[:n]), list(x[n:]), dflt), *conditions, *choices)

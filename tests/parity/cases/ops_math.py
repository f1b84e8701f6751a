"""keras.ops.math without the transforms, and keras.ops.core."""

from parity_kit import data, keras, np

from . import Expect, case
from .kit import flag, pick, seed

ops = keras.ops


def number(rng, low, high):
    return int(rng.integers(low, high))


def sizes(rng, low=1, high=4):
    return [number(rng, 1, 7) for _ in range(number(rng, low, high))]


def draw(rng, shape, kind="float32", scale=1.0):
    x = scale * data((3, *shape), seed(rng))
    return (x > 0) if kind == "bool" else (np.abs(x) if kind.startswith("uint") else x).astype(kind)


def one(fn, shape, x, expect=None):
    v = keras.Input(shape, dtype=str(x.dtype))
    y = fn(v)
    made = keras.Model(v, list(y) if isinstance(y, (list, tuple)) else y), [x]
    return (*made, expect) if expect else made


def some_axes(rng, n):
    axes = [int(a) + 1 for a in rng.permutation(n)[:number(rng, 1, n + 1)]]
    axes = [a if flag(rng) else a - n - 1 for a in axes]
    return axes[0] if len(axes) == 1 and flag(rng) else axes


@case("TopK", "op")
def top_k(rng):
    shape = sizes(rng)
    kind = pick(rng, "float32", "int32")
    x = draw(rng, shape, kind, 3)
    x = np.round(x) if flag(rng) else x  # equals: the first ones win
    return one(lambda v: ops.top_k(v, number(rng, 1, shape[-1] + 1), sorted=True), shape, x)


@case("InTopK", "op")
def in_top_k(rng):
    n = number(rng, 1, 8)
    t, p = keras.Input((), dtype="int32"), keras.Input((n,))
    x = np.round(2 * draw(rng, (n,)))
    return keras.Model([t, p], ops.in_top_k(t, p, k=number(rng, 1, n + 1))), [
        rng.integers(0, n, 3).astype("int32"), x]


@case("Logsumexp", "op")
def logsumexp(rng):
    shape = sizes(rng)
    x = draw(rng, shape, scale=pick(rng, 1, 40))
    x[rng.random(x.shape) < 0.2] = -np.inf
    x[0] = pick(rng, 0, -np.inf, np.inf)
    axes = some_axes(rng, len(shape))
    return one(lambda v: ops.logsumexp(v, axis=axes, keepdims=flag(rng)), shape, x)


@case("CDist", "op")
def cdist(rng):
    lead = [number(rng, 1, 4) for _ in range(number(rng, 0, 2))]
    n, m, d = number(rng, 1, 6), number(rng, 1, 6), number(rng, 1, 6)
    a, b = keras.Input((*lead, n, d)), keras.Input((*lead, m, d))
    return keras.Model([a, b], ops.cdist(a, b) if hasattr(ops, "cdist") else keras.ops.math.cdist(a, b)), [
        draw(rng, (*lead, n, d)), draw(rng, (*lead, m, d))]


@case("ViewAsReal", "op")
def view_as_real(rng):
    shape = sizes(rng)
    return one(ops.view_as_real, shape, draw(rng, shape))


def function(name, fn, values):
    @case(name, "op")
    def made(rng):
        shape = sizes(rng, 0, 4)
        return one(fn, shape, values(rng, draw(rng, shape)).astype("float32"))


function("Erf", ops.erf, lambda rng, x: x * pick(rng, 1, 0.01, 5))
function("Erfc", getattr(ops, "erfc", None) or ops.math.erfc, lambda rng, x: x)
function("Erfinv", ops.erfinv, lambda rng, x: np.tanh(x) * 0.98)
function("Rsqrt", ops.rsqrt, lambda rng, x: np.abs(x) + 0.01)


# ---- core

KINDS = ("float32", "int32", "bool", "uint8", "int8", "int64", "int16", "uint16", "uint32")


@case("Cast", "op")
def cast(rng):
    shape = sizes(rng, 0, 4)
    return one(lambda x: ops.cast(x, pick(rng, *KINDS)), shape,
               np.abs(draw(rng, shape, pick(rng, "float32", "int32", "uint8"), 4)))


@case("SaturateCast", "op")
def saturate_cast(rng):
    shape = sizes(rng, 0, 4)
    x = draw(rng, shape, pick(rng, "float32", "float32", "int32", "uint8", "int16"), pick(rng, 1, 300, 1e5, 1e10))
    if x.dtype == np.float32 and x.size:
        x[rng.random(x.shape) < 0.2] = pick(rng, np.inf, -np.inf, 1e30, -1e30)
    kind = pick(rng, *KINDS, "float16")
    if x.dtype == np.int32 and kind == "float32":
        kind = "float16"  # float32's limits become numbers of int32 that overflow
    if x.dtype == np.float32 and kind in ("int32", "uint32", "int64"):
        # Keras' own limit is one too large in float32, so that 1e30 becomes 0 or the least number.
        x = np.clip(x, -1e9, 1e9).astype("float32")
    return one(lambda v: ops.saturate_cast(v, kind), shape, x)


@case("ConvertToTensor", "op")
def convert(rng):
    shape = sizes(rng, 0, 4)
    return one(lambda x: ops.convert_to_tensor(x, dtype=pick(rng, None, "int32", "float32")), shape, draw(rng, shape))


@case("StopGradient", "op")
def stop_gradient(rng):
    shape = sizes(rng, 0, 4)
    return one(ops.stop_gradient, shape, draw(rng, shape, pick(rng, "float32", "int32")))


@case("Unstack", "op")
def unstack(rng):
    shape = sizes(rng)
    axis = number(rng, 1, len(shape) + 1)
    axis = axis if flag(rng) else axis - len(shape) - 1
    return one(lambda x: ops.unstack(x, axis=axis), shape, draw(rng, shape, pick(rng, "float32", "int32")))


@case("Slice", "op")
def slice_of(rng):
    shape = sizes(rng)
    start = [number(rng, 0, n) for n in shape]
    size = [number(rng, 1, n - s + 1) if flag(rng, 0.7) else -1 for s, n in zip(start, shape)]
    return one(lambda x: ops.slice(x, [0, *start], [pick(rng, -1, 3), *size]), shape,
               draw(rng, shape, pick(rng, "float32", "int32")))


@case("SliceUpdate", "op")
def slice_update(rng):
    """Keras on TensorFlow needs XLA for it: NumPy's assignment is the reference."""
    shape = sizes(rng)
    start = [number(rng, 0, n) for n in shape]
    size = [number(rng, 1, n - s + 1) for s, n in zip(start, shape)]
    x, u = keras.Input(shape), keras.Input(size)
    a, b = draw(rng, shape), draw(rng, size)
    want = a.copy()
    want[(slice(None), *[slice(s, s + n) for s, n in zip(start, size)])] = b
    return keras.Model([x, u], ops.slice_update(x, [0, *start], u)), [a, b], Expect(outputs=[want])

"""keras.ops that sort, search, count, run along an axis, take quantiles, make sequences."""

from parity_kit import keras, np

from . import case
from .ops_numpy import FLOATS, INTS, axis_of, model_of, shape_of, spoil, values

ops = keras.ops


def array(rng, dtypes=FLOATS + INTS, least=1, most=4, kind="any"):
    return values(rng, (3,) + shape_of(rng, least, most), str(rng.choice(dtypes)), kind)


def one_axis(rng, a):
    return axis_of(rng, a.ndim, False)


def sorting(name, function):
    @case(name, "op")
    def run(rng):
        a = array(rng, FLOATS + INTS + ["bool"])
        axis = one_axis(rng, a)
        return model_of(lambda x: getattr(ops, function)(x, axis=axis), a)


for row in [("Sort", "sort"), ("Argsort", "argsort")]:
    sorting(*row)


@case("Digitize", "op")
def digitize(rng):
    a = spoil(rng, array(rng))
    bins = np.sort(values(rng, (int(rng.integers(1, 7)),), str(rng.choice(["float32", "int32", "float64"]))))
    return model_of(lambda x: ops.digitize(x, bins), a)


@case("SearchSorted", "op")
def searchsorted(rng):
    a = values(rng, (3,), str(rng.choice(["float32", "int32", "float64", "int64"])))
    limits = np.sort(values(rng, (int(rng.integers(1, 7)),), str(a.dtype)))
    side = ["left", "right"][rng.integers(2)]
    return model_of(lambda x: ops.searchsorted(limits, x, side=side), a)


@case("Bincount", "op")
def bincount(rng):
    a = rng.integers(0, 6, (3, int(rng.integers(1, 9)))).astype(str(rng.choice(["int32", "int64", "uint8"])))
    return model_of(lambda x: ops.bincount(x, minlength=int(rng.integers(6, 10))), a)


def running(name, function, special):
    @case(name, "op")
    def run(rng):
        a = array(rng, FLOATS + ["int32", "int64"] + ([] if special else ["bool", "int8"]), kind="small")
        a = spoil(rng, a, (np.nan,)) if special else a
        options = {"axis": one_axis(rng, a)}
        if rng.integers(3) == 0:
            options["dtype"] = ["float32", "float64", "int32"][rng.integers(2 if special else 3)]
        return model_of(lambda x: getattr(ops, function)(x, **options), a)


for row in [("Cumprod", "cumprod", False), ("Nancumsum", "nancumsum", True), ("Nancumprod", "nancumprod", True)]:
    running(*row)


@case("Diff", "op")
def diff(rng):
    a = array(rng, FLOATS + INTS[:5] + ["bool"])
    axis = one_axis(rng, a)
    return model_of(lambda x: ops.diff(x, n=int(rng.integers(0, a.shape[axis])), axis=axis), a)


@case("Trapezoid", "op")
def trapezoid(rng):
    a = values(rng, (3,) + shape_of(rng) + (int(rng.integers(2, 6)),), str(rng.choice(FLOATS + ["int32"])))
    form = int(rng.integers(3))
    if form == 0:
        x = np.sort(values(rng, (a.shape[-1],), "float32"))
        return model_of(lambda y: ops.trapezoid(y, x=x.tolist()), a)
    axis = one_axis(rng, a) if form == 1 else -1
    if a.shape[axis] < 2:
        axis = -1
    return model_of(lambda y: ops.trapezoid(y, dx=float(rng.uniform(0.5, 2)), axis=axis), a)


def quantile_of(name, function, form, special):
    @case(name, "op")
    def run(rng):
        a = array(rng, ["float32"] * 3 + ["float64"] + ([] if special else ["int32", "uint8"]))
        a = spoil(rng, a, (np.nan,), 0.3) if special or rng.integers(3) == 0 else a
        options = {"axis": axis_of(rng, a.ndim), "keepdims": bool(rng.integers(2))}
        fn = getattr(ops, function)
        if form == "median":
            return model_of(lambda x: fn(x, **options), a)
        options["method"] = ["linear", "lower", "higher", "nearest", "midpoint"][rng.integers(5)]
        q = float(rng.choice([0, 1, 0.5, 0.25, rng.uniform(0, 1)])) * (100 if form == "percent" else 1)
        return model_of(lambda x: fn(x, q, **options), a)


for row in [("Median", "median", "median", False), ("Quantile", "quantile", "", False),
            ("Percentile", "percentile", "percent", False), ("Nanmedian", "nanmedian", "median", True),
            ("Nanquantile", "nanquantile", "", True), ("Nanpercentile", "nanpercentile", "percent", True)]:
    quantile_of(*row)


# ---- sequences and grids ----

def ends(rng, kind):
    """start and stop: one of them with the rows, or both."""
    a = array(rng, ["float32"] * 3 + ["float64", "int32"], 0, 3, kind)
    form = int(rng.integers(3))
    if form == 0:
        b = values(rng, a.shape, str(rng.choice(["float32", "int32"])), kind)
        return [a, b], lambda fn: fn
    other = [2.5, values(rng, a.shape[1:], "float32", kind)][rng.integers(2)] if a.ndim > 1 else 2.5
    return [a], (lambda fn: lambda x: fn(x, other)) if form == 1 else (lambda fn: lambda x: fn(other, x))


def sequence(name, function, kind):
    @case(name, "op")
    def run(rng):
        arrays, bind = ends(rng, kind)
        if name == "Geomspace":  # Keras itself fails when the start has axes
            arrays, bind = arrays[:1], lambda fn: lambda x: fn(2.5, x)
        axis = int(rng.integers(1, arrays[0].ndim + 1))
        options = {"num": int(rng.integers(1, 7)), "endpoint": bool(rng.integers(2)),
                   "axis": axis - arrays[0].ndim - 1 if rng.integers(2) else axis}
        if rng.integers(3) == 0:
            options["dtype"] = ["float32", "float64"][rng.integers(2)]
        if name == "Logspace" and rng.integers(2):
            options["base"] = [2, 3.5][rng.integers(2)]
        return model_of(bind(lambda *x: getattr(ops, function)(*x, **options)), *arrays)


for row in [("Linspace", "linspace", "any"), ("Logspace", "logspace", "small"),
            ("Geomspace", "geomspace", "positive")]:
    sequence(*row)


@case("Vander", "op")
def vander(rng):
    a = values(rng, (3,), str(rng.choice(["float32", "float64", "int32"])), "small")
    return model_of(lambda x: ops.vander(x, N=int(rng.integers(1, 6)), increasing=bool(rng.integers(2))), a)


@case("Meshgrid", "op")
def meshgrid(rng):
    n = int(rng.integers(1, 4))
    a = values(rng, (3,) + (1,) * int(rng.integers(0, 2)), str(rng.choice(["float32", "int32"])))
    others = [values(rng, (int(rng.integers(1, 5)),), str(a.dtype)) for _ in range(n - 1)]
    if n > 1 and rng.integers(2):
        return model_of(lambda x: ops.meshgrid(others[0], x, *others[1:], indexing="xy"), a)
    return model_of(lambda x: ops.meshgrid(x, *others, indexing="ij"), a)


@case("UnravelIndex", "op")
def unravel_index(rng):
    shape = shape_of(rng, 1, 4)
    size = (3,) + shape_of(rng, 0, 3)
    a = rng.integers(0, int(np.prod(shape)), size).astype(str(rng.choice(["int32", "int64"])))
    return model_of(lambda x: ops.unravel_index(x, shape), a)

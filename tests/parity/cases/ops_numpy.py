"""The classes of keras.ops.numpy as they stand in saved graphs: element by element, and reductions."""

from parity_kit import keras, np

from . import Expect, case

ops = keras.ops

FLOATS = ["float32"] * 4 + ["float64", "float16"]
INTS = ["int32"] * 2 + ["int8", "int16", "int64", "uint8", "uint16", "uint32"]
LOOSE = {"float16": Expect(rtol=4e-3, atol=2e-3)}


def shape_of(rng, least=1, most=4, largest=6):
    """A shape behind the batch."""
    return tuple(int(v) for v in rng.integers(1, largest, rng.integers(least, most)))


def axis_of(rng, rank, several=True, none=False):
    """Axes of an array with a batch, from the front or from the back; never the batch."""
    axes = [int(a) for a in rng.permutation(np.arange(1, rank))[:rng.integers(1, rank) if several else 1]]
    axes = [a - rank if rng.integers(2) else a for a in axes]
    return axes[0] if len(axes) == 1 and rng.integers(2) else tuple(axes) if several else axes[0]


def values(rng, shape, dtype, kind="any"):
    """Numbers with ties, zeros and signs; kind: the domain."""
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if "int" in dtype:
        low = 1 if kind in ("positive", "nonzero") else 0 if dtype[0] == "u" or kind == "unit" else -7
        a = rng.integers(low, 2 if kind == "unit" else 9, shape)
        return np.where(rng.random(shape) < 0.3, -a, a).astype(dtype) if kind == "nonzero" and dtype[0] == "i" else a.astype(dtype)
    a = rng.normal(0, 2, shape)
    if kind == "unit":
        a = rng.uniform(-0.99, 0.99, shape)
    elif kind in ("positive", "above"):
        a = np.abs(a) + (1.01 if kind == "above" else 0.05)
    elif kind == "nonzero":
        a = np.where(np.abs(a) < 0.3, 0.7, a)
    elif kind == "small":
        a = rng.uniform(-1.2, 1.2, shape)
    else:
        a = np.where(rng.random(shape) < 0.3, np.round(a * 2) / 2, a)
    return a.astype(dtype)


def spoil(rng, a, what=(np.nan, np.inf, -np.inf, -0.0), share=0.2):
    """Puts special values into floats."""
    if a.dtype.kind != "f":
        return a
    return np.where(rng.random(a.shape) < share, rng.choice(what, a.shape), a).astype(a.dtype)


def model_of(fn, *arrays, expect=None):
    """fn of one Input an array; the arrays have the batch in front."""
    inputs = [keras.Input(a.shape[1:], dtype=str(a.dtype)) for a in arrays]
    model = keras.Model(inputs, fn(*inputs))
    loose = any(str(a.dtype) == "float16" for a in arrays)
    expect = expect or (LOOSE["float16"] if loose else Expect())
    return model, list(arrays), expect


# ---- one operand ----

SINGLE = {  # class: (function, domain, types, special values)
    "Absolute": ("absolute", "any", FLOATS + INTS, True), "Abs": ("abs", "any", FLOATS + INTS, True),
    "Fabs": ("fabs", "any", FLOATS + INTS, True), "Negative": ("negative", "any", FLOATS + INTS[:5], True),
    "Sign": ("sign", "any", FLOATS + INTS, False), "Square": ("square", "any", FLOATS + INTS[:5] + ["bool"], True),
    "Sqrt": ("sqrt", "positive", FLOATS + INTS, False), "Cbrt": ("cbrt", "any", FLOATS + INTS, False),
    "Exp": ("exp", "any", FLOATS + INTS, True), "Exp2": ("exp2", "any", FLOATS + INTS, True),
    "Expm1": ("expm1", "any", FLOATS + INTS, False), "Log": ("log", "positive", FLOATS + INTS, True),
    "Log1p": ("log1p", "positive", FLOATS + INTS, False), "Log2": ("log2", "positive", FLOATS + INTS, False),
    "Log10": ("log10", "positive", FLOATS + INTS, False), "Sin": ("sin", "any", FLOATS + INTS, False),
    "Cos": ("cos", "any", FLOATS + INTS, False), "Tan": ("tan", "small", FLOATS, False),
    "Arcsin": ("arcsin", "unit", FLOATS + INTS, False), "Arccos": ("arccos", "unit", FLOATS + INTS, False),
    "Arctan": ("arctan", "any", FLOATS + INTS, True), "Sinh": ("sinh", "any", FLOATS + INTS, False),
    "Cosh": ("cosh", "any", FLOATS + INTS, False), "Tanh": ("tanh", "any", FLOATS + INTS, True),
    "Arcsinh": ("arcsinh", "any", FLOATS + INTS, False), "Arccosh": ("arccosh", "above", FLOATS, False),
    "Arctanh": ("arctanh", "unit", FLOATS, False), "Sinc": ("sinc", "any", FLOATS + INTS, False),
    "I0": ("i0", "any", FLOATS + INTS, False), "Ceil": ("ceil", "any", FLOATS + INTS, True),
    "Floor": ("floor", "any", FLOATS + INTS, True), "Trunc": ("trunc", "any", FLOATS + INTS, True),
    "BitwiseInvert": ("bitwise_invert", "any", INTS, False), "BitwiseNot": ("bitwise_not", "any", INTS, False),
    "LogicalNot": ("logical_not", "any", FLOATS + INTS + ["bool"], True),
    "Reciprocal": ("reciprocal", "nonzero", FLOATS, True), "Deg2rad": ("deg2rad", "any", FLOATS + INTS, True),
    "Rad2deg": ("rad2deg", "any", FLOATS + INTS, True), "Isnan": ("isnan", "any", FLOATS, True),
    "Isinf": ("isinf", "any", FLOATS, True), "Isfinite": ("isfinite", "any", FLOATS, True),
    "Isneginf": ("isneginf", "any", FLOATS + INTS, True), "Isposinf": ("isposinf", "any", FLOATS + INTS, True),
    "Signbit": ("signbit", "any", FLOATS + INTS + ["bool"], True), "Isreal": ("isreal", "any", FLOATS + INTS, True),
    "Real": ("real", "any", FLOATS, True), "Imag": ("imag", "any", FLOATS, True),
    "Conjugate": ("conjugate", "any", FLOATS, True), "Conj": ("conj", "any", FLOATS, True),
    "Copy": ("copy", "any", FLOATS + INTS + ["bool"], True), "Angle": ("angle", "any", FLOATS + INTS, True),
}


def single(name, function, domain, dtypes, special):
    @case(name, "op")
    def run(rng):
        a = values(rng, (3,) + shape_of(rng), str(rng.choice(dtypes)), domain)
        if special and rng.integers(2):
            a = spoil(rng, a)
        return model_of(getattr(ops, function), a)


for row in SINGLE.items():
    single(row[0], *row[1])


@case("Round", "op")
def round_(rng):
    a = values(rng, (3,) + shape_of(rng), str(rng.choice(["float32", "float64", "int32"])))
    n = int(rng.integers(-1, 3))
    return model_of(lambda x: ops.round(x, n) if n or rng.integers(2) else ops.round(x), a * 10)


@case("Clip", "op")
def clip(rng):
    a = values(rng, (3,) + shape_of(rng), str(rng.choice(FLOATS + ["int32", "bool"])))
    low, high = sorted(rng.normal(0, 1.5, 2))
    if a.dtype.kind != "f":
        low, high = int(rng.integers(-3, 1)), int(rng.integers(1, 5))
    return model_of(lambda x: ops.clip(x, low, high), spoil(rng, a))


@case("NanToNum", "op")
def nan_to_num(rng):
    a = spoil(rng, values(rng, (3,) + shape_of(rng), str(rng.choice(FLOATS + ["int32"]))))
    options = {k: float(rng.normal()) for k in ("nan", "posinf", "neginf") if rng.integers(2)}
    return model_of(lambda x: ops.nan_to_num(x, **options), a)


# ---- two operands ----

PAIRS = {  # class: (function, domain of the second, types, special values)
    "Add": ("add", "any", FLOATS + INTS, True), "Subtract": ("subtract", "any", FLOATS + INTS, True),
    "Multiply": ("multiply", "any", FLOATS + INTS, True), "Divide": ("divide", "nonzero", FLOATS + INTS, True),
    "TrueDivide": ("true_divide", "nonzero", FLOATS + INTS, True),
    "DivideNoNan": ("divide_no_nan", "any", FLOATS + INTS, False),
    "FloorDivide": ("floor_divide", "nonzero", FLOATS + INTS, False),
    "Maximum": ("maximum", "any", FLOATS + INTS, True), "Minimum": ("minimum", "any", FLOATS + INTS, True),
    "Fmax": ("fmax", "any", FLOATS + INTS, True), "Fmin": ("fmin", "any", FLOATS + INTS, True),
    "Mod": ("mod", "nonzero", FLOATS + INTS, False), "Fmod": ("fmod", "nonzero", FLOATS + INTS, False),
    "Arctan2": ("arctan2", "any", FLOATS + INTS, False), "Hypot": ("hypot", "any", FLOATS + INTS, False),
    "Logaddexp": ("logaddexp", "any", FLOATS + INTS, True), "Logaddexp2": ("logaddexp2", "any", FLOATS + INTS, True),
    "Heaviside": ("heaviside", "any", FLOATS + INTS, True), "Nextafter": ("nextafter", "any", FLOATS, False),
    "Gcd": ("gcd", "any", INTS, False), "Lcm": ("lcm", "any", INTS, False),
    "BitwiseAnd": ("bitwise_and", "any", INTS, False), "BitwiseOr": ("bitwise_or", "any", INTS, False),
    "BitwiseXor": ("bitwise_xor", "any", INTS, False),
    "BitwiseLeftShift": ("bitwise_left_shift", "unit", INTS, False), "LeftShift": ("left_shift", "unit", INTS, False),
    "BitwiseRightShift": ("bitwise_right_shift", "unit", INTS, False),
    "RightShift": ("right_shift", "unit", INTS, False),
    "Equal": ("equal", "any", FLOATS + INTS, True), "NotEqual": ("not_equal", "any", FLOATS + INTS, True),
    "Less": ("less", "any", FLOATS + INTS, True), "LessEqual": ("less_equal", "any", FLOATS + INTS, True),
    "Greater": ("greater", "any", FLOATS + INTS, True), "GreaterEqual": ("greater_equal", "any", FLOATS + INTS, True),
    "LogicalAnd": ("logical_and", "any", FLOATS + INTS + ["bool"] * 4, True),
    "LogicalOr": ("logical_or", "any", FLOATS + INTS + ["bool"] * 4, True),
    "LogicalXor": ("logical_xor", "any", FLOATS + INTS + ["bool"] * 4, True),
}
OPERATORS = {"Add": lambda x, y: x + y, "Subtract": lambda x, y: x - y, "Multiply": lambda x, y: x * y,
             "TrueDivide": lambda x, y: x / y, "FloorDivide": lambda x, y: x // y, "Mod": lambda x, y: x % y,
             "Less": lambda x, y: x < y, "GreaterEqual": lambda x, y: x >= y}
NO_NUMBERS = {"BitwiseAnd", "BitwiseOr", "BitwiseXor", "Heaviside", "Hypot"}  # Keras fails on them
NO_WEAK_REFLECTED = {"BitwiseLeftShift", "LeftShift", "BitwiseRightShift", "RightShift"}


def partner(rng, shape):
    """A shape that broadcasts with one that has a batch."""
    other = tuple(v if rng.random() < 0.7 else 1 for v in shape)
    return other[int(rng.integers(0, len(other))):]  # files keep no type of an array without axes


def two(rng, dtypes, domain, special, first="any"):
    """Two arrays, the second with or without the batch."""
    kinds = [str(rng.choice(dtypes))] * 2 if rng.integers(2) else [str(v) for v in rng.choice(dtypes, 2)]
    shape = shape_of(rng)
    a = values(rng, (3,) + shape, kinds[0], first)
    batch = bool(rng.integers(2))
    b = values(rng, (3,) + tuple(v if rng.random() < 0.7 else 1 for v in shape) if batch else partner(rng, shape),
               kinds[1], domain)
    if special and rng.integers(2):
        a, b = spoil(rng, a), spoil(rng, b) if domain == "any" else b
    return a, b, batch


def number_for(rng, dtype, domain, name):
    whole = "int" in dtype or dtype == "bool" or rng.integers(3) == 0
    n = int(rng.integers(1, 7)) if domain != "any" or dtype.startswith("u") else int(rng.integers(-5, 6))
    if domain == "unit":
        n = int(rng.integers(0, 3))
    return n if whole or name in ("Gcd", "Lcm") or "Bit" in name or "Shift" in name else float(rng.normal(0, 2))


def pair(name, function, domain, dtypes, special):
    @case(name, "op")
    def run(rng):
        fn = getattr(ops, function)
        if name in OPERATORS and rng.integers(2):
            fn = OPERATORS[name]
        form = int(rng.integers(4))
        a, b, batch = two(rng, dtypes, domain, special, "nonzero" if form == 3 and domain == "nonzero" else "any")
        expect = LOOSE["float16"] if "float16" in (str(a.dtype), str(b.dtype)) else Expect()
        if name in NO_NUMBERS:
            form = 2 + form % 2
        if form == 0 or (form == 1 and b.dtype == a.dtype and batch):
            n = number_for(rng, str(a.dtype), domain, name)
            return model_of(lambda x: fn(x, n), a, expect=expect)
        if form == 1 and name not in NO_WEAK_REFLECTED:
            n = number_for(rng, str(a.dtype), "any" if domain == "any" else domain, name)
            a = values(rng, a.shape, str(a.dtype), domain)
            return model_of(lambda x: fn(n, x), a, expect=expect)
        if batch:
            if function == "add" and b.size == 3:  # Keras takes it for a bias where the rows' number is known
                b = values(rng, a.shape, str(b.dtype), domain)
            return model_of(fn, a, b, expect=expect)
        if form == 3 and domain in ("any", "nonzero") and fn is getattr(ops, function):
            return model_of(lambda x: fn(b, x), a, expect=expect)
        return model_of(lambda x: fn(x, b), a, expect=expect)


for row in PAIRS.items():
    pair(row[0], *row[1])


@case("Power", "op")
def power(rng):
    dtype = str(rng.choice(FLOATS + ["int32", "int64", "uint8"]))
    a = values(rng, (3,) + shape_of(rng), dtype, "positive")
    n = int(rng.integers(0, 4)) if "int" in dtype else float(np.round(rng.normal(0, 1.5), 3))
    form = int(rng.integers(4))
    if form == 0:
        return model_of(lambda x: x ** n, a)
    if form == 1:
        return model_of(lambda x: ops.power(2 if "int" in dtype else 1.7, x), a)
    return model_of(ops.power, a, np.minimum(values(rng, a.shape, dtype, "positive"), 3).astype(dtype))


@case("Ldexp", "op")
def ldexp(rng):
    a = spoil(rng, values(rng, (3,) + shape_of(rng), str(rng.choice(FLOATS[:5] + ["int32"]))))
    b = values(rng, a.shape, str(rng.choice(["int32", "int8", "int64"])))
    return model_of(ops.ldexp, a, b)


@case("Isclose", "op")
def isclose(rng):
    a = spoil(rng, values(rng, (3,) + shape_of(rng), str(rng.choice(["float32", "float64", "int32"]))), share=0.1)
    b = np.where(rng.random(a.shape) < 0.6, a, a + values(rng, a.shape, "float32", "small") * 0.01).astype(a.dtype)
    options = {"equal_nan": bool(rng.integers(2))}
    if rng.integers(2):
        options |= {"rtol": float(rng.choice([1e-3, 0.1])), "atol": float(rng.choice([0, 1e-2]))}
    return model_of(lambda x, y: ops.isclose(x, y, **options), a, b)


@case("IsIn", "op")
def isin(rng):
    dtype = str(rng.choice(["int32", "float32", "uint8"]))
    a = values(rng, (3,) + shape_of(rng), dtype)
    other = values(rng, shape_of(rng, 1, 3), dtype)
    return model_of(lambda x: ops.isin(x, other, invert=bool(rng.integers(2))), a)


# ---- reductions ----

REDUCTIONS = {  # class: (function, types, special values, options)
    "Sum": ("sum", FLOATS + INTS + ["bool"], True), "Prod": ("prod", FLOATS + INTS + ["bool"], False),
    "Mean": ("mean", FLOATS + INTS + ["bool"], True), "Var": ("var", FLOATS + INTS, False),
    "Std": ("std", FLOATS + INTS, False), "Max": ("max", FLOATS + INTS + ["bool"], False),
    "Amax": ("amax", FLOATS + INTS, False), "Min": ("min", FLOATS + INTS + ["bool"], False),
    "Amin": ("amin", FLOATS + INTS, False), "Any": ("any", FLOATS + INTS + ["bool"] * 5, True),
    "All": ("all", FLOATS + INTS + ["bool"] * 5, True), "Ptp": ("ptp", FLOATS + INTS, False),
    "Nansum": ("nansum", FLOATS + INTS, "nan"), "Nanprod": ("nanprod", FLOATS + INTS, "nan"),
    "Nanmax": ("nanmax", FLOATS + INTS, "nan"), "Nanmin": ("nanmin", FLOATS + INTS, "nan"),
    "Nanmean": ("nanmean", FLOATS + INTS, "nan"), "Nanvar": ("nanvar", FLOATS + INTS, "nan"),
    "Nanstd": ("nanstd", FLOATS + INTS, "nan"),
}


def reduction(name, function, dtypes, special):
    @case(name, "op")
    def run(rng):
        a = values(rng, (3,) + shape_of(rng), str(rng.choice(dtypes)))
        if special and rng.integers(2):
            a = spoil(rng, a, (np.nan,) if special == "nan" else (np.nan, np.inf, -np.inf, 0.0), 0.3)
        options = {"axis": axis_of(rng, a.ndim)}
        if rng.integers(2):
            options["keepdims"] = bool(rng.integers(2))
        if name in ("Max", "Min") and rng.integers(2):
            options["initial"] = int(rng.integers(0, 3)) if a.dtype.kind != "f" else float(rng.normal())
        return model_of(lambda x: getattr(ops, function)(x, **options), a)


for row in REDUCTIONS.items():
    reduction(row[0], *row[1])


def place(name, function, special):
    @case(name, "op")
    def run(rng):
        a = values(rng, (3,) + shape_of(rng), str(rng.choice(FLOATS + INTS)))
        a = spoil(rng, a, (np.nan,) if special else (0.0, -0.0, 2.0), 0.4)
        axis, keep = axis_of(rng, a.ndim, False), bool(rng.integers(2))
        return model_of(lambda x: getattr(ops, function)(x, axis=axis, keepdims=keep), a)


for row in [("Argmax", "argmax", False), ("Argmin", "argmin", False), ("Nanargmax", "nanargmax", True),
            ("Nanargmin", "nanargmin", True)]:
    place(*row)


@case("CountNonzero", "op")
def count_nonzero(rng):
    a = spoil(rng, values(rng, (3,) + shape_of(rng), str(rng.choice(FLOATS + INTS + ["bool"]))))
    axis = axis_of(rng, a.ndim)
    return model_of(lambda x: ops.count_nonzero(x, axis=axis), a)


@case("Average", "op")
def average(rng):
    a = values(rng, (3,) + shape_of(rng), str(rng.choice(FLOATS + ["int32"])))
    axis = axis_of(rng, a.ndim, False)
    form = int(rng.integers(3))
    if form == 0:
        return model_of(lambda x: ops.average(x, axis=axis), a)
    if form == 1:
        weights = values(rng, (a.shape[axis],), str(rng.choice(["float32", "int32"])), "positive")
        return model_of(lambda x: ops.average(x, axis=axis, weights=weights), a)
    return model_of(lambda x, y: ops.average(x, axis=axis, weights=y), a, values(rng, a.shape, "float32", "positive"))

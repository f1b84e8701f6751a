"""keras.ops that multiply and add along axes, as they stand in saved graphs."""

from parity_kit import keras, np

from . import Expect, case
from .ops_numpy import model_of, shape_of, values

ops = keras.ops
TYPES = ["float32"] * 5 + ["float64", "int32", "float16"]


def dtype_of(rng):
    return str(rng.choice(TYPES))


def expect_of(*arrays):
    loose = any(str(a.dtype) == "float16" for a in arrays)
    return Expect(rtol=1e-2, atol=2e-2) if loose else Expect()


def both(rng, fn, a, b, batch):
    """b comes with the rows, or as a constant behind or before the rows."""
    expect = expect_of(a, b)
    if batch:
        return model_of(fn, a, b, expect=expect)
    return model_of(lambda x: fn(x, b), a, expect=expect)


@case("Matmul", "op")
def matmul(rng):
    form, dtype = int(rng.integers(5)), dtype_of(rng)
    other = dtype if rng.integers(2) else dtype_of(rng)
    k, m, n = (int(v) for v in rng.integers(1, 6, 3))
    lead = shape_of(rng, 0, 3, 4)
    fn = [ops.matmul, lambda x, y: x @ y][rng.integers(2)]
    if form == 0:  # rows of vectors with a matrix or a vector
        b = values(rng, (k, n) if rng.integers(2) else (k,), other)
        return both(rng, fn, values(rng, (3,) + lead + (k,), dtype), b, False)
    if form == 1:
        b = values(rng, (3,) + lead + (k, n), other)
        return both(rng, fn, values(rng, (3,) + lead + (m, k), dtype), b, True)
    if form == 2:
        a, b = values(rng, (m, k), dtype), values(rng, (3,) + lead + (k, n), other)
        return model_of(lambda x: fn(ops.convert_to_tensor(a) if fn is not ops.matmul else a, x), b,
                        expect=expect_of(a, b))
    if form == 3 and lead:
        b = values(rng, (3, *(1 if rng.integers(2) else v for v in lead), k, n), other)
        return both(rng, fn, values(rng, (3,) + lead + (m, k), dtype), b, True)
    b = values(rng, (*lead[1:], k, n), other)
    return both(rng, fn, values(rng, (3,) + lead + (m, k), dtype), b, False)


@case("Dot", "op")
def dot(rng):
    k, dtype = int(rng.integers(1, 6)), dtype_of(rng)
    a = values(rng, (3,) + shape_of(rng, 0, 3, 4) + (k,), dtype)
    shape = [(k,), (k, 4), (2, k, 3), ()][rng.integers(4)]
    kind = dtype_of(rng) if shape else "float32"  # files keep no type of one number
    return both(rng, ops.dot, a, values(rng, shape, kind), False)


@case("Inner", "op")
def inner(rng):
    k = int(rng.integers(1, 6))
    a = values(rng, (3,) + shape_of(rng, 0, 3, 4) + (k,), dtype_of(rng))
    return both(rng, ops.inner, a, values(rng, shape_of(rng, 0, 3, 4) + (k,), dtype_of(rng)), False)


@case("Tensordot", "op")
def tensordot(rng):
    n = int(rng.integers(0, 3))
    own, shared, other = shape_of(rng, 0, 3, 4), shape_of(rng, n, n + 1, 4), shape_of(rng, 0, 3, 4)
    if rng.integers(2) or n == 0:
        a, b, axes = (3,) + own + shared, shared + other, n
    else:
        a, b = (3,) + own + shared, other + shared[::-1]
        axes = [list(range(len(a) - n, len(a))), [len(b) - 1 - i for i in range(n)]]
        if n == 1:
            axes = [axes, [[-1], [-1]]][rng.integers(2)]
    return both(rng, lambda x, y: ops.tensordot(x, y, axes=axes), values(rng, a, dtype_of(rng)),
                values(rng, b, dtype_of(rng)), False)


@case("Outer", "op")
def outer(rng):
    a = values(rng, (3,) + (1,) * int(rng.integers(0, 2)), dtype_of(rng))
    return both(rng, ops.outer, a, values(rng, shape_of(rng, 1, 3), dtype_of(rng)), False)


@case("Kron", "op")
def kron(rng):
    a = values(rng, (3,) + shape_of(rng, 1, 3, 4), dtype_of(rng))
    shape = shape_of(rng, 1, a.ndim, 4)
    shape = (1,) * int(rng.integers(0, a.ndim + 1 - len(shape))) + shape
    return both(rng, ops.kron, a, values(rng, shape[1 - a.ndim:], dtype_of(rng)), False)


@case("Cross", "op")
def cross(rng):
    lead, batch = shape_of(rng, 0, 3, 4), bool(rng.integers(2))
    sizes = [int(v) for v in rng.integers(2, 4, 2)]
    a = values(rng, (3,) + lead + (sizes[0],), dtype_of(rng))
    b = values(rng, ((3,) + lead if batch else lead) + (sizes[1],), dtype_of(rng))
    if batch and lead and rng.integers(2):
        at, to = int(rng.integers(1, len(lead) + 2)), int(rng.integers(1, len(lead) + (2 if max(sizes) == 3 else 1)))
        if rng.integers(2) and sizes == [3, 3]:
            a, b = np.moveaxis(a, -1, at), np.moveaxis(b, -1, at)
            return both(rng, lambda x, y: ops.cross(x, y, axis=at), a, b, True)
        a = np.moveaxis(a, -1, at)
        return both(rng, lambda x, y: ops.cross(x, y, axisa=at, axisc=to), a, b, True)
    return both(rng, ops.cross, a, b, batch)


EQUATIONS = [  # operands with a batch first, then constants
    ("bij,bjk->bik", 2, 0), ("bqhd,bkhd->bhqk", 2, 0), ("bhqk,bkhd->bqhd", 2, 0), ("bi,bi->b", 2, 0),
    ("bi,bj->bij", 2, 0), ("bij,bij->bij", 2, 0), ("bij,bj->bi", 2, 0), ("bij->bji", 1, 0), ("bij->bi", 1, 0),
    ("bij->b", 1, 0), ("bii->bi", 1, 0), ("bii->b", 1, 0), ("bij,jk->bik", 1, 1), ("bij,jkl->bikl", 1, 1),
    ("bihd,hdo->bio", 1, 1), ("bhij,hjk->bhik", 1, 1), ("bij,i->bj", 1, 1), ("bij,ij->b", 1, 1),
    ("bij,k->bijk", 1, 1), ("bij,ij->bij", 1, 1), ("bijk,jl->bilk", 1, 1), ("...ij,jk->...ik", 1, 1),
    ("...i,...i->...", 2, 0), ("bij,bjk,bkl->bil", 3, 0), ("bij,jk,kl->bil", 1, 2), ("bi,bj,ijk->bk", 2, 1),
    ("b...->b...", 1, 0), ("b i j , b j -> b i", 2, 0), ("bijk,bljk->bil", 2, 0), ("bij,kj->bki", 1, 1),
]


@case("Einsum", "op")
def einsum(rng):
    equation, tensors, constants = EQUATIONS[rng.integers(len(EQUATIONS))]
    sizes = {c: int(rng.integers(1, 5)) for c in "ijklhdoq"} | {"b": 3}
    dots = (3,) + shape_of(rng, 1, 3, 4)
    arrays = []
    for i, term in enumerate(equation.replace(" ", "").split("->")[0].split(",")):
        shape = ()
        if "..." in term:
            before, term = term.split("...")
            shape = tuple(sizes[c] for c in before) + (dots[1:] if before else dots)
        arrays.append(values(rng, shape + tuple(sizes[c] for c in term), dtype_of(rng) if i == 0 or rng.integers(
            2) else str(arrays[0].dtype)))
    fixed = arrays[tensors:]
    return model_of(lambda *x: ops.einsum(equation, *x, *fixed), *arrays[:tensors], expect=expect_of(*arrays))

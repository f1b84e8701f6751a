"""keras.ops.linalg: vectors with their signs too."""

from parity_kit import data, keras, np

from . import Expect, case

ops = keras.ops


def number(rng, low, high):
    return int(rng.integers(low, high))


def leading(rng, most=3):
    return [number(rng, 1, 4) for _ in range(number(rng, 0, most))]


def matrices(rng, shape):
    """Away from singular ones: float32 arithmetic must not matter."""
    a = rng.normal(0, 0.6, (3, *shape))
    for i in range(min(shape[-2:])):
        a[..., i, i] += rng.choice([-2.5, 2.5], a.shape[:-2]) * (1 + 0.5 * i)
    return a.astype("float32")


def positive(rng, shape):
    a = matrices(rng, shape)
    return (a @ np.swapaxes(a, -1, -2) + 0.5 * np.eye(shape[-1])).astype("float32")


def square(rng):
    n = number(rng, 1, 7)
    return leading(rng) + [n, n]


def oblong(rng):
    return leading(rng) + [number(rng, 1, 7), number(rng, 1, 7)]


LOOSE = Expect(rtol=2e-4, atol=5e-5)


def unary(name, fn, shapes=square, draw=matrices, expect=LOOSE):
    @case(name, "op")
    def made(rng):
        shape = shapes(rng)
        x = keras.Input(shape)
        y = fn(x, rng)
        return keras.Model(x, list(y) if isinstance(y, (list, tuple)) else y), [draw(rng, shape)], expect


unary("Cholesky", lambda x, rng: ops.cholesky(x, upper=bool(rng.integers(2))), draw=positive)
unary("Det", lambda x, rng: ops.det(x))
unary("Logdet", lambda x, rng: ops.logdet(x), draw=positive)
unary("Slogdet", lambda x, rng: ops.slogdet(x))
unary("Inv", lambda x, rng: ops.inv(x))
unary("Qr", lambda x, rng: ops.qr(x, ["reduced", "complete"][rng.integers(2)]), oblong)
unary("MatrixRank", lambda x, rng: keras.ops.linalg.matrix_rank(x, [None, 0.7][rng.integers(2)])
      if hasattr(keras.ops.linalg, "matrix_rank") else ops.matrix_rank(x), oblong)
unary("Pinv", lambda x, rng: keras.ops.linalg.pinv(x, [None, 1e-3][rng.integers(2)])
      if hasattr(keras.ops.linalg, "pinv") else ops.pinv(x), oblong)


@case("LuFactor", "op")
def lu_factor(rng):
    """Keras on TensorFlow cannot run it on a batch: what JAX and LAPACK give, by Gauss' own steps."""
    shape = square(rng)
    x, a = keras.Input(shape), matrices(rng, shape)
    lu, pivots = a.astype("float64"), np.zeros(a.shape[:-1], "int32")
    for at in np.ndindex(a.shape[:-2]):
        m = lu[at]
        for c in range(shape[-1]):
            p = pivots[at][c] = c + int(np.argmax(np.abs(m[c:, c])))
            m[[c, p]] = m[[p, c]]
            m[c + 1:, c] /= m[c, c]
            m[c + 1:, c + 1:] -= np.outer(m[c + 1:, c], m[c, c + 1:])
    return keras.Model(x, list(ops.lu_factor(x))), [a], Expect(outputs=[lu.astype("float32"), pivots])


@case("CholeskyInverse", "op")
def cholesky_inverse(rng):
    shape, upper = square(rng), bool(rng.integers(2))
    x = keras.Input(shape)
    return keras.Model(x, ops.cholesky_inverse(x, upper=upper)), [matrices(rng, shape)], LOOSE


def right_side(rng, shape):
    return shape[:-1] if rng.integers(2) else shape[:-1] + [number(rng, 1, 5)]


@case("Solve", "op")
def solve(rng):
    shape = square(rng)
    side = right_side(rng, shape)
    a, b = keras.Input(shape), keras.Input(side)
    return keras.Model([a, b], ops.solve(a, b)), [matrices(rng, shape), data((3, *side), number(rng, 0, 99))], LOOSE


@case("SolveTriangular", "op")
def solve_triangular(rng):
    shape = square(rng)
    side = right_side(rng, shape)
    a, b = keras.Input(shape), keras.Input(side)
    y = ops.solve_triangular(a, b, lower=bool(rng.integers(2)))
    return keras.Model([a, b], y), [matrices(rng, shape), data((3, *side), number(rng, 0, 99))], LOOSE


@case("SVD", "op")
def svd(rng):
    """The vectors' signs are free; both take Eigen's steps."""
    shape = leading(rng, 2) + [number(rng, 1, 8), number(rng, 1, 8)]
    full, vectors = bool(rng.integers(2)), bool(rng.integers(4))
    x = keras.Input(shape)
    y = ops.svd(x, full, vectors)
    # distinct singular values
    q, r = np.linalg.qr(rng.normal(size=(3, *shape[:-1], shape[-2])))[0], np.zeros((3, *shape))
    for i in range(min(shape[-2:])):
        r[..., i, i] = 1 + i * 0.8
    p = np.linalg.qr(rng.normal(size=(3, *shape[:-2], shape[-1], shape[-1])))[0]
    return keras.Model(x, list(y) if vectors else y), [(q @ r @ p).astype("float32")], LOOSE


@case("Eigh", "op")
def eigh(rng):
    shape = square(rng)
    x = keras.Input(shape)
    values, vectors = ops.eigh(x)
    q = np.linalg.qr(rng.normal(size=(3, *shape)))[0]
    a = q * (np.arange(shape[-1]) - 1.3) @ np.swapaxes(q, -1, -2)
    return keras.Model(x, [values, vectors]), [a.astype("float32")], LOOSE


@case("Norm", "op")
def norm(rng):
    shape = [number(rng, 1, 6) for _ in range(number(rng, 2, 5))]
    kind = str(rng.choice(["float32", "float32", "int32"]))
    x = keras.Input(shape, dtype=kind)
    axes = [int(v) for v in rng.permutation(np.arange(1, len(shape) + 1))[:2]]
    if rng.integers(2):
        order = [None, 1, 2, 3, 0, 0.5, -1, float("inf"), float("-inf")][number(rng, 0, 9)]
        axis = axes[0] - (0 if rng.integers(2) else len(shape) + 1)
    else:
        order = [None, "fro", "nuc", 1, -1, 2, -2, float("inf"), float("-inf")][number(rng, 0, 9)]
        axis = tuple(axes)
    keep = bool(rng.integers(2))
    if order in ("nuc", 2, -2) and not isinstance(axis, int):
        axis = tuple(sorted(axis))  # Keras puts kept axes back in the given order
    y = ops.norm(x, ord=order, axis=axis, keepdims=keep)
    v = data((3, *shape), number(rng, 0, 1 << 30)) * (5 if kind == "int32" else 1)
    return keras.Model(x, y), [v.astype(kind)], LOOSE

"""Fourier transforms of keras.ops: every length, also primes; complex arrays are pairs."""

from parity_kit import data, keras, np

from . import Expect, case

ops = keras.ops


def number(rng, low, high):
    return int(rng.integers(low, high))


def draw(rng, shape):
    return data((3,) + tuple(shape), number(rng, 0, 1 << 30))


def lengths(rng, n):
    """Small ones, powers of two, primes with and without Bluestein's detour."""
    return [int(rng.choice([1, 2, 3, 4, 5, 7, 8, 12, 16, 21, 31, 37, 74, 97])) for _ in range(n)]


def pair(rng, shape, fn):
    a, b = keras.Input(shape), keras.Input(shape)
    y = fn((a, b))
    return keras.Model([a, b], list(y) if isinstance(y, (list, tuple)) else y), [draw(rng, shape), draw(rng, shape)]


def leading(rng):
    return [number(rng, 1, 4) for _ in range(number(rng, 0, 3))]


@case("FFT", "op")
def fft(rng):
    return *pair(rng, leading(rng) + lengths(rng, 1), ops.fft), Expect(atol=3e-5)


@case("FFT2", "op")
def fft2(rng):
    return *pair(rng, leading(rng) + lengths(rng, 2), ops.fft2), Expect(atol=1e-4)


@case("IFFT2", "op")
def ifft2(rng):
    return pair(rng, leading(rng) + lengths(rng, 2), ops.ifft2)


@case("RFFT", "op")
def rfft(rng):
    shape = leading(rng) + lengths(rng, 1)
    n = rng.choice([0, 1]) and number(rng, 1, 40)
    x = keras.Input(shape)
    return keras.Model(x, list(ops.rfft(x, n or None))), [draw(rng, shape)], Expect(atol=3e-5)


@case("IRFFT", "op")
def irfft(rng):
    shape = leading(rng) + [number(rng, 2, 20)]
    n = rng.choice([0, 1]) and number(rng, 1, 40)
    return pair(rng, shape, lambda x: ops.irfft(x, n or None))


def frames(rng):
    n = number(rng, 2, 24)
    length = number(rng, 1, n + 1)
    window = [None, "hann", "hamming", "own"][number(rng, 0, 4)]
    if window == "own":
        window = [float(v) for v in rng.uniform(0.3, 1, length).astype("float32")]
    return {"sequence_length": length, "sequence_stride": number(rng, 1, n + 1), "fft_length": n,
            "window": window, "center": bool(rng.integers(2))}


@case("STFT", "op")
def stft(rng):
    config = frames(rng)
    shape = leading(rng) + [number(rng, config["fft_length"], 60)]
    x = keras.Input(shape)
    return keras.Model(x, list(ops.stft(x, **config))), [draw(rng, shape)], Expect(atol=3e-5)


@case("ISTFT", "op")
def istft(rng):
    config = frames(rng)
    shape = leading(rng) + [number(rng, 3, 9), config["fft_length"] // 2 + 1]
    if rng.integers(2):
        config["length"] = number(rng, 1, 40)
    # Where no window covers a sample, both divide nothing by (almost) nothing.
    if config["window"] in ("hann",):
        config["sequence_stride"] = max(1, config["sequence_length"] // 4)
    return *pair(rng, shape, lambda x: ops.istft(x, **config)), Expect(atol=3e-5)

"""Models after quantize(): weights of few bits, inputs that are rounded on the way."""

from parity_kit import data, keras, np, randomise

from . import Expect, case

L = keras.layers
Q = keras.quantizers


def seed(rng):
    return int(rng.integers(1 << 30))


def config_of(rng, mode):
    """None or a configuration: with or without rounded inputs, whole or in blocks."""
    if mode == "int8":
        return [None, Q.Int8QuantizationConfig(activation_quantizer=None)][rng.integers(2)]
    if mode == "int4":
        return [None, Q.Int4QuantizationConfig(block_size=int(rng.choice([-1, 2, 3]))),
                Q.Int4QuantizationConfig(block_size=-1, activation_quantizer=Q.AbsMaxQuantizer())][rng.integers(3)]
    return None


def quantized(rng, model, inputs, modes=("int8", "int4", "float8"), told=True):
    """told: the file says whether inputs are rounded."""
    mode = str(rng.choice(modes))
    randomise(model, seed(rng))
    config = config_of(rng, mode) if told else None
    model.quantize(mode, config=config) if config is not None else model.quantize(mode)
    for v in model.variables:
        if mode == "float8" and v.path.split("/")[-1] in ("inputs_scale", "kernel_scale"):
            v.assign(float(rng.uniform(0.002, 0.02)))
    return model, inputs, Expect(rtol=2e-4, atol=2e-5)


@case("Dense after quantize", "model")
def dense(rng):
    shape = tuple(int(v) for v in rng.integers(2, 8, rng.integers(1, 3)))
    x = keras.Input(shape)
    y = L.Dense(int(rng.choice([1, 5, 8])), use_bias=bool(rng.integers(2)), activation=[None, "relu", "tanh"][rng.integers(3)])(x)
    y = L.Dense(3)(y)
    return quantized(rng, keras.Model(x, y), [data((4,) + shape, seed(rng))])


@case("EinsumDense after quantize", "model")
def einsum(rng):
    equation, out, bias = [("abc,cd->abd", (None, 5), "d"), ("abc,cde->abde", (None, 2, 3), "de"), ("abc,bcd->ad", 5, "d"),
                           ("...c,cd->...d", 5, None), ("abc,cd->abd", (None, 6), None),
                           ("abc,bcd->abd", (4, 5), "d")][rng.integers(6)]
    x = keras.Input((4, 6))
    y = L.EinsumDense(equation, output_shape=out, bias_axes=bias, activation=[None, "relu"][rng.integers(2)])(x)
    modes = ("int8", "float8") if equation == "abc,bcd->abd" else ("int8", "int4", "float8")
    return quantized(rng, keras.Model(x, y), [data((3, 4, 6), seed(rng))], modes)


@case("Embedding after quantize", "model")
def embedding(rng):
    x = keras.Input((5,), dtype="int32")
    y = L.Embedding(11, int(rng.choice([4, 6, 7])), mask_zero=bool(rng.integers(2)))(x)
    return quantized(rng, keras.Model(x, y), [rng.integers(0, 11, (3, 5)).astype("int32")], ("int8", "int4"))


@case("ReversibleEmbedding after quantize", "model")
def reversible(rng):
    x = keras.Input((5,), dtype="int32")
    layer = L.ReversibleEmbedding(11, int(rng.choice([4, 6])), tie_weights=bool(rng.integers(2)),
                                  logit_soft_cap=[None, 2.5][rng.integers(2)])
    y = layer(L.Dropout(0.1)(layer(x)), reverse=True)
    return quantized(rng, keras.Model(x, y), [rng.integers(0, 11, (3, 5)).astype("int32")], ("int8", "int4"))


@case("MultiHeadAttention after quantize", "model")
def attention(rng):
    x = keras.Input((5, 6))
    y = L.MultiHeadAttention(2, 3, value_dim=4, use_bias=bool(rng.integers(2)))(x, x)
    return quantized(rng, keras.Model(x, y), [data((3, 5, 6), seed(rng))], ("int8", "int4"), told=False)


@case("ReversibleEmbedding")
def plain_reversible(rng):
    x = keras.Input((5,), dtype="int32")
    layer = L.ReversibleEmbedding(11, int(rng.choice([4, 7])), tie_weights=bool(rng.integers(2)),
                                  logit_soft_cap=[None, 2.5][rng.integers(2)], mask_zero=bool(rng.integers(2)),
                                  reverse_dtype=[None, "float32", "float64"][rng.integers(3)])
    y = layer(x)
    if rng.integers(3):
        y = layer(L.Dense(layer.output_dim, activation="tanh")(y), reverse=True)
    return randomise(keras.Model(x, y), seed(rng)), [rng.integers(0, 11, (3, 5)).astype("int32")], Expect(formats=("keras", "h5"))

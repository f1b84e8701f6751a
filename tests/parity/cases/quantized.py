"""Models after quantize(): weights of few bits, inputs that are rounded on the way."""

import tempfile

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
    return model, inputs, Expect(rtol=2e-4, atol=2e-5, formats=("keras", "h5"))


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
    # What Keras itself cannot make: int8 and int4 of an equation with dots, int4 of the last one.
    modes = {"...c,cd->...d": ("float8",), "abc,bcd->abd": ("int8", "float8")}.get(equation, ("int8", "int4", "float8"))
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


@case("TimeDistributed after quantize", "model")
def distributed(rng):
    """Keras runs the layer inside by call(), which takes the kernel's numbers without their scale."""
    kind = ["Dense", "EinsumDense", "Embedding"][rng.integers(3)]
    shape = {"Dense": (4, 5), "EinsumDense": (4, 3, 5), "Embedding": (4, 3)}[kind]
    inner = {"Dense": lambda: L.Dense(7), "Embedding": lambda: L.Embedding(9, 6),
             "EinsumDense": lambda: L.EinsumDense("abc,cde->abde", (None, 2, 4), bias_axes="de")}[kind]()
    x = keras.Input(shape, dtype="int32" if kind == "Embedding" else "float32")
    y = L.Dense(3)(L.TimeDistributed(inner)(x))
    values = rng.integers(0, 9, (3,) + shape).astype("int32") if kind == "Embedding" else data((3,) + shape, seed(rng))
    modes = ("int8", "int4") if kind == "Embedding" else ("int8", "int4", "float8")
    return quantized(rng, keras.Model(x, y), [values], modes)


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


@case("DTypePolicyMap", "model")
def policy_map(rng):
    """A policy for each layer inside, by path: what quantising one part of a layer leaves."""
    x = keras.Input((5, 6))
    layer = L.MultiHeadAttention(2, 3, name="mha")
    model = keras.Model(x, L.Dense(2)(layer(x, x)))
    randomise(model, seed(rng))
    parts = [layer._query_dense, layer._key_dense, layer._value_dense, layer._output_dense]
    for i in rng.permutation(4)[:int(rng.integers(1, 4))]:
        parts[i].quantize(str(rng.choice(["int8", "int4"])))
    policies = keras.dtype_policies.DTypePolicyMap("float32")
    for part in parts:
        policies[part.path] = part.dtype_policy
    layer.dtype_policy = policies
    values = [data((3, 5, 6), seed(rng))]
    want = [np.asarray(reloaded(model)(values[0]))]
    return model, values, Expect(rtol=2e-4, atol=2e-5, outputs=want)


TUNED = {
    "Dense": lambda rng: (L.Dense(6, activation="tanh", use_bias=bool(rng.integers(2))), (5,)),
    "EinsumDense": lambda rng: (L.EinsumDense("abc,cde->abde", (None, 2, 4), bias_axes="de"), (3, 5)),
    "Embedding": lambda rng: (L.Embedding(9, 6, mask_zero=bool(rng.integers(2))), (4,)),
    "Conv1D": lambda rng: (L.Conv1D(6, 3, padding="causal"), (5, 4)),
    "Conv2D": lambda rng: (L.Conv2D(6, 3, strides=2), (5, 4, 2)),
    "Conv3D": lambda rng: (L.Conv3D(4, 2), (4, 4, 3, 2)),
}


def reloaded(model):
    """What Keras makes of few bits and thin matrices when it saves them is rounded once more."""
    with tempfile.TemporaryDirectory() as folder:
        model.save(folder + "/m.keras")
        return keras.models.load_model(folder + "/m.keras")


def tuned_model(name, make, rng):
    layer, shape = make(rng)
    x = keras.Input(shape, dtype="int32" if name == "Embedding" else "float32")
    model = keras.Model(x, layer(x))
    scale = {"lora_alpha": float(rng.uniform(0.5, 4))} if rng.integers(2) else {}
    layer.enable_lora(int(rng.integers(1, 4)), **scale)
    values = data((3,) + shape, seed(rng))
    if name == "Embedding":
        values = rng.integers(0, 9, values.shape).astype("int32")
    return randomise(model, seed(rng)), values


def tuned(name, make):
    has_few = not name.startswith("Conv")

    @case(name + " after enable_lora", "model")
    def one(rng):
        """.h5 holds the thin matrices, .keras their product within the weight, also in few bits."""
        model, values = tuned_model(name, make, rng)
        few = has_few and rng.integers(3) == 0
        if few:
            model.quantize(str(rng.choice(["int8", "int4"])))
        want = [np.asarray(reloaded(model)(values))] if few else None
        return model, [values], Expect(rtol=2e-4, atol=2e-5, outputs=want, formats=("keras",) if few else ("keras", "h5"))

    def two(rng):
        """.h5 holds the kernel of few bits and the matrices apart."""
        model, values = tuned_model(name, make, rng)
        model.quantize(str(rng.choice(["int8", "int4"])))
        return model, [values], Expect(rtol=2e-4, atol=2e-5, formats=("h5",))
    if has_few:
        case(name + " after enable_lora and quantize", "model")(two)


for _name, _make in TUNED.items():
    tuned(_name, _make)

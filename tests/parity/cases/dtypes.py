"""Types that layers compute in: float64 to the last digits, the half policies, several in one model."""

from parity_kit import data, keras, np, randomise, reference

from . import Expect, case

L = keras.layers


def seed(rng):
    return int(rng.integers(1 << 30))


def image_layers(rng, dtype):
    """Layers for images of (7, 6, 3), in an order that fits. TensorFlow holds some of relu's parameters as
    float32 whatever they meet: these fit both types."""
    pad = str(rng.choice(["same", "valid"]))
    act = str(rng.choice(["relu", "tanh", "gelu", "softplus", "elu", "sigmoid", "silu", "selu", "mish", "hard_sigmoid"]))
    return [
        L.Rescaling(0.1, -0.3, dtype=dtype),
        [L.Conv2D(5, 3, padding=pad, activation=act, strides=int(rng.integers(1, 3)), dtype=dtype),
         L.DepthwiseConv2D(3, padding=pad, depth_multiplier=2, activation=act, dtype=dtype),
         L.SeparableConv2D(5, 2, padding=pad, dtype=dtype),
         L.Conv2DTranspose(4, 3, strides=2, padding=pad, activation=act, dtype=dtype)][rng.integers(4)],
        [L.BatchNormalization(dtype=dtype), L.LayerNormalization(dtype=dtype), L.LayerNormalization(axis=[1, 2], dtype=dtype),
         L.GroupNormalization(-1, dtype=dtype), L.UnitNormalization(dtype=dtype)][rng.integers(5)],
        [L.LeakyReLU(0.25, dtype=dtype), L.PReLU(dtype=dtype), L.ELU(0.7, dtype=dtype), L.ReLU(0.875, 0.125, 0.25, dtype=dtype),
         L.Softmax(dtype=dtype), L.Activation("log_softmax", dtype=dtype)][rng.integers(6)],
        [L.MaxPooling2D(2, padding="same", dtype=dtype), L.AveragePooling2D(2, padding="same", dtype=dtype)][rng.integers(2)],
        [L.GlobalAveragePooling2D(dtype=dtype), L.GlobalMaxPooling2D(dtype=dtype), L.Flatten(dtype=dtype)][rng.integers(3)],
        L.Dense(7, activation=act, dtype=dtype),
    ]


def chain(layers, x):
    for layer in layers:
        x = layer(x)
    return x


def finish(rng, model, inputs, **expect):
    return randomise(model, seed(rng)), inputs, Expect(**expect)


@case("float64 for images", "model")
def wide_images(rng):
    x = keras.Input((7, 6, 3), dtype="float64")
    model = keras.Model(x, chain(image_layers(rng, "float64"), x))
    return finish(rng, model, [data((3, 7, 6, 3), seed(rng), "float64")], rtol=1e-11, atol=1e-12, formats=("keras", "h5"))


@case("float64 for sequences", "model")
def wide_sequences(rng):
    ids = keras.Input((5,), dtype="int32")
    x = L.Embedding(11, 6, mask_zero=bool(rng.integers(2)), dtype="float64")(ids)
    x = L.MultiHeadAttention(2, 3, dropout=float(rng.choice([0, 0.1])), dtype="float64")(x, x)
    y = [L.Dense(6, activation="gelu", dtype="float64"), L.EinsumDense("abc,cd->abd", (None, 6), bias_axes="d", dtype="float64"),
         L.LayerNormalization(dtype="float64")][rng.integers(3)](x)
    y = [L.Add(dtype="float64"), L.Multiply(dtype="float64"), L.Average(dtype="float64"), L.Maximum(dtype="float64"),
         L.Concatenate(dtype="float64")][rng.integers(5)]([x, y])
    y = L.GlobalAveragePooling1D(dtype="float64")(L.Attention(use_scale=True, dtype="float64")([y, y]))
    return finish(rng, keras.Model(ids, y), [rng.integers(0, 11, (3, 5)).astype("int32")], rtol=1e-11, atol=1e-12)


@case("policies in one model", "model")
def several(rng):
    x = keras.Input((7, 6, 3), dtype=str(rng.choice(["float32", "float64", "uint8", "int32"])))
    layers = image_layers(rng, "float32")
    for i, layer in enumerate(layers):
        config = layer.get_config()
        config["dtype"] = str(rng.choice(["float32", "float64"]))
        layers[i] = layer.__class__.from_config(config)
    a = data((3, 7, 6, 3), seed(rng), "float64") * 3
    return finish(rng, keras.Model(x, chain(layers, x)), [np.abs(a).astype(x.dtype) if x.dtype == "uint8" else a.astype(x.dtype)])


@case("integers into layers", "model")
def integers(rng):
    """What layers of floats make of whole numbers: some give them back, some cut off."""
    kind = str(rng.choice(["int32", "int64", "int16", "bool"]))
    shape = tuple(int(v) for v in rng.integers(3, 6, 3))
    flat = [L.MaxPooling2D(2, padding="same"), L.GlobalMaxPooling2D(keepdims=True), L.GlobalAveragePooling2D(),
            L.LayerNormalization(axis=[[2, -1], [-1, 1], 2][rng.integers(3)]), L.RMSNormalization(),
            L.GroupNormalization(1, axis=-2), L.Reshape((-1, 1)), L.UpSampling2D(2, interpolation="nearest"),
            L.Permute((3, 1, 2)), L.Dense(4), L.EinsumDense("abcd,de->abce", (None, None, 3)), L.ZeroPadding2D(1),
            L.Flatten(), L.Masking(1.0)]
    layer = flat[rng.integers(len(flat))]
    if kind in ("int16", "bool") and isinstance(layer, (L.MaxPooling2D, L.ZeroPadding2D)):
        kind = "int32"
    xs = [keras.Input(shape, dtype=kind) for _ in range(2)]
    y = layer(xs[0]) if rng.integers(4) else [L.Add(), L.Maximum(), L.Concatenate(), L.Dot((2, 2))][rng.integers(4)](
        xs if kind != "bool" else [L.Rescaling(2)(x) for x in xs])
    model = keras.Model(xs, y)
    values = [(data((3,) + shape, seed(rng)) * 9).astype(kind) for _ in xs]
    return finish(rng, model, values)


@case("half policies", "model")
def halves(rng):
    policy = str(rng.choice(["mixed_float16", "mixed_bfloat16", "float16", "bfloat16"]))
    last = str(rng.choice([policy, "float32"]))
    x = keras.Input((7, 6, 3))
    layers = image_layers(rng, policy)
    model = keras.Model(x, chain([*layers[:-1], L.Dense(7, dtype=last)], x))
    randomise(model, seed(rng))
    inputs = [data((3, 7, 6, 3), seed(rng))]
    given = reference(model, inputs)
    as_floats = [np.asarray(keras.ops.cast(w, "float32")) for w in given]
    want = [f if "bfloat16" in str(g.dtype) else g for f, g in zip(as_floats, given, strict=True)]
    # A layer that jumps (a ReLU with a threshold) makes much of a half's last digit: what Keras' halves
    # lose against its own floats is what the two may differ by.
    whole = keras.models.clone_model(
        model, clone_function=lambda l: l.__class__.from_config({**l.get_config(), "dtype": "float32"}))
    whole.set_weights([keras.ops.cast(w, "float32") for w in model.weights])
    lost = max(float(np.abs(a - b).max()) for a, b in zip(as_floats, reference(whole, inputs), strict=True))
    assert np.isfinite(lost)  # else nothing would be compared
    step = 0.08 if "bfloat16" in policy else 0.01
    formats = ("keras",) if "bfloat16" in policy else ("keras", "h5")  # Keras cannot read bfloat16 from .h5
    return model, inputs, Expect(rtol=step, atol=max(step, 1.25 * lost), outputs=want, formats=formats)

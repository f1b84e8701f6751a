"""Layers for numbers and categories: scaling, bins, vocabularies, hashes."""

from parity_kit import keras, np

from . import Expect, case

L = keras.layers

WORDS = ["a", "foo", "Bar", "foo bar", "ö", "Straße", "日本", "x" * 17, "y" * 40, "z" * 70, "[UNK]", "", "0", "-7", "🙂"]


def pick(rng, *choices):
    return choices[int(rng.integers(len(choices)))]


def words(rng, shape):
    """Words that a vocabulary may hold or not, short and long."""
    pool = WORDS + ["".join(rng.choice(list("abé ,Z0"), int(rng.integers(1, 12)))) for _ in range(6)]
    return np.array([str(pool[int(i)]) for i in rng.integers(len(pool), size=int(np.prod(shape)))]).reshape(shape)


def full_words(rng, n):
    """None is empty: Keras loses an empty last line of vocabulary.txt when it loads the model."""
    w = words(rng, n)
    return np.where(w == "", "e", w)


def vocabulary(rng, n, reserved=()):
    pool = [w for w in dict.fromkeys(WORDS) if w not in ("", "[UNK]") and w not in reserved]
    return [str(w) for w in rng.permutation(pool)[:n]]


def shape_of(rng, *shapes):
    return pick(rng, *shapes)


def floats(rng, shape):
    return rng.normal(0, 3, shape).astype("float32")


@case("Normalization")
def normalization(rng):
    shape = tuple(int(v) for v in rng.integers(1, 5, int(rng.integers(1, 4))))
    n = len(shape)
    axes = [None, -1, [int(rng.integers(1, n + 1))], sorted(int(a) for a in rng.choice(np.arange(1, n + 1), n, False))]
    axis = axes[int(rng.integers(4))]
    invert = bool(rng.integers(2))
    kept = [] if axis is None else [shape[(a - 1) if a > 0 else n - 1] for a in np.atleast_1d(axis)]
    dtype = pick(rng, "float32", "float32", "float64")
    if rng.integers(2):
        stats = pick(rng, (), tuple(kept))
        layer = L.Normalization(axis=axis, invert=invert, dtype=dtype, mean=rng.normal(size=stats).tolist(),
                                variance=rng.uniform(0, 3, stats).tolist())
    else:
        layer = L.Normalization(axis=axis, invert=invert, dtype=dtype)
        layer.adapt(rng.normal(1, 2, (20,) + shape).astype("float32"))
    x = keras.Input(shape, dtype=pick(rng, "float32", "float32", "int32"))
    return keras.Model(x, layer(x)), [floats(rng, (4,) + shape).astype(x.dtype)]


@case("Discretization")
def discretization(rng):
    mode = pick(rng, "int", "one_hot", "multi_hot", "count")
    shape = pick(rng, (1,), (3,), (2, 3), (2, 1)) if mode != "int" else pick(rng, (), (1,), (3,), (2, 3))
    if rng.integers(3):
        layer = L.Discretization(sorted(rng.normal(0, 3, int(rng.integers(1, 9))).tolist()), output_mode=mode)
    else:
        layer = L.Discretization(num_bins=int(rng.integers(2, 7)), epsilon=0.02, output_mode=mode)
        layer.adapt(floats(rng, (50, 1)))
    x = keras.Input(shape, dtype=pick(rng, "float32", "float32", "int32", "int64"))
    v = floats(rng, (5,) + shape)
    v.ravel()[::3] = np.resize(np.float32(layer.bin_boundaries), v.ravel()[::3].shape)  # on a boundary
    return keras.Model(x, layer(x)), [v.astype(x.dtype)]


@case("CategoryEncoding")
def category_encoding(rng):
    mode = pick(rng, "one_hot", "multi_hot", "count")
    shape = pick(rng, (1,), (4,), (3, 2), (3, 1), (2, 2, 2))
    n = int(rng.integers(1, 8))
    x = keras.Input(shape, dtype=pick(rng, "int64", "int32", "float32", "uint8" if mode == "one_hot" else "int64"))
    ids = rng.integers(0, n + 2, (5,) + shape).astype(x.dtype)
    layer = L.CategoryEncoding(n, output_mode=mode, dtype=pick(rng, None, None, "int32"))
    if mode == "count" and len(shape) == 1 and layer.dtype == "float32" and rng.integers(2):
        weights = keras.Input(shape)
        return keras.Model([x, weights], layer(x, count_weights=weights)), [ids, floats(rng, ids.shape)]
    return keras.Model(x, layer(x)), [ids]


def lookup_settings(rng, size):
    """Arguments that IntegerLookup and StringLookup share."""
    kw = {"output_mode": pick(rng, "int", "int", "one_hot", "multi_hot", "count", "tf_idf")}
    kw["num_oov_indices"] = int(pick(rng, 0, 1, 1, 2, 5))
    if rng.integers(3) == 0:
        kw["max_tokens"] = size + 8 + int(rng.integers(4))
        kw["pad_to_max_tokens"] = bool(rng.integers(2))
    if kw["output_mode"] == "tf_idf":
        kw["idf_weights"] = rng.uniform(0.1, 2, size).tolist()
    return kw


def lookup_model(rng, layer, values, shape, dtype):
    x = keras.Input(shape, dtype=dtype)
    return keras.Model(x, layer(x)), [values]


def lookup_shape(rng, mode):
    return pick(rng, (1,), (4,), (3, 2)) if mode != "int" else pick(rng, (), (1,), (4,), (3, 2))


def invert(rng, layer, n):
    shape = pick(rng, (1,), (4,), (3, 2))
    x = keras.Input(shape, dtype=pick(rng, "int64", "int32"))
    return keras.Model(x, layer(x)), [rng.integers(-2, n + 5, (5,) + shape).astype(x.dtype)]


@case("IntegerLookup")
def integer_lookup(rng):
    n = int(rng.integers(1, 9))
    tokens = [int(v) for v in rng.permutation(np.arange(-4, 12))[:n]]
    mask = pick(rng, None, 0, 99)
    tokens = [t for t in tokens if t not in (mask, -1)] or [5]
    if rng.integers(4) == 0:
        return invert(rng, L.IntegerLookup(vocabulary=tokens, invert=True, mask_token=mask,
                                           num_oov_indices=int(rng.integers(1, 3)),
                                           oov_token=int(pick(rng, -1, -33))), len(tokens))
    kw = lookup_settings(rng, len(tokens))
    if kw["num_oov_indices"] > 1 and rng.integers(2):
        kw["oov_method"] = "farmhash"
        kw["salt"] = pick(rng, None, 7, (3, 1 << 40))
    shape = lookup_shape(rng, kw["output_mode"])
    values = rng.integers(-30, 130, (6,) + shape)
    known = rng.choice(tokens + ([mask] if mask is not None else []), values.shape)
    values = known if kw["num_oov_indices"] == 0 else np.where(rng.random(values.shape) < 0.6, known, values)
    if rng.integers(3) == 0:
        kw.pop("idf_weights", None)
        layer = L.IntegerLookup(mask_token=mask, **kw)
        layer.adapt(np.array(tokens + tokens[:1])[:, None])
    else:
        layer = L.IntegerLookup(vocabulary=tokens, mask_token=mask, **kw)
    return lookup_model(rng, layer, values.astype(pick(rng, "int64", "int32")), shape, pick(rng, "int64", "int32"))


@case("StringLookup")
def string_lookup(rng):
    mask = pick(rng, None, None, "", "foo")
    tokens = vocabulary(rng, int(rng.integers(1, 11)), (mask,))
    if rng.integers(4) == 0:
        return invert(rng, L.StringLookup(vocabulary=tokens, invert=True, mask_token=mask,
                                          num_oov_indices=int(rng.integers(1, 3)),
                                          oov_token=str(pick(rng, "[UNK]", "«?»"))), len(tokens))
    kw = lookup_settings(rng, len(tokens))
    if kw["num_oov_indices"] > 1 and rng.integers(2):
        kw["oov_method"] = "farmhash"
        kw["salt"] = pick(rng, None, 7, (3, 1 << 40))
    shape = lookup_shape(rng, kw["output_mode"])
    values = words(rng, (6,) + shape)
    if kw["num_oov_indices"] == 0:
        values = np.array(tokens)[rng.integers(len(tokens), size=values.shape)]
    if rng.integers(3) == 0:
        kw.pop("idf_weights", None)
        layer = L.StringLookup(mask_token=mask, **kw)
        layer.adapt(np.array(tokens + tokens[:1])[:, None])
    else:
        layer = L.StringLookup(vocabulary=tokens, mask_token=mask, **kw)
    return lookup_model(rng, layer, values, shape, "string")


@case("Hashing")
def hashing(rng):
    mode = pick(rng, "int", "int", "one_hot", "multi_hot", "count")
    shape = pick(rng, (1,), (4,), (3, 2), (1, 1)) if mode != "int" else pick(rng, (), (1,), (4,), (3, 2))
    if mode == "one_hot" and shape == (3, 2):
        shape = (3,)
    dtype = pick(rng, "string", "string", "int64", "int32", "float32")
    mask = pick(rng, None, "foo" if dtype == "string" else 3)
    layer = L.Hashing(int(pick(rng, 1, 2, 7, 1000)), mask_value=mask, salt=pick(rng, None, 11, (133, 137)), output_mode=mode)
    x = keras.Input(shape, dtype=dtype)
    v = words(rng, (6,) + shape) if dtype == "string" else (rng.normal(0, 5, (6,) + shape)).round(0).astype(dtype)
    return keras.Model(x, layer(x)), [v]


@case("HashedCrossing")
def hashed_crossing(rng):
    shape = pick(rng, (1,), (1,), ())
    kinds = [pick(rng, "string", "int64", "int32") for _ in range(2)]
    xs = [keras.Input(shape, dtype=k) for k in kinds]
    y = L.HashedCrossing(int(pick(rng, 1, 5, 64, 10000)) if len(shape) else 9, output_mode=pick(rng, "int", "one_hot"))(xs)
    return keras.Model(xs, y), [words(rng, (7,) + shape) if k == "string" else rng.integers(-9, 9, (7,) + shape).astype(k)
                                for k in kinds]


@case("FeatureSpace", "model")
def feature_space(rng):
    F = keras.utils.FeatureSpace
    n = 12
    mode = pick(rng, "concat", "dict")
    encoded = "one_hot" if mode == "concat" or rng.integers(2) else "int"
    data = {"num": rng.normal(size=n).astype("float32"), "cat": full_words(rng, n), "id": rng.integers(0, 9, n),
            "raw": rng.normal(size=n).astype("float32"), "bin": rng.normal(size=n).astype("float32"),
            "tag": full_words(rng, n)}
    makers = {"num": [F.float_normalized, lambda: F.float_rescaled(0.3, -1)],
              "cat": [lambda: F.string_categorical(num_oov_indices=int(pick(rng, 1, 2)), output_mode=encoded),
                      lambda: F.string_hashed(8)],
              "id": [lambda: F.integer_categorical(max_tokens=6), lambda: F.integer_hashed(5)],
              "raw": [F.float], "bin": [lambda: F.float_discretized(num_bins=4)],
              "tag": [lambda: F.string_categorical(output_mode="one_hot")]}
    names = [str(v) for v in rng.permutation(sorted(makers))[:int(rng.integers(2, 7))]]
    crosses = [F.cross(feature_names=("cat", "id"), crossing_dim=7)] if {"cat", "id"} <= set(names) else None
    space = F(features={k: pick(rng, *makers[k])() for k in names}, crosses=crosses,
              output_mode=mode)
    import tensorflow as tf
    table = {k: tf.constant(data[k]) for k in names}
    space.adapt(tf.data.Dataset.from_tensor_slices(table))
    inputs = space.get_inputs()
    model = keras.Model(inputs, space.get_encoded_features())
    return model, [np.asarray(data[t.name]).astype(t.dtype if t.dtype != "string" else data[t.name].dtype).reshape(n, 1)
                   for t in model.inputs]

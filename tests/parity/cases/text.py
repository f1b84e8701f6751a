"""Text to indices and vectors."""

from parity_kit import keras, np

from . import case
from .structured import pick

L = keras.layers

TOKENS = ["foo", "Foo", "bar", "über", "日本", "a", "b", "42", "it's", "semi;colon", "a b", "x" * 30]


def text(rng):
    """A line with words, marks, white space of all kinds and characters of all lengths."""
    parts = [str(rng.choice(TOKENS)) if rng.integers(3) else
             "".join(rng.choice(list("aB.,!?-_'\"ß語🙂\u00a0\u2003 \t\n\x0b{}~0"), int(rng.integers(0, 7))))
             for _ in range(int(rng.integers(0, 7)))]
    return pick(rng, "", " ", "  ") + pick(rng, " ", "  ", "\t").join(parts) + pick(rng, "", " ")


def broken(rng):
    """Bytes that are UTF-8 in part."""
    return text(rng).encode()[:int(rng.integers(1, 30))] + bytes(rng.integers(0x21, 0x100, int(rng.integers(0, 9))).tolist())


def settings(rng, mode):
    kw = {"output_mode": mode,
          "standardize": pick(rng, None, "lower", "strip_punctuation", "lower_and_strip_punctuation"),
          "split": pick(rng, "whitespace", "whitespace", "character"),
          "ngrams": pick(rng, None, None, 2, 3, (2,), (1, 3), (3, 1))}
    if rng.integers(3) == 0:
        kw["max_tokens"] = 60
        kw["pad_to_max_tokens"] = bool(rng.integers(2))
    if mode == "int":
        kw["output_sequence_length"] = pick(rng, None, 1, 4, 11)
    return kw


def vocabulary(rng):
    pool = TOKENS + ["foo bar", "a", "b", "ß", "b a", "a b a", "語", "🙂", "\ufffd", "o o", "foo a b", ".", " "]
    return [str(t) for t in rng.permutation(list(dict.fromkeys(pool)))[:int(rng.integers(1, 20))]]


@case("TextVectorization")
def text_vectorization(rng):
    mode = pick(rng, "int", "int", "int", "multi_hot", "count", "tf_idf")
    kw = settings(rng, mode)
    shape = pick(rng, (1,), (1,), ()) if mode != "int" else pick(rng, (1,), (1,), (), (2, 1))
    columns = 1
    if rng.integers(5) == 0:
        kw["split"], shape, columns = None, (4,), 4
    if rng.integers(2):
        tokens = vocabulary(rng)
        if mode == "tf_idf":
            kw["idf_weights"] = rng.uniform(0.1, 2, len(tokens)).tolist()
        layer = L.TextVectorization(vocabulary=tokens, **kw)
    else:
        layer = L.TextVectorization(**kw)
        layer.adapt(np.array([text(rng).replace("\n", " ").replace("\x0b", " ") or "a" for _ in range(9)]).reshape(9, 1)
                    if columns == 1 else np.array([["foo", "a", "b", "bar"], ["a", "b", "über", "zz"]]))
    n = int(rng.integers(1, 9))
    lines = [broken(rng) if rng.integers(4) == 0 else text(rng).encode()
             for _ in range(n * int(np.prod(shape, dtype=int)))]
    x = keras.Input(shape, dtype="string")
    values = np.array([l.rstrip(b"\0") for l in lines], dtype="S").reshape((n,) + shape)
    return keras.Model(x, layer(x)), [values]


@case("TextVectorization in front of an Embedding", "model")
def text_model(rng):
    """More rows than a batch of predict: each batch is padded to its own longest row."""
    tokens = vocabulary(rng)
    layer = L.TextVectorization(vocabulary=tokens)
    x = keras.Input((1,), dtype="string")
    y = L.GlobalAveragePooling1D()(L.Embedding(len(tokens) + 2, 5, mask_zero=bool(rng.integers(2)))(layer(x)))
    model = keras.Model(x, L.Dense(3)(y))
    values = np.array(["foo " + text(rng) for _ in range(70)]).reshape(70, 1)
    import tensorflow as tf
    from . import Expect
    return model, [values], Expect(outputs=[model.predict(tf.constant(values), verbose=0)])

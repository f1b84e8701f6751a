"""Attention layers with their masks, and Softmax with one."""

from parity_kit import data, keras, np, randomise

from . import Expect, case

L = keras.layers


def seed(rng):
    return int(rng.integers(1 << 30))


def flip(rng, chance=0.5):
    return bool(rng.uniform() < chance)


class Inputs:
    """Draws the inputs of a model one after the other."""

    def __init__(self, rng, batch=3):
        self.rng, self.batch, self.symbols, self.arrays = rng, batch, [], []

    def floats(self, *shape, known=True):
        """An input whose first size the model does not know, unless it does."""
        self.symbols.append(keras.Input((shape[0] if known else None,) + shape[1:]))
        self.arrays.append(data((self.batch,) + shape, seed(self.rng)))
        return self.symbols[-1]

    def bools(self, *shape, dtype="bool"):
        self.symbols.append(keras.Input(shape, dtype=dtype))
        self.arrays.append(self.rng.integers(0, 2, (self.batch,) + shape).astype(dtype))
        return self.symbols[-1]

    def masked(self, *shape):
        """A sequence with a mask: now and then no step counts."""
        x = data((self.batch,) + shape, seed(self.rng))
        keep = self.rng.integers(0, 3, (self.batch,) + shape[:-1] + (1,)) > 0
        if self.rng.uniform() < 0.3:
            keep[0] = False
        self.symbols.append(keras.Input(shape))
        self.arrays.append((x * keep).astype("float32"))
        return L.Masking()(self.symbols[-1])

    def sequence(self, *shape, known=True):
        return self.masked(*shape) if flip(self.rng, 0.3) else self.floats(*shape, known=known)

    def values(self, steps, features, key_features=None):
        """Values, and keys of the same length (None: the values)."""
        known = flip(self.rng, 0.7)
        value = self.sequence(steps, features) if known else self.floats(steps, features, known=False)
        if not flip(self.rng, 0.4):
            return value, None
        return value, self.sequence(steps, key_features) if known else self.floats(steps, key_features, known=False)

    def model(self, outputs, **expect):
        model = randomise(keras.Model(self.symbols, outputs), seed(self.rng))
        return model, self.arrays, Expect(formats=("keras", "h5"), **expect)


def sizes(rng, n, low=1, high=7):
    return [int(v) for v in rng.integers(low, high, n)]


def common(rng, query, value, key, inputs, steps, heads):
    """Call arguments that the two layers with heads share."""
    t, s = steps
    kwargs = {}
    if key is not None:
        kwargs["key"] = key
    if flip(rng, 0.3):
        shape = (heads, t, s) if flip(rng, 0.3) and not has_mask(query, value, key) else (t, s)
        kwargs["attention_mask"] = inputs.bools(*shape, dtype=str(rng.choice(["bool", "int32", "float32"])))
    if flip(rng, 0.2) and "attention_mask" not in kwargs:
        kwargs["value_mask"] = inputs.bools(s)
    if flip(rng, 0.15) and "attention_mask" not in kwargs:
        kwargs["query_mask"] = inputs.bools(t)
    if flip(rng, 0.15) and key is not None and "attention_mask" not in kwargs:
        kwargs["key_mask"] = inputs.bools(s)
    if flip(rng, 0.4):
        kwargs["use_causal_mask"] = True
    if flip(rng, 0.3):
        kwargs["return_attention_scores"] = True
    return kwargs


def has_mask(*tensors):
    return any(keras.src.backend.get_keras_mask(t) is not None for t in tensors if t is not None)


@case("MultiHeadAttention")
def multi_head(rng):
    inputs = Inputs(rng)
    t, s, dq, dv, dk = sizes(rng, 5)
    heads = int(rng.integers(1, 4))
    layer = L.MultiHeadAttention(
        heads, int(rng.integers(2, 6)), value_dim=[None, 3, 5][rng.integers(3)], use_bias=flip(rng),
        dropout=float(rng.choice([0, 0, 0.3])), use_gate=flip(rng, 0.3),
        output_shape=[None, None, 4, (2, 3)][rng.integers(4)],
        attention_axes=[None, None, 1, (-2,)][rng.integers(4)],
        sliding_window=[None, None, 1, 2][rng.integers(4)])
    query = inputs.sequence(t, dq, known=flip(rng, 0.7))
    key = None
    if flip(rng, 0.3):
        s, value = t, query
    else:
        value, key = inputs.values(s, dv, dk)
    outputs = layer(query, value, **common(rng, query, value, key, inputs, (t, s), heads))
    return inputs.model(outputs)


@case("MultiHeadAttention over several axes", "model")
def several_axes(rng):
    inputs = Inputs(rng)
    rank = int(rng.integers(2, 4))
    shape = sizes(rng, rank)
    # One axis of three gives scores of 6 axes, over one of which TensorFlow's Softmax by oneDNN fails.
    n_axes = int(rng.integers(rank - 1, rank + 1))
    other, axes = list(shape), sorted(rng.choice(range(1, rank + 1), n_axes, replace=False))
    for a in axes:
        other[a - 1] = int(rng.integers(1, 5))
    layer = L.MultiHeadAttention(int(rng.integers(1, 3)), 3, value_dim=2, use_gate=flip(rng),
                                 attention_axes=tuple(int(a) for a in axes) if len(axes) < rank or flip(rng) else None)
    query, value = inputs.floats(*shape, 4), inputs.floats(*other, 3)
    kwargs = {}
    if flip(rng, 0.4):
        mask = [shape[a - 1] for a in axes] + [other[a - 1] for a in axes]
        rest = [n for a, n in enumerate(shape, 1) if a not in axes]
        kwargs["attention_mask"] = inputs.bools(*(rest + [1] if rest else []), *mask)
    if "attention_mask" not in kwargs and len(axes) == 1 and axes[0] == 1 and flip(rng):
        kwargs["use_causal_mask"] = True
    if flip(rng, 0.4):
        kwargs["return_attention_scores"] = True
    return inputs.model(layer(query, value, **kwargs))


@case("GroupQueryAttention")
def group_query(rng):
    inputs = Inputs(rng)
    t, s, d, dk = sizes(rng, 4)
    shared = int(rng.integers(1, 4))
    heads = shared * int(rng.integers(1, 4))
    layer = L.GroupQueryAttention(
        int(rng.integers(2, 6)), heads, shared, dropout=float(rng.choice([0, 0, 0.3])), use_bias=flip(rng),
        sliding_window=[None, None, 1, 2][rng.integers(4)], use_gate=flip(rng, 0.3))
    query = inputs.sequence(t, d, known=flip(rng, 0.7))
    key = None
    if flip(rng, 0.3):
        s, value = t, query
    else:
        value, key = inputs.values(s, d, dk)
    return inputs.model(layer(query, value, **common(rng, query, value, key, inputs, (t, s), heads)))


def plain(rng, layer):
    inputs = Inputs(rng)
    t, s, d, dv = sizes(rng, 4)
    tensors = [inputs.sequence(t, d, known=flip(rng)), inputs.sequence(s, d, known=flip(rng))]
    if flip(rng, 0.4):
        tensors = [tensors[0], inputs.sequence(s, dv), tensors[1]]
    kwargs = {}
    if flip(rng, 0.3):
        kwargs["mask"] = [inputs.bools(t) if flip(rng) else None, inputs.bools(s) if flip(rng) else None]
    if flip(rng, 0.4):
        kwargs["use_causal_mask"] = True
    if flip(rng, 0.3):
        kwargs["return_attention_scores"] = True
    return inputs.model(layer(tensors, **kwargs))


@case("Attention")
def attention(rng):
    return plain(rng, L.Attention(use_scale=flip(rng), score_mode=str(rng.choice(["dot", "concat"])),
                                  dropout=float(rng.choice([0, 0.2]))))


@case("AdditiveAttention")
def additive(rng):
    return plain(rng, L.AdditiveAttention(use_scale=flip(rng, 0.7), dropout=float(rng.choice([0, 0.2]))))


@case("Softmax with a mask", "model")
def softmax(rng):
    inputs = Inputs(rng)
    shape = sizes(rng, int(rng.integers(1, 4)), 2)
    rank = len(shape)
    axis = [-1, 1, [-1], sorted(int(a) for a in rng.choice(range(1, rank + 1), 2, replace=False)) if rank > 1 else -1]
    x = inputs.floats(*shape)
    mask = inputs.bools(*[n if flip(rng, 0.7) else 1 for n in shape], dtype=str(rng.choice(["bool", "float32", "int32"])))
    layer = L.Softmax(axis=axis[rng.integers(4)])
    return inputs.model(layer(x, mask) if flip(rng, 0.3) else layer(x, mask=mask))

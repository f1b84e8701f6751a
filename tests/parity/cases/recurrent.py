"""Loops over time: wrappers that run a layer on every step, and everything recurrent."""

from parity_kit import data, keras, np, randomise

from . import Expect, case

L = keras.layers


def seed(rng):
    return int(rng.integers(1 << 30))


def settle(model, rng):
    """Weights of which no loop makes rounding errors grow from step to step."""
    randomise(model, seed(rng))
    for v in model.variables:
        if v.path.endswith("recurrent_kernel"):
            v.assign(rng.normal(0, 0.5 / np.sqrt(np.prod(v.shape[:-1])), v.shape))
    return model


def flag(rng):
    return bool(rng.integers(2))


def steps(rng, n):
    """A number of steps as the model's Input says it: known or open."""
    return None if rng.integers(3) == 0 else n


def nested(rng, shape):
    """A model inside a model."""
    i = keras.Input(shape)
    y = L.Dense(5, activation="tanh")(i)
    y = L.BatchNormalization()(y)
    if rng.integers(2):
        y = L.Flatten()(L.Add()([y, L.Dense(5)(i)]))
    return keras.Model(i, y)


def inner_layer(rng):
    """A layer, the shape of one step, the type of its input."""
    kind = int(rng.integers(15))
    n = int(rng.choice([1, 3, 5]))
    if kind == 0:
        return L.Dense(7, activation="relu"), (n,), "float32"
    if kind == 1:
        return L.Conv2D(5, 3, strides=2, padding="same", activation="tanh"), (6, 5, n), "float32"
    if kind == 2:
        return L.BatchNormalization(), (4, n), "float32"
    if kind == 3:
        return L.LSTM(5, return_sequences=flag(rng)), (4, n), "float32"
    if kind == 4:
        return nested(rng, (4, n)), (4, n), "float32"
    if kind == 5:
        return keras.Sequential([keras.Input((6, n)), L.Conv1D(7, 2), L.GlobalAveragePooling1D()]), (6, n), "float32"
    if kind == 6:
        return L.Flatten(), (2, 3, n), "float32"
    if kind == 7:
        return L.Embedding(9, 5, mask_zero=flag(rng)), (4,), "int32"
    if kind == 8:
        return L.TimeDistributed(L.Conv1D(5, 2)), (3, 4, n), "float32"
    if kind == 9:
        return L.LayerNormalization(axis=int(rng.choice([1, 2]))), (4, 5), "float32"
    if kind == 10:
        return L.Reshape((n, -1)), (4, 3 * n), "float32"
    if kind == 11:
        return L.MaxPooling2D((2, 1), padding="same"), (5, 4, n), "float32"
    if kind == 12:
        return L.Softmax(axis=1), (4, 3), "float32"
    if kind == 13:
        return L.RepeatVector(3), (n,), "float32"
    return L.Dense(5), (3, 2, n), "float32"


@case("TimeDistributed")
def time_distributed(rng):
    layer, shape, dtype = inner_layer(rng)
    t = int(rng.choice([1, 2, 5, 7]))
    x = keras.Input((steps(rng, t),) + shape, dtype=dtype)
    y = L.TimeDistributed(layer)(x)
    a = data((3, t) + shape, seed(rng)) if dtype == "float32" else rng.integers(0, 9, (3, t) + shape).astype(dtype)
    return randomise(keras.Model(x, y), seed(rng)), [a], Expect(formats=("keras", "h5"))


# ---- cells and recurrent layers ----

ACTIVATIONS = ["tanh", "relu", "sigmoid", "softsign", "elu", "linear", "hard_sigmoid", "softmax", "silu", "selu",
               "gelu", "leaky_relu", "softplus", "relu6", "hard_tanh", "mish"]


def common(rng):
    """Arguments that all cells have."""
    return dict(units=int(rng.choice([1, 3, 5, 7, 17])), use_bias=bool(rng.integers(4)),
                activation=[None, "tanh", "tanh"][rng.integers(3)] if flag(rng)
                else str(rng.choice(ACTIVATIONS)), dropout=float(rng.choice([0, 0, 0.3])),
                recurrent_dropout=float(rng.choice([0, 0, 0.2])))


def gated(rng):
    args = dict(common(rng), recurrent_activation=str(rng.choice(["sigmoid", "hard_sigmoid", "tanh", "softmax"])))
    if args["recurrent_activation"] == "tanh":  # below 0 a gate makes states grow
        args["activation"] = str(rng.choice(["tanh", "softsign", "sigmoid"]))
    return args


def arguments(rng, kind):
    if kind == "SimpleRNN":
        return common(rng)
    if kind == "GRU":
        return dict(gated(rng), reset_after=flag(rng))
    return dict(gated(rng), unit_forget_bias=flag(rng))


def policy(rng):
    """Of a layer whose cell is its own."""
    return {} if rng.integers(5) else {"dtype": "float64"}


def loop(rng):
    """Arguments of the loop around a cell."""
    return dict(return_sequences=flag(rng), return_state=flag(rng), go_backwards=flag(rng),
                zero_output_for_mask=flag(rng))


def sequence(rng):
    """An Input of sequences, the array for it, and whether its length is known."""
    t, f, n = int(rng.choice([1, 2, 5, 8])), int(rng.choice([1, 3, 6])), int(rng.choice([1, 4, 5]))
    x = keras.Input((steps(rng, t), f))
    return x, data((n, t, f), seed(rng))


def mask_of(rng, x, inputs, arrays):
    """A mask for x: none, an input of its own, or computed from x."""
    n, t = arrays[0].shape[:2]
    kind = int(rng.integers(5))
    if kind < 2:
        return None
    if kind == 2:
        arrays[0][rng.uniform(size=(n, t)) < 0.4] = 0
        return keras.ops.any(keras.ops.not_equal(x, 0), axis=tuple(range(2, len(x.shape))))
    m = keras.Input((x.shape[1],), dtype=str(rng.choice(["bool", "int32"])))
    inputs.append(m)
    arrays.append((rng.integers(0, 3, (n, t)) > 0).astype(m.dtype))
    return m


def states_of(rng, shapes, inputs, arrays):
    """Initial states, or None."""
    if shapes is None or rng.integers(3):
        return None
    n, made = arrays[0].shape[0], []
    for s in shapes:
        made.append(keras.Input(s))
        arrays.append(data((n,) + tuple(s), seed(rng)))
    inputs += made
    return made


def call(rng, layer, x, states, mask):
    """Positional, by name, or both."""
    if states is not None and len(states) == 1 and flag(rng):
        states = states[0]
    if flag(rng) and mask is not None:
        return layer(x, states, mask) if flag(rng) else layer(x, states, mask=mask)
    kwargs = {}
    if states is not None:
        kwargs["initial_state"] = states
    if mask is not None:
        kwargs["mask"] = mask
    return layer(x, **kwargs)


def finish(rng, layer, x, array, state_shapes):
    inputs, arrays = [x], [array]
    mask = mask_of(rng, x, inputs, arrays)
    states = states_of(rng, state_shapes, inputs, arrays)
    y = call(rng, layer, x, states, mask)
    model = settle(keras.Model(inputs, keras.tree.flatten(y)), rng)
    return model, arrays, Expect(formats=("keras", "h5"))


def register(kind, n_states):
    @case(kind)
    def recurrent(rng):
        x, array = sequence(rng)
        args = arguments(rng, kind)
        unroll = x.shape[1] is not None and rng.integers(4) == 0
        layer = getattr(L, kind)(**args, **loop(rng), unroll=unroll, **policy(rng))
        return finish(rng, layer, x, array, [(args["units"],)] * n_states)

    @case(kind + "Cell")
    def cell(rng):
        x, array = sequence(rng)
        args = arguments(rng, kind)
        layer = L.RNN(getattr(L, kind + "Cell")(**args), **loop(rng))
        return finish(rng, layer, x, array, [(args["units"],)] * n_states)


register("SimpleRNN", 1)
register("GRU", 1)
register("LSTM", 2)


def stack(rng):
    """Cells of several kinds; the shapes of their states."""
    cells, shapes = [], []
    for _ in range(int(rng.integers(2, 4))):
        kind, n = [("SimpleRNN", 1), ("GRU", 1), ("LSTM", 2), ("LSTM", 2)][rng.integers(4)]
        args = arguments(rng, kind)
        cells.append(getattr(L, kind + "Cell")(**args))
        shapes.append([(args["units"],)] * n)
    return cells, shapes


@case("StackedRNNCells")
def stacked(rng):
    x, array = sequence(rng)
    cells, shapes = stack(rng)
    layer = L.RNN(L.StackedRNNCells(cells), **loop(rng))
    inputs, arrays = [x], [array]
    mask = mask_of(rng, x, inputs, arrays)
    y = layer(x, mask=mask)
    return settle(keras.Model(inputs, keras.tree.flatten(y)), rng), arrays, Expect(formats=("keras", "h5"))


@case("RNN")
def rnn(rng):
    x, array = sequence(rng)
    kind, n = [("SimpleRNN", 1), ("GRU", 1), ("LSTM", 2)][rng.integers(3)]
    if rng.integers(3) == 0:
        cells = [getattr(L, kind + "Cell")(**arguments(rng, kind)) for _ in range(2)]
        return finish(rng, L.RNN(cells, **dict(loop(rng), return_state=False)), x, array, None)
    args = arguments(rng, kind)
    unroll = x.shape[1] is not None and flag(rng)
    return finish(rng, L.RNN(getattr(L, kind + "Cell")(**args), **loop(rng), unroll=unroll), x, array,
                  [(args["units"],)] * n)


def channels_first(layer, array, args, around):
    """TensorFlow lacks these on the CPU: the numbers of the same layer with channels last, turned."""
    def turn(a, steps):
        return np.moveaxis(np.asarray(a), -1, 2 if steps else 1)
    x = keras.Input(array.shape[1:])
    last = randomise(keras.Model(x, keras.tree.flatten(layer(x))), array.shape[-1])
    want = [turn(y, i == 0 and around["return_sequences"]) for i, y in enumerate(keras.tree.flatten(last(array)))]
    x = keras.Input(turn(array, True).shape[1:])
    model = keras.Model(x, keras.tree.flatten(type(layer)(**args, **around, data_format="channels_first")(x)))
    model.set_weights(last.get_weights())
    return model, [turn(array, True)], Expect(outputs=want)


def register_conv(rank):
    @case(f"ConvLSTM{rank}D")
    def conv_lstm(rng):
        t, n, f = int(rng.choice([1, 2, 4])), int(rng.choice([1, 3])), int(rng.choice([1, 2, 3]))
        space = tuple(int(v) for v in rng.integers(4, [12, 7, 6][rank - 1], rank))
        strides, dilation = [(1, 1), (1, 1), (2, 1), (1, 2)][rng.integers(4)]
        first = rank < 3 and rng.integers(6) == 0
        args = dict(filters=int(rng.choice([1, 3, 5])), kernel_size=int(rng.choice([1, 2] if dilation > 1 else [1, 2, 3])),
                    strides=strides, padding=str(rng.choice(["valid", "same"])), dilation_rate=dilation, use_bias=flag(rng),
                    activation=str(rng.choice(["tanh", "relu", "softmax"])),
                    recurrent_activation=str(rng.choice(["sigmoid", "hard_sigmoid"])))
        if first:
            args.update(activation="tanh")
        x = keras.Input((steps(rng, t),) + space + (f,))
        around = loop(rng)
        layer = getattr(L, f"ConvLSTM{rank}D")(**args, **around)
        whole = layer.compute_output_shape((None, t) + space + (f,))
        whole = whole[0] if layer.return_state else whole
        state = tuple(whole[2 if layer.return_sequences else 1:])
        array = data((n, t) + space + (f,), seed(rng))
        if first:
            return channels_first(layer, array, args, around)
        return finish(rng, layer, x, array, [state] * 2)


for r in (1, 2, 3):
    register_conv(r)


@case("Bidirectional")
def bidirectional(rng):
    x, array = sequence(rng)
    kind, n = [("SimpleRNN", 1), ("GRU", 1), ("LSTM", 2), ("LSTM", 2)][rng.integers(4)]
    args, around = arguments(rng, kind), loop(rng)
    unroll = x.shape[1] is not None and rng.integers(4) == 0
    layer, back = getattr(L, kind)(**args, **around, unroll=unroll), None
    shapes = [(args["units"],)] * (2 * n)
    merge = [None, "concat", "sum", "mul", "ave"][rng.integers(5)]
    if rng.integers(3) == 0:
        other = dict(arguments(rng, kind), units=args["units"])
        back = getattr(L, kind)(**other, **dict(around, go_backwards=not around["go_backwards"]))
    elif around["go_backwards"]:
        layer = getattr(L, kind)(**args, **dict(around, go_backwards=False))
    if rng.integers(5) == 0:
        cell = getattr(L, kind + "Cell")(**args)
        layer, back = L.RNN(cell, **dict(around, go_backwards=False)), None
    layer = L.Bidirectional(layer, merge_mode=merge, backward_layer=back)
    return finish(rng, layer, x, array, shapes)


@case("a mask for every unit", "model")
def unit_masks(rng):
    units, (x, array) = int(rng.choice([2, 3, 5])), sequence(rng)
    mask = keras.Input((x.shape[1], units), dtype=str(rng.choice(["bool", "int32"])))
    keep = (rng.integers(0, 3, array.shape[:2] + (units,)) > 0).astype(mask.dtype)
    layer = [L.SimpleRNN, L.GRU, L.LSTM][rng.integers(3)](units, **dict(loop(rng)))
    y = layer(x, mask=mask)
    return settle(keras.Model([x, mask], keras.tree.flatten(y)), rng), [array, keep], Expect(formats=("keras", "h5"))


# ---- whole models ----

def start(rng):
    """Sequences with the mask that a layer in front makes, or with none."""
    t, n = int(rng.choice([2, 5, 8])), int(rng.choice([1, 4]))
    kind = int(rng.integers(3))
    if kind == 0:
        x = keras.Input((steps(rng, t),), dtype="int32")
        a = rng.integers(0, 7, (n, t)).astype("int32")
        return x, L.Embedding(7, 5, mask_zero=True)(x), a
    x = keras.Input((steps(rng, t), 3))
    a = data((n, t, 3), seed(rng))
    if kind == 1:
        a[rng.uniform(size=(n, t)) < 0.4] = 0
        return x, L.Masking()(x), a
    return x, x, a


def recurrent_layer(rng, units, **args):
    kind = [L.SimpleRNN, L.GRU, L.LSTM][rng.integers(3)]
    return kind(units, **args)


def encoder_decoder(rng, x, y):
    """The states of one layer begin another."""
    kind, units = [L.GRU, L.LSTM][rng.integers(2)], int(rng.choice([3, 5]))
    _, *states = kind(units, return_state=True)(y)
    decoded = kind(units, return_sequences=True)(y, initial_state=states)
    return L.TimeDistributed(L.Dense(4, activation="softmax"))(decoded)


def stacked_layers(rng, x, y):
    for _ in range(2):
        layer = recurrent_layer(rng, 5, return_sequences=True)
        y = L.Bidirectional(layer)(y) if flag(rng) else layer(y)
        y = L.Dropout(0.2)(y) if flag(rng) else y
    return recurrent_layer(rng, 3)(L.TimeDistributed(L.Dense(6))(y))


def shared(rng, x, y):
    """One layer, called twice, also inside a loop over a further axis."""
    layer = recurrent_layer(rng, 5, return_sequences=True, go_backwards=flag(rng))
    y = L.Dense(5)(y)
    return L.Add()([layer(y), layer(layer(y))])


def inside(rng, x, y):
    """A nested model with a recurrent layer, called twice."""
    i = keras.Input((None, 5))
    z = L.Bidirectional(recurrent_layer(rng, 4, return_sequences=True), merge_mode="sum")(i)
    inner = keras.Model(i, L.GRU(5, return_sequences=True)(z))
    y = inner(L.Dense(5)(y))
    return [inner(y), L.GlobalAveragePooling1D()(y)]


def over_time(rng, x, y):
    """Windows of the sequence, each through a recurrent model of its own, and a loop over them."""
    i = keras.Input((3, 5))
    inner = keras.Model(i, recurrent_layer(rng, 4)(L.Bidirectional(recurrent_layer(rng, 2, return_sequences=True))(i)))
    y = L.RepeatVector(6)(L.LSTM(5)(y))
    windows = L.Reshape((2, 3, 5))(y)
    return recurrent_layer(rng, 3)(L.TimeDistributed(inner)(windows))


def ways(rng, x, y):
    """Bidirectional around what is itself put together."""
    cells = [L.LSTMCell(3), L.GRUCell(4)]
    y = L.Bidirectional(L.RNN(cells, return_sequences=True), merge_mode=str(rng.choice(["concat", "ave"])))(y)
    maps = L.Reshape((-1, 4, 1))(L.Dense(4)(y))
    return L.Bidirectional(L.ConvLSTM1D(2, 3, return_sequences=flag(rng)))(maps)


@case("recurrent", "model")
def models(rng):
    x, y, a = start(rng)
    build = [encoder_decoder, stacked_layers, shared, inside, over_time, ways][rng.integers(6)]
    return settle(keras.Model(x, build(rng, x, y)), rng), [a], Expect(formats=("keras", "h5"))

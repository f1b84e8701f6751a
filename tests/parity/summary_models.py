"""Small models for the summary: every way to nest, share, freeze and name that changes its text."""

import inspect

from parity_kit import keras, np

L, K, O = keras.layers, keras, keras.ops


def tower(size=5, name=None, **kw):
    x = K.Input((size,))
    return K.Model(x, L.Dense(size, name="t_out")(L.Dense(7, activation="relu", name="t_in")(x)), name=name, **kw)


def image_tower(name="body", size=(None, None)):
    x = K.Input((*size, 3))
    y = L.BatchNormalization()(L.Conv2D(5, 3, padding="same")(x))
    return K.Model(x, L.GlobalAveragePooling2D()(L.ReLU()(y)), name=name)


def compiled(model, optimizer="adam", fit=True, **kw):
    model.compile(optimizer, K.losses.MeanSquaredError(), **kw)
    if fit:
        shapes = [[2, *(s or 4 for s in i.shape[1:])] for i in model.inputs]
        x = [np.ones(s, "float32") for s in shapes]
        y = model(x if len(x) > 1 else x[0])
        model.train_on_batch(x if len(x) > 1 else x[0], y)
    return model


# ---- names, widths, sizes ----

def a_name_that_fills_the_cell():
    return K.Sequential([K.Input((3,)), L.Dense(4, name="d" * 26), L.Dense(4, name="e" * 27), L.Dense(4, name="f" * 28)])


def names_with_brackets():
    return K.Sequential([K.Input((3,)), L.Dense(4, name="a[bold]b"), L.Dense(2, name="c[0]d")], name="m[1]")


def names_of_other_alphabets():
    return K.Sequential([K.Input((3,)), L.Dense(4, name="größe"), L.Dense(2, name="слой")])


def wide_names():
    return K.Sequential([K.Input((3,)), L.Dense(4, name="層"), L.Dense(2, name="全結合層の名前がとても長い場合の例です")])


def hyphens_and_slashes():
    x = K.Input((3,), name="in-put")
    return K.Model(x, L.Add(name="a-long-name-with-hyphens-and-more")([x, L.Dense(3, name="d.e-f")(x)]), name="m-n")


def millions():
    return K.Sequential([K.Input((1000,)), L.Dense(1500), L.Dense(1024)])


def a_thousand_and_one():
    return K.Sequential([K.Input((10,)), L.Dense(91), L.Dense(100, use_bias=False)])


def big_shape():
    return K.Sequential([K.Input((1024, 1024, 128, 3)), L.Rescaling(0.5), L.Reshape((1024, 1024, 384))])


def long_names():
    x = K.Input((32, 32, 3), name="an_input_with_quite_a_long_name")
    y = L.Conv2D(8, 3, padding="same", name="block_1_convolution_of_the_first_kind")(x)
    y = L.BatchNormalization(name="n" * 70)(y)
    z = L.GlobalAveragePooling2D(name="a name of several words that are wrapped")(y)
    return K.Model(x, [z, L.Add(name="sum")([y, y])], name="several words")


def fixed_batch():
    return K.Sequential([K.Input(batch_shape=(32, 5)), L.Dense(1200), L.Dense(1300)])


def frozen_within():
    inner = K.Sequential([K.Input((8, 8, 3)), L.Conv2D(5, 3), L.BatchNormalization()], name="inner")
    inner.trainable = False
    x = K.Input((8, 8, 3))
    d = L.Dense(3)
    d.trainable = False
    return K.Model(x, d(L.Flatten()(inner(x))))


def half_weights():
    return K.Sequential([K.Input((5,)), L.Dense(10, dtype="float16"), L.Dense(3, dtype="mixed_float16")])


def application():
    return K.applications.MobileNetV2(weights=None, input_shape=(96, 96, 3))


def efficient():
    return K.applications.EfficientNetB0(weights=None, input_shape=(64, 64, 3), include_top=False)


# ---- chains and graphs ----

def functional_chain():
    return tower(name="chain")


def chain_with_an_operation():
    x = K.Input((5,))
    return K.Model(x, L.Dense(2)(O.tanh(L.Dense(3)(x) * 2.0)))


def operations_with_two_inputs():
    x = K.Input((5, 4))
    y = O.tanh(x) * x
    return K.Model(x, O.maximum(y, 0.5) + y)


def a_layer_called_twice_in_a_row():
    d = L.Dense(5)
    x = K.Input((5,))
    return K.Model(x, d(d(x)))


def a_layer_called_three_times():
    d, x = L.Dense(5, name="again"), K.Input((5,))
    a = d(x)
    return K.Model(x, L.Add()([d(a), d(L.ReLU()(a)), a]))


def diamond():
    x = K.Input((5,))
    a, b = L.Dense(4, name="left")(x), L.Dense(4, name="right")(x)
    return K.Model(x, L.Concatenate()([a, b, a]))


def branches_of_unequal_length():
    x = K.Input((5,))
    a = L.Dense(6)(L.Dense(6)(L.Dense(6)(x)))
    return K.Model(x, [L.Add()([a, L.Dense(6)(x)]), L.Dense(2)(x)])


def two_inputs():
    x, y = K.Input((5,), name="b"), K.Input((4,), name="a")
    return K.Model([x, y], L.Dense(2)(L.Concatenate()([x, y])))


def an_unused_input():
    x, y = K.Input((5,), name="used"), K.Input((4,), name="unused")
    return K.Model([x, y], L.Dense(2)(x))


def a_chain_with_two_outputs():
    x = K.Input((5,))
    y = L.Dense(4)(x)
    return K.Model(x, [y, L.Dense(3)(y)])


def tuple_outputs():
    x = K.Input((5,))
    return K.Model(x, (L.Dense(4)(x), L.Dense(3)(x)))


def dict_outputs():
    x = K.Input((5,))
    return K.Model(x, {"b": L.Dense(4)(x), "a": L.Dense(3)(x)})


def dict_inputs_and_outputs():
    x, y = K.Input((5,), name="u"), K.Input((5,), name="v")
    return K.Model({"u": x, "v": y}, {"s": L.Add()([x, y]), "d": L.Subtract()([x, y])})


def deep_residual():
    x = i = K.Input((6,))
    for n in range(5):
        x = L.Add(name=f"sum{n}")([x, L.Dense(6, name=f"step{n}")(x)])
    return K.Model(i, x)


def fixed_batch_graph():
    x = K.Input(batch_shape=(7, 5))
    return K.Model(x, L.Add()([L.Dense(5)(x), x]))


def unknown_sizes():
    x = K.Input((None, None, 3))
    y = L.Conv2D(4, 3, strides=2, padding="same")(x)
    return K.Model(x, L.Concatenate()([y, L.MaxPooling2D(2, padding="same")(x)]))


def unknown_length():
    return K.Sequential([K.Input((None, 6)), L.Conv1D(5, 3), L.MaxPooling1D(2), L.GlobalMaxPooling1D()])


def over_the_batch():
    x = K.Input((4,))
    y = K.ops.sort(L.Dense(32)(x), axis=0)
    y = K.ops.matmul(K.ops.softmax(K.ops.matmul(y, K.ops.transpose(y)), axis=0), y)
    return K.Model(x, y - K.ops.mean(K.ops.reshape(y, (1, -1)), axis=1))


# ---- models inside models ----

def nested_functional():
    x = K.Input((5,))
    return K.Model(x, L.Dense(2)(tower(name="inner")(x)))


def nested_sequential():
    inner = K.Sequential([K.Input((5,)), L.Dense(6), L.Dropout(0.5)], name="inner")
    return K.Sequential([K.Input((5,)), inner, L.Dense(2)])


def nested_of_open_sizes():
    x = K.Input((32, 24, 3))
    return K.Model(x, L.Dense(4)(image_tower()(x)))


def sequential_of_open_sizes():
    inner = K.Sequential([K.Input((None, None, 3)), L.Conv2D(4, 3), L.MaxPooling2D()], name="inner")
    return K.Sequential([K.Input((20, 21, 3)), inner, L.Flatten(), L.Dense(2)])


def late_sequential_in_graph():
    x = K.Input((4, 6))
    inner = K.Sequential([L.Dense(5), L.BatchNormalization()], name="late")
    return K.Model(x, inner(x))


def late_sequential_in_sequential():
    return K.Sequential([K.Input((4, 6)), K.Sequential([L.Dense(5), L.ReLU()], name="late"), L.Flatten()])


def nested_called_twice():
    t, x, y = tower(name="twin"), K.Input((5,)), K.Input((5,))
    return K.Model([x, y], L.Concatenate()([t(x), t(y), t(L.Add()([x, y]))]))


def nested_of_open_sizes_called_twice():
    t, x, y = image_tower("siamese"), K.Input((16, 16, 3)), K.Input((8, 10, 3))
    return K.Model([x, y], L.Subtract()([t(x), t(y)]))


def nested_with_two_outputs():
    x = K.Input((5,))
    two = K.Model(x, [L.Dense(3)(x), L.Dense(4)(x)], name="two")
    i = K.Input((5,))
    a, b = two(i)
    return K.Model(i, L.Concatenate()([b, a]))


def nested_with_dict_outputs():
    x = K.Input((5,))
    two = K.Model(x, {"p": L.Dense(3)(x), "q": L.Dense(4)(x)}, name="two")
    i = K.Input((5,))
    d = two(i)
    return K.Model(i, L.Concatenate()([d["q"], d["p"]]))


def nested_with_two_inputs():
    x, y = K.Input((5,)), K.Input((4,))
    joint = K.Model([x, y], L.Concatenate()([x, L.Dense(5)(y)]), name="joint")
    i, j = K.Input((5,)), K.Input((4,))
    return K.Model([i, j], L.Dense(2)(joint([i, j])))


def nested_with_operations():
    x = K.Input((5,))
    inner = K.Model(x, O.relu(L.Dense(4)(x)) * 2.0, name="inner")
    i = K.Input((5,))
    return K.Model(i, L.Dense(2)(inner(i) + 1.0))


def four_levels():
    m = K.Sequential([K.Input((5,)), L.Dense(5)], name="level0")
    for n in range(1, 4):
        x = K.Input((5,))
        m = K.Model(x, L.Add()([x, L.Dense(5)(m(x))]), name=f"level{n}")
    return K.Sequential([K.Input((5,)), m, L.Dense(1)])


def four_levels_of_sequential():
    m = L.Dense(4, name="core")
    for n in range(4):
        m = K.Sequential([K.Input((4,)), m], name=f"shell{n}")
    return m


def model_first():
    base = image_tower("base", (8, 8))
    return K.Sequential([base, L.Dense(3)])


# ---- sharing ----

def a_layer_in_two_models():
    d = L.Dense(5, name="common")
    a, b = K.Input((5,)), K.Input((5,))
    one, two = K.Model(a, L.ReLU()(d(a)), name="one"), K.Model(b, L.Dense(3)(d(b)), name="two")
    x = K.Input((5,))
    return K.Model(x, L.Concatenate()([one(x), two(x)]))


def a_layer_inside_and_outside():
    d = L.Dense(5, name="common")
    a = K.Input((5,))
    one = K.Model(a, L.ReLU()(d(a)), name="one")
    x = K.Input((5,))
    return K.Model(x, one(d(x)))


def a_layer_in_two_sequentials():
    d = L.Dense(5, name="common")
    one = K.Sequential([K.Input((5,)), d, L.ReLU()], name="one")
    two = K.Sequential([K.Input((5,)), L.Dense(5), d], name="two")
    return K.Sequential([K.Input((5,)), one, two])


def a_model_in_two_models():
    t = tower(name="shared")
    a, b = K.Input((5,)), K.Input((5,))
    one = K.Model(a, L.Dense(4)(t(a)), name="one")
    two = K.Model(b, L.Dense(4)(t(L.ReLU()(b))), name="two")
    x = K.Input((5,))
    return K.Model(x, L.Add()([one(x), two(x)]))


def a_frozen_layer_in_two_models():
    d = L.Dense(5, name="common", trainable=False)
    one = K.Sequential([K.Input((5,)), d, L.Dense(4)], name="one")
    a = K.Input((4,))
    two = K.Model(a, d(L.Dense(5)(a)), name="two")
    return K.Sequential([K.Input((5,)), one, two])


# ---- frozen parts ----

def frozen_layer():
    return K.Sequential([K.Input((5,)), L.Dense(4, trainable=False), L.Dense(3)])


def frozen_norm():
    return K.Sequential([K.Input((5,)), L.Dense(4), L.BatchNormalization(trainable=False), L.BatchNormalization()])


def frozen_functional():
    t = tower(name="frozen")
    t.trainable = False
    x = K.Input((5,))
    return K.Model(x, L.Dense(2)(t(x)))


def frozen_sequential():
    t = K.Sequential([K.Input((5,)), L.Dense(4), L.BatchNormalization()], name="frozen")
    t.trainable = False
    x = K.Input((5,))
    return K.Model(x, L.Dense(2)(t(x)))


def frozen_but_one():
    t = tower(name="half")
    t.trainable = False
    t.get_layer("t_out").trainable = True
    x = K.Input((5,))
    return K.Model(x, L.Dense(2)(t(x)))


def all_frozen():
    m = tower(name="still")
    m.trainable = False
    return m


def all_frozen_sequential():
    m = K.Sequential([K.Input((5,)), L.Dense(4), L.Dense(2)])
    m.trainable = False
    return m


def last_layers_thawed():
    m = K.Sequential([K.Input((8, 8, 3)), image_tower("base", (8, 8)), L.Dense(4), L.Dense(2)])
    for l in m.layers[0].layers[:-2]:
        l.trainable = False
    return m


# ---- types ----

def half_and_double_parts():
    return K.Sequential([K.Input((5,)), L.Dense(33, dtype="mixed_float16"), L.Dense(9, dtype="float16"),
                         L.Dense(3, dtype="bfloat16"), L.Dense(2, dtype="mixed_bfloat16")])


def integer_input():
    x = K.Input((5,), dtype="int32")
    return K.Model(x, L.Dense(3)(L.Rescaling(0.1)(x)))


def bytes_input():
    x = K.Input((16, 16, 3), dtype="uint8")
    return K.Model(x, L.Dense(3)(L.GlobalAveragePooling2D()(L.Conv2D(4, 3)(L.Rescaling(1 / 255)(x)))))


# ---- layers with particular variables ----

def normalisations():
    return K.Sequential([K.Input((8, 8, 6)), L.BatchNormalization(scale=False), L.BatchNormalization(center=False),
                         L.LayerNormalization(), L.GroupNormalization(3), L.UnitNormalization(),
                         L.RMSNormalization(), L.SpectralNormalization(L.Conv2D(4, 3))])


def adapted_normalization():
    n = L.Normalization()
    n.adapt(np.random.default_rng(1).normal(size=(50, 4)))
    return K.Sequential([K.Input((4,)), n, L.Dense(2)])


def given_normalization():
    return K.Sequential([K.Input((4,)), L.Normalization(mean=1.0, variance=2.0), L.Dense(2)])


def slopes():
    return K.Sequential([K.Input((6, 5)), L.PReLU(), L.PReLU(shared_axes=[1]), L.LeakyReLU(), L.Softmax()])


def random_layers():
    return K.Sequential([K.Input((16, 16, 3)), L.RandomFlip(), L.RandomRotation(0.1), L.GaussianNoise(0.1),
                         L.SpatialDropout2D(0.2), L.Flatten(), L.Dropout(0.3), L.Dense(2)])


def convolutions():
    return K.Sequential([K.Input((20, 20, 4)), L.Conv2D(6, 3, groups=2), L.DepthwiseConv2D(3, depth_multiplier=2),
                         L.SeparableConv2D(7, 3), L.Conv2DTranspose(5, 3, strides=2), L.ZeroPadding2D(1),
                         L.Cropping2D(2), L.UpSampling2D(), L.AveragePooling2D(3), L.GlobalMaxPooling2D()])


def reshapes():
    return K.Sequential([K.Input((6, 4)), L.Permute((2, 1)), L.Reshape((3, 8)), L.Flatten(), L.RepeatVector(3)])


def wrapped():
    return K.Sequential([K.Input((4, 6)), L.TimeDistributed(L.Dense(5)), L.TimeDistributed(L.ReLU())])


def einsum():
    return K.Sequential([K.Input((4, 6)), L.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de"), L.Flatten()])


def text_classifier():
    return K.Sequential([K.Input((None,), dtype="int32"), L.Embedding(50, 6, mask_zero=True),
                         L.Bidirectional(L.LSTM(5, return_sequences=True)), L.GRU(4), L.Dense(2)])


def recurrent_states():
    x = K.Input((7, 4))
    y, h, c = L.LSTM(5, return_sequences=True, return_state=True)(x)
    z, s = L.SimpleRNN(5, return_state=True)(y, initial_state=h)
    return K.Model(x, [z, L.Add()([s, c])])


def frozen_recurrent():
    return K.Sequential([K.Input((7, 4)), L.LSTM(5, return_sequences=True, trainable=False),
                         L.RNN(L.GRUCell(3), return_sequences=True), L.TimeDistributed(L.Dense(2))])


def cells_stacked():
    return K.Sequential([K.Input((7, 4)), L.RNN([L.LSTMCell(3), L.GRUCell(5)]), L.Dense(2)])


def convolutional_lstm():
    return K.Sequential([K.Input((3, 8, 8, 2)), L.ConvLSTM2D(4, 3), L.Flatten(), L.Dense(2)])


def distributed_model():
    return K.Sequential([K.Input((4, 8, 8, 3)), L.TimeDistributed(image_tower("frame", (8, 8))), L.LSTM(3)])


def attention():
    x, y = K.Input((6, 8)), K.Input((5, 8))
    a, scores = L.MultiHeadAttention(2, 4)(x, y, return_attention_scores=True)
    return K.Model([x, y], [L.LayerNormalization()(L.Add()([x, a])), scores])


def attention_of_groups():
    x = K.Input((6, 8))
    a = L.GroupQueryAttention(4, 4, 2)(x, x)
    return K.Model(x, L.Attention(use_scale=True)([a, x]))


def encoder_block():
    x = K.Input((None,), dtype="int32", name="tokens")
    e = L.Embedding(30, 8)(x)
    for n in range(2):
        a = L.MultiHeadAttention(2, 4, name=f"attention_{n}")(e, e)
        e = L.LayerNormalization()(e + a)
        e = L.LayerNormalization()(e + L.Dense(8)(L.Dense(16, activation="gelu")(e)))
    return K.Model(x, L.Dense(3)(L.GlobalAveragePooling1D()(e)))


def operations_of_many_kinds():
    x = K.Input((6, 4))
    y = O.concatenate([O.sum(x, axis=1, keepdims=True), O.mean(x, axis=1, keepdims=True)], axis=1)
    z = O.where(y > 0.1, y, -y)
    return K.Model(x, O.reshape(O.transpose(z, (0, 2, 1)), (-1, 8)))


def layers_and_slices():
    x = K.Input((6, 4))
    y = L.Dense(5)(x[:, 1:4])
    return K.Model(x, y[:, -1] / 2.0)


def numbers_to_categories():
    x = K.Input((1,), name="age")
    b = L.Discretization([18.0, 30.0, 60.0])(x)
    return K.Model(x, L.Dense(2)(L.CategoryEncoding(4, output_mode="one_hot")(b)))


# ---- compiled models: the optimizer's variables count ----

def mlp():
    return K.Sequential([K.Input((5,)), L.Dense(6), L.BatchNormalization(), L.Dense(2)])


def compiled_and_fitted():
    return compiled(mlp())


def compiled_never_fitted():
    return compiled(mlp(), fit=False)


def compiled_sgd():
    return compiled(mlp(), K.optimizers.SGD(0.1))


def compiled_sgd_momentum():
    return compiled(mlp(), K.optimizers.SGD(0.1, momentum=0.9, nesterov=True))


def compiled_rmsprop():
    return compiled(mlp(), K.optimizers.RMSprop(centered=True, momentum=0.1), fit=False)


def compiled_amsgrad():
    return compiled(mlp(), K.optimizers.Adam(amsgrad=True), fit=False)


def compiled_with_schedule():
    schedule = K.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    return compiled(mlp(), K.optimizers.AdamW(schedule), fit=False)


def compiled_with_averages():
    return compiled(mlp(), K.optimizers.Adam(use_ema=True, gradient_accumulation_steps=2), fit=False)


def compiled_scaled():
    return compiled(mlp(), K.optimizers.LossScaleOptimizer(K.optimizers.SGD(momentum=0.5)), fit=False)


def compiled_others():
    def maker(optimizer):
        def make():
            return compiled(mlp(), optimizer(), fit=False)
        make.__name__ = f"compiled_{optimizer.__name__.lower()}"
        return make
    return [maker(o) for o in (K.optimizers.Adagrad, K.optimizers.Adadelta, K.optimizers.Adamax, K.optimizers.Nadam,
                               K.optimizers.Ftrl, K.optimizers.Lion, K.optimizers.Lamb, K.optimizers.Adafactor,
                               K.optimizers.Muon, K.optimizers.ScheduleFreeAdamW)]


def compiled_frozen():
    m = mlp()
    m.layers[0].trainable = False
    return compiled(m)


def compiled_graph():
    return compiled(deep_residual())


def texts_counted():
    x = K.Input((1,), dtype="string")
    y = L.TextVectorization(output_mode="tf_idf", vocabulary=["a", "b", "c"], idf_weights=[0.1, 0.2, 0.3])(x)
    return K.Model(x, L.Dense(3)(y))


def texts_padded():
    x = K.Input((), dtype="string")
    return K.Model(x, L.TextVectorization(20, output_mode="count", pad_to_max_tokens=True, vocabulary=["a", "b"])(x))


def an_activation_with_variables():
    x = K.Input((3, 4))
    return K.Model(x, L.Dense(5, activation=L.PReLU())(x))


# ---- fine-tuned by thin matrices ----

def tuned_layers():
    x, i = K.Input((9, 5)), K.Input((4,), dtype="int32")
    y = L.Dense(7, lora_rank=2, name="d")(x)
    y = L.Conv1D(6, 3, lora_rank=3, name="c")(y)
    y = L.EinsumDense("abc,cde->abde", (None, 3, 5), bias_axes="de", lora_rank=2, lora_alpha=3.0)(y)
    z = L.Embedding(11, 5, lora_rank=1, name="e")(i)
    z = L.Conv2D(3, 2, lora_rank=2, trainable=False)(L.Reshape((2, 2, 5))(z))
    return K.Model([x, i], [y, z])


def tuned_in_half():
    return K.Sequential([K.Input((5, 5)), L.Dense(7, dtype="mixed_float16", lora_rank=2),
                         L.TimeDistributed(L.Dense(3, lora_rank=1)), L.Dense(2, dtype="float64", lora_rank=2)])


def compiled_tuned():
    return compiled(K.Sequential([K.Input((5,)), L.Dense(7, lora_rank=2), L.Dense(3)]))


def compiled_tuned_muon():
    return compiled(K.Sequential([K.Input((5,)), L.Dense(7, lora_rank=2), L.Dense(3)]), K.optimizers.Muon())


def tuned_in_few_bits(mode):
    i = K.Input((4,), dtype="int32")
    y = L.EinsumDense("abc,cde->abde", (None, 3, 5), bias_axes="de")(L.Embedding(9, 7)(i))
    m = K.Model(i, L.Dense(7)(y))
    for layer in m.layers[1:]:
        layer.enable_lora(2)
    m.quantize(mode)
    return m


def tuned_int8():
    return tuned_in_few_bits("int8")


def tuned_int4():
    return tuned_in_few_bits("int4")


# ---- calls with dicts ----

def dict_inputs():
    x = {"b": K.Input((4,), name="b"), "a": K.Input((5,), name="a"), "c": K.Input((6,), name="c")}
    inner_x = {"left": K.Input((3,)), "also": K.Input((3,))}
    inner = K.Model(inner_x, L.Add()([inner_x["left"], L.Dense(3)(inner_x["also"])]), name="inner")
    y = inner({"left": L.Dense(3, name="of_a")(x["a"]), "also": L.Dense(3, name="of_b")(x["b"])})
    return K.Model(x, L.Concatenate()([y, x["c"]]))


def boxes_in_a_dict():
    x = {"images": K.Input((9, 9, 3), name="images"), "boxes": K.Input((5, 4), name="boxes"),
         "labels": K.Input((5,), name="labels")}
    return K.Model(x, L.MaxNumBoundingBoxes(3)(x))


def cropped():
    return K.Sequential([K.Input((9, 11, 3)), L.RandomCrop(4, 5), L.Conv2D(2, 3)])


# ---- sizes that follow the batch ----

def fewer_rows():
    x = K.Input((3, 5))
    y = O.diff(x, axis=0)
    return K.Model(x, x + O.mean(O.vstack([x, x, y]), axis=0, keepdims=True))


# Keras writes these, but cannot read them again: the model that was saved is the judge.
SHARED = [a_layer_in_two_models, a_layer_inside_and_outside, a_layer_in_two_sequentials,
          a_model_in_two_models, a_frozen_layer_in_two_models]
HELPERS = [tower, image_tower, compiled, mlp, compiled_others, tuned_in_few_bits]
MODELS = [f for f in list(globals().values())
          if inspect.isfunction(f) and f.__module__ == __name__ and f not in HELPERS]
MODELS += compiled_others()

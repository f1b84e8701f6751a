"""Models as people build them: nested, shared, several inputs and outputs, operations, policies."""

import json

import pytest
from parity_kit import BACKENDS, compare, data, distance, execute, keras, np, randomise

L, K = keras.layers, keras
BATCH = 3


def sequential_with_input():
    return K.Sequential([K.Input((5,)), L.Dense(10, activation="relu"), L.Dense(2, activation="softmax")])


def sequential_built_late():
    m = K.Sequential([L.Dense(7, activation="elu"), L.Dropout(0.3), L.Dense(3)])
    m.build((None, 5))
    return m


def sequential_of_models():
    inner = K.Sequential([K.Input((9, 8, 5)), L.Conv2D(7, 3), L.BatchNormalization(), L.ReLU()])
    x = K.Input((7, 6, 7))
    body = K.Model(x, L.Add()([x, L.Conv2D(7, 3, padding="same")(x)]))
    return K.Sequential([K.Input((9, 8, 5)), inner, body, L.GlobalAveragePooling2D(), L.Dense(3)])


def model_first():
    """A network as the first layer of a Sequential, as in transfer learning."""
    x = K.Input((9, 8, 3))
    base = K.Model(x, L.Conv2D(5, 3, strides=2)(x), name="base")
    base.trainable = False
    return K.Sequential([base, L.Flatten(), L.Dense(4)])


def called_with_training_false():
    x = K.Input((9, 8, 3))
    base = K.Model(x, L.BatchNormalization()(L.Conv2D(5, 3, strides=2)(x)), name="base")
    i = K.Input((9, 8, 3))
    return K.Model(i, L.Dense(4)(L.Dropout(0.5)(L.GlobalMaxPooling2D()(base(i, training=False)))))


def shared_layer():
    x, y = K.Input((6,)), K.Input((6,))
    d, n = L.Dense(6, activation="relu"), L.BatchNormalization()
    a, b = n(d(x)), n(d(d(y)))
    return K.Model([x, y], L.Concatenate()([a, b, L.Subtract()([a, b])]))


def shared_model():
    x, y = K.Input((8, 5)), K.Input((8, 5))
    z = K.Input((8, 5))
    tower = K.Model(z, L.GlobalMaxPooling1D()(L.BatchNormalization()(L.Conv1D(7, 3)(z))), name="tower")
    return K.Model([x, y], L.Dense(2)(L.Multiply()([tower(x), tower(y)])))


def nested_many_outputs():
    x = K.Input((6,))
    two = K.Model(x, [L.Dense(3)(x), L.Dense(5)(x)], name="two")
    i = K.Input((6,))
    a, b = two(i)
    return K.Model(i, [L.Dense(2)(b), a, b])


def several_outputs():
    x = K.Input((6,), name="left")
    y = K.Input((4, 3), name="right")
    a = L.Dense(5, activation="relu", name="hidden")(x)
    b = L.Flatten()(y)
    return K.Model([x, y], [L.Dense(2, activation="softmax", name="klass")(L.Concatenate()([a, b])), a])


def dict_outputs():
    x = K.Input((6,))
    return K.Model(x, {"zeta": L.Dense(5)(x), "alpha": L.Dense(3)(x)})


def dict_inputs():
    x, y = K.Input((6,), name="zeta"), K.Input((4,), name="alpha")
    return K.Model({"zeta": x, "alpha": y}, L.Subtract()([L.Dense(3)(x), L.Dense(3)(y)]))


def late_sequential_inside():
    inner = K.Sequential([L.Dense(5, activation="relu"), L.BatchNormalization()], name="late")
    x = K.Input((4, 6))
    return K.Model(x, inner(L.LayerNormalization()(x)))


def an_input_is_an_output():
    x = K.Input((6,))
    return K.Model(x, [x, L.Dense(3)(x)])


def the_same_output_twice():
    x = K.Input((6,))
    y = L.Dense(3)(x)
    return K.Model(x, [y, L.ReLU()(y), y])


def structures():
    """Lists inside dictionaries, whose keys are not in order, on both sides."""
    q = [K.Input((7,), name="i1"), K.Input((6,), name="i2")]
    c = K.Input((5,), name="i0")
    y = L.Concatenate()([q[0], c, q[1]])
    return K.Model({"q": q, "c": c}, {"p": [L.Dense(2)(y), c], "a": {"z": L.Dense(3)(y), "b": y}})


def every_layer_an_output():
    """The usual way to look inside a model."""
    m = sequential_with_input()
    return K.Model(m.inputs, [l.output for l in m.layers])


def deeply_nested():
    m = K.Sequential([K.Input((5,)), L.Dense(5, activation="tanh")])
    for i in range(4):
        x = K.Input((5,))
        m = K.Model(x, L.Add()([x, L.Dense(5)(m(x))]), name=f"level{i}")
    return m


def operations():
    x = K.Input((6, 5))
    y = (x * 2 + 1) / 3.5 - 0.25
    y = 1.0 - y
    y = K.ops.relu(y) + K.ops.relu6(y * 4) * K.ops.sigmoid(x) + K.ops.silu(x) - K.ops.tanh(y)
    z = K.ops.maximum(y, x) + K.ops.minimum(y, 0.5) + K.ops.square(x) + 2.0 / (K.ops.absolute(x) + 1)
    z = z * K.ops.hard_silu(y) + K.ops.gelu(y) + K.ops.gelu(y, approximate=False) + K.ops.elu(x, 0.5)
    z = z + K.ops.leaky_relu(x, 0.1) + K.ops.softmax(y) + K.ops.log_softmax(y, axis=1) - x ** 2
    return K.Model(x, [z, K.ops.mean(z, axis=1), K.ops.max(z, axis=[1, 2], keepdims=True),
                       K.ops.sum(z, axis=-1)])


def residual_tower():
    """What the passes rewrite: padding, normalisation, activation and sums around convolutions."""
    x = K.Input((17, 15, 5))
    y = L.ZeroPadding2D(3)(x)
    y = L.ReLU()(L.BatchNormalization()(L.Conv2D(7, 7, strides=2)(y)))
    y = L.MaxPooling2D(3, strides=2)(L.ZeroPadding2D(1)(y))
    for filters in (7, 17):
        s = L.BatchNormalization()(L.Conv2D(filters, 1)(y))
        z = L.Activation("relu")(L.BatchNormalization()(L.Conv2D(filters, 3, padding="same")(y)))
        z = L.BatchNormalization()(L.DepthwiseConv2D(3, padding="same", use_bias=False)(z))
        y = L.Activation("relu")(L.Add()([s, z]))
    seen = L.Conv2D(7, 1)(y)
    return K.Model(x, [L.Dense(3)(L.GlobalAveragePooling2D()(L.ReLU()(seen))), seen])


def preactivation_tower():
    x = K.Input((13, 12, 5))
    y = L.Conv2D(7, 3)(x)
    for i in range(2):
        z = L.Activation("relu")(L.BatchNormalization()(y))
        z = L.Conv2D(7, 3, padding="same")(z)
        y = L.Concatenate()([y, z])
    y = L.AveragePooling2D(2)(L.BatchNormalization()(y))
    return K.Model(x, L.Dense(4)(L.BatchNormalization()(L.Dense(5, use_bias=False)(L.Flatten()(y)))))


def squeeze_and_excite():
    x = K.Input((9, 9, 16))
    s = L.GlobalAveragePooling2D(keepdims=True)(x)
    s = L.Activation("hard_sigmoid")(L.Conv2D(16, 1)(L.Conv2D(4, 1, activation="relu")(s)))
    return K.Model(x, L.Multiply()([x, s]))


MODELS = [sequential_with_input, sequential_built_late, sequential_of_models, model_first,
          called_with_training_false, shared_layer, shared_model, nested_many_outputs,
          several_outputs, dict_outputs, dict_inputs, structures, every_layer_an_output,
          late_sequential_inside, an_input_is_an_output, the_same_output_twice,
          deeply_nested, operations, residual_tower, preactivation_tower, squeeze_and_excite]


@pytest.mark.parametrize("make", MODELS, ids=lambda f: f.__name__)
def test_model(make, tmp_path):
    keras.utils.clear_session()
    model = randomise(make())
    inputs = [data((BATCH,) + tuple(t.shape[1:]), seed=7 + i) for i, t in enumerate(model.inputs)]
    # Keras cannot write operations without a layer to .h5 and read them back.
    compare(model, inputs, tmp_path, formats=("keras",) if make is operations else ("keras", "h5"))


def test_open_sizes(tmp_path):
    """One file, several image sizes."""
    x = K.Input((None, None, 5))
    y = L.Conv2D(7, 3, strides=2, padding="same")(x)
    y = L.MaxPooling2D(3, 2, padding="same")(L.ReLU()(L.BatchNormalization()(y)))
    model = randomise(K.Model(x, [y, L.GlobalAveragePooling2D()(L.UpSampling2D(2)(y))]))
    for size in ((9, 8), (16, 11)):
        compare(model, [data((BATCH,) + size + (5,))], tmp_path, formats=("keras",))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_half_policies_compute_in_float32(policy, tmp_path):
    """Better than Keras' own half arithmetic: held to the float32 twin, then rounded."""
    def make(p):
        keras.config.set_dtype_policy(p)
        try:
            x = K.Input((9, 8, 5), dtype="float32")
            y = L.ReLU()(L.BatchNormalization()(L.Conv2D(7, 3)(x)))
            return K.Model(x, [L.Dense(3, dtype="float32")(L.GlobalAveragePooling2D()(y)), y])
        finally:
            keras.config.set_dtype_policy("float32")

    half, full = randomise(make(policy)), make("float32")
    full.set_weights([w.astype("float32") for w in half.get_weights()])
    x = data((BATCH, 9, 8, 5))
    want = [np.asarray(t) for t in full(x)]
    path = tmp_path / "m.keras"
    half.save(path)
    for backend in BACKENDS:
        got = execute(path, [x], tmp_path, backend)
        assert got[0].dtype == "float32" and distance(got[0], want[0]) < 1e-5
        # NumPy has no bfloat16: such outputs stay as they were computed.
        assert got[1].dtype == ("float32" if policy == "mixed_bfloat16" else "float16")
        assert distance(got[1].astype("float32"), want[1]) < 1e-3


def test_hard_sigmoid_of_old_files(tmp_path):
    """The formula changed with Keras 3: a file of Keras 2 keeps the old one."""
    import h5py

    x = K.Input((17,))
    model = K.Model(x, L.Activation("hard_sigmoid")(x))
    path = tmp_path / "old.h5"
    model.save(path)
    with h5py.File(path, "r+") as f:
        f.attrs["keras_version"] = "2.9.0"
    a = data((BATCH, 17))
    got = execute(path, [a], tmp_path, "ref")
    assert distance(got[0], np.clip(0.2 * a + 0.5, 0, 1)) < 1e-6


@pytest.mark.parametrize("function, second, value", [
    ("math.multiply", 0.25, lambda x: x * 0.25), ("__operators__.add", 3.0, lambda x: x + 3),
    ("math.truediv", 0.7, lambda x: x / 0.7),
    ("math.subtract", ["dense", 0, 0], lambda x: x - x / 2), ("nn.relu", None, lambda x: x.clip(0))])
def test_functions_of_tensorflow_in_old_files(function, second, value, tmp_path):
    """Keras 2 stored TensorFlow's functions as layers; Keras 3 cannot read them any more."""
    import h5py

    x = K.Input((6,))
    y = L.Rescaling(2, name="twice")(L.Dense(5, name="dense")(x))
    model = randomise(K.Model(x, L.Identity(name="here")(y)))
    path = tmp_path / "old.h5"
    model.save(path)
    with h5py.File(path, "r+") as f:
        config = json.loads(f.attrs["model_config"])
        entry = next(l for l in config["config"]["layers"] if l["config"]["name"] == "here")
        kwargs = {"name": None} if second is None else {"y": second, "name": None}
        entry.clear()
        entry.update(class_name="TFOpLambda", name="here", inbound_nodes=[["twice", 0, 0, kwargs]],
                     config=dict(name="here", trainable=True, dtype="float32", function=function))
        f.attrs["model_config"] = json.dumps(config)
    a = data((BATCH, 6))
    want = value(np.asarray(model(a)))
    assert distance(execute(path, [a], tmp_path, "ref")[0], want) < 1e-6


# ---- what is refused ----

@keras.saving.register_keras_serializable("mine")
class Mine(L.Layer):
    def call(self, x):
        return x * 2


def refusal(model, tmp_path, shape=(6,)):
    path = tmp_path / "m.keras"
    model.save(path)
    with pytest.raises(RuntimeError) as e:
        execute(path, [data((BATCH,) + shape)], tmp_path, "ref")
    text = str(e.value)
    assert "EMODEL" in text
    return text


def one(layer, shape=(6,)):
    x = K.Input(shape)
    return K.Model(x, layer(x))


@pytest.mark.parametrize("layer, shape, words", [
    (lambda x: L.Lambda(lambda t: t * 2, name="double")(x), (6,), ["double", "Lambda", "Python"]),
    (lambda x: Mine(name="my_layer")(x), (6,), ["my_layer", "Mine", "custom"]),
    (lambda x: L.Dropout(0.5, name="mc")(x, training=True), (6,), ["mc", "Dropout", "training"]),
    (lambda x: L.BatchNormalization(name="bn")(x, training=True), (6,), ["bn", "training"]),
    (lambda x: L.Dense(3, activation=lambda t: t * 2, name="own")(x), (6,), ["own", "Dense", "lambda"]),
])
def test_refused_by_name(layer, shape, words, tmp_path):
    text = refusal(one(layer, shape), tmp_path, shape)
    for w in words:
        assert w in text, text


def test_refused_inside_a_nested_model(tmp_path):
    inner = K.Sequential([K.Input((6, 5)), L.Lambda(lambda x: x, name="own")], name="inner")
    text = refusal(one(lambda x: inner(x), (6, 5)), tmp_path, (6, 5))
    assert "inner/own" in text and "Lambda" in text


def test_random_layer_in_a_model_called_for_training(tmp_path):
    inner = K.Sequential([K.Input((6,)), L.Dense(5), L.Dropout(0.5, name="drop")], name="inner")
    text = refusal(one(lambda x: inner(x, training=True)), tmp_path)
    assert "drop" in text and "training" in text


def edit_config(path, change):
    import zipfile
    with zipfile.ZipFile(path) as z:
        parts = {n: z.read(n) for n in z.namelist()}
    config = json.loads(parts["config.json"])
    change(config)
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as z:
        for n, b in parts.items():
            z.writestr(n, b)


@pytest.mark.parametrize("key, value", [
    ("filters", 0), ("filters", -1), ("filters", 1 << 40), ("kernel_size", [0, 3]),
    ("strides", [0, 1]), ("dilation_rate", [-1, 1]), ("groups", 0), ("groups", 2),
    ("padding", "causal"), ("padding", 7), ("data_format", "sideways"), ("use_bias", "yes"),
    ("activation", "threshold"), ("activation", {"class_name": "os", "config": "system"}),
    ("activation", {"class_name": 3}), ("kernel_size", [3, 3, 3]), ("filters", 6),
    ("kernel_size", [1 << 33, 3])])
def test_bad_configurations_are_refused(key, value, tmp_path):
    model = one(L.Conv2D(7, 3, name="conv"), (9, 8, 5))
    path = tmp_path / "m.keras"
    model.save(path)

    def change(config):
        config["config"]["layers"][1]["config"][key] = value

    edit_config(path, change)
    with pytest.raises(RuntimeError) as e:
        execute(path, [data((1, 9, 8, 5))], tmp_path, "ref")
    assert "conv" in str(e.value)

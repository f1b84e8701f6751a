"""The reader of Keras files against the real Keras: trees and every weight of whole applications.

Needs a Python with Keras; KP_BUILD_DIR names the build whose tests/keras_dump is run.
"""

import os
import subprocess
import zlib

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
np = pytest.importorskip("numpy")
keras = pytest.importorskip("keras")
from keras import layers  # noqa: E402

DUMP = os.path.join(os.environ.get("KP_BUILD_DIR", "build"), "tests", "keras_dump")
MODELS = (keras.Sequential, keras.Model)


def fill(model):
    """Weights that differ from each other and from what a layer starts with."""
    rng = np.random.default_rng(7)
    for v in model.variables:
        if "seed_generator" in v.path:
            continue
        v.assign(rng.normal(0.5, 0.3, v.shape).astype("float32"))
    return model


PARTS = ("cell", "forward_layer", "backward_layer", "layer", "query_dense", "key_dense",
         "value_dense", "output_dense", "activation")


def own_weights(layer, sub=""):
    """(place below the layer, number, variable) of a layer and its wrapped parts, no models."""
    variables = layer._trainable_variables + layer._non_trainable_variables
    for i, v in enumerate(variables):
        yield sub, i, v
    for part in PARTS:
        inner = layer.__dict__.get(part) or layer.__dict__.get("_" + part)
        if isinstance(inner, keras.Layer) and not isinstance(inner, MODELS):
            yield from own_weights(inner, f"{sub}/{part}" if sub else part)
    for i, cell in enumerate(getattr(layer, "cells", [])):
        yield from own_weights(cell, f"{sub}/cells/lstm_cell" + (f"_{i}" if i else ""))


def walk(model, prefix=""):
    """(path, sub, index, variable) of everything in a model."""
    for layer in model.layers:
        path = prefix + layer.name
        if isinstance(layer, MODELS):
            yield from walk(layer, path + "/")
        else:
            for sub, i, v in own_weights(layer):
                yield path, sub, i, v


def dump(path, *args, stdin=""):
    r = subprocess.run([DUMP, path, *args], input=stdin, capture_output=True, text=True)
    assert r.returncode in (0, 1) and r.stderr == "", r.stderr
    return r.stdout


def check(model, path):
    model.save(path)
    expected, queries = [], []
    for where, sub, i, v in walk(model):
        a = np.ascontiguousarray(v.numpy() if v.dtype != "bfloat16" else
                                 np.asarray(v.value).view("uint16"))
        shape = "(" + ", ".join(map(str, v.shape)) + (",)" if len(v.shape) == 1 else ")")
        queries.append(f"{where}\t{sub}\t{i}\t{v.name}")
        expected.append((queries[-1], v.dtype, shape, "%08x" % zlib.crc32(a.tobytes())))
    got = dump(path, "--weights", stdin="\n".join(queries)).splitlines()
    got = [("\t".join(f[:4]), f[4], f[5], f[6]) if len(f := line.split("\t")) > 6 else line
           for line in got]
    assert got == expected


def test_parts_of_layers(tmp_path):
    """Layers whose parts are layers; an .h5 of these is matched by order only."""
    check(fill(layer_as_activation()), str(tmp_path / "m.keras"))


def calls(model):
    return sum(len(op._inbound_nodes) for op in model.operations)


def mixed():
    """Branches, a shared layer, nested models, operations, several inputs and outputs."""
    a, b = keras.Input((12, 10, 3), name="a"), keras.Input((7,), name="b")
    conv = layers.Conv2D(5, 3, name="shared_conv")
    x = layers.concatenate([conv(a), conv(a[:, :, ::-1])])
    inner_in = keras.Input((None, None, 10))
    y = layers.DepthwiseConv2D(3, depth_multiplier=2)(inner_in)
    y = layers.BatchNormalization()(y)
    y = layers.SeparableConv2D(7, 3, name="sep")(y)
    inner = keras.Model(inner_in, [y, layers.Conv2D(7, 5)(inner_in)], name="inner")
    u, v = inner(x)
    head = keras.Sequential([layers.GlobalAveragePooling2D(), layers.Dense(5, name="d"),
                             layers.BatchNormalization(), layers.Dense(4, name="d2")], name="head")
    z = layers.Dense(4, name="dense_b")(layers.LayerNormalization()(b))
    z = keras.ops.maximum(z, 0.25) * 3.0
    return keras.Model({"b": b, "a": a}, {"two": head(u + v), "one": z})


def sequence():
    i = keras.Input((11, 6))
    x = layers.Bidirectional(layers.LSTM(5, return_sequences=True))(i)
    x = layers.MultiHeadAttention(2, 3, name="mha")(x, x)
    x = layers.TimeDistributed(layers.Dense(7))(x)
    x = layers.GRU(4)(x)
    return keras.Model(i, layers.Dense(3)(x))


def frozen():
    """A frozen sublayer moves variables in the order of an .h5's list."""
    m = mixed()
    m.get_layer("inner").layers[1].trainable = False
    m.get_layer("head").trainable = False
    return m


def same_object():
    """One layer in two nested models: stored once, used twice."""
    common, seven = layers.Dense(6, name="common"), keras.Input((6,))
    one = keras.Sequential([keras.Input((6,)), layers.Dense(6, name="d"), common], name="one")
    two = keras.Model(seven, common(layers.Dense(6, name="d", use_bias=False)(seven)), name="two")
    i = keras.Input((6,))
    return keras.Model(i, one(i) + two(i))


def twice_nested():
    """A nested Functional and a nested Sequential, both called twice; the Functional is an output."""
    a, b = keras.Input((5,), name="a"), keras.Input((5,), name="b")
    i = keras.Input((5,))
    inner = keras.Model(i, [layers.Dense(5)(i), layers.Dense(3)(i)], name="inner")
    seq = keras.Sequential([keras.Input((5,)), layers.Dense(5)], name="seq")
    x, _ = inner(seq(b))
    y, z = inner(seq(a))
    return keras.Model([a, b], [z, x + y])


def layer_as_activation():
    i = keras.Input((9, 4))
    x = layers.Conv1D(5, 3, activation=layers.PReLU(shared_axes=[1]), name="c")(i)
    x = layers.SpectralNormalization(layers.Dense(3), name="sn")(x)
    return keras.Model(i, layers.RNN([layers.LSTMCell(4), layers.LSTMCell(3)], name="r")(x))


MADE = {"mixed": mixed, "sequence": sequence, "frozen": frozen, "same_object": same_object,
        "twice_nested": twice_nested}
APPS = ["MobileNetV2", "ResNet50", "EfficientNetB0", "MobileNetV3Small", "DenseNet121"]


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("name", sorted(MADE) + APPS)
def test_every_weight(name, ending, tmp_path):
    keras.backend.clear_session(free_memory=False)
    if name in MADE:
        model = MADE[name]()
    else:
        model = getattr(keras.applications, name)(weights=None, input_shape=(96, 96, 3))
    check(fill(model), str(tmp_path / ("m" + ending)))


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("name", ["MobileNetV2", "DenseNet121"])
def test_application_inside_a_model(name, ending, tmp_path):
    """Transfer learning: a frozen base, called with training=False."""
    keras.backend.clear_session(free_memory=False)
    base = getattr(keras.applications, name)(weights=None, include_top=False,
                                             input_shape=(64, 64, 3))
    base.trainable = name == "DenseNet121"
    i = keras.Input((64, 64, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(layers.RandomFlip()(i))
    x = layers.GlobalAveragePooling2D()(base(x, training=False))
    model = keras.Model(i, layers.Dense(5)(layers.Dropout(0.3)(x)))
    check(fill(model), str(tmp_path / ("m" + ending)))


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("name", sorted(MADE))
def test_tree(name, ending, tmp_path):
    """Each layer is there, each call once, each reference to a call before it."""
    keras.backend.clear_session(free_memory=False)
    model = MADE[name]()
    path = str(tmp_path / ("m" + ending))
    model.save(path)
    text = dump(path)
    top = text.split("\nmodel ")[1].splitlines()
    got = [line.split()[1:3] for line in top if line.startswith("  layer ")]
    assert got == [[op.name, type(op).__name__] for op in model.operations]
    lines = [line for line in top if line.startswith("  #")]
    assert len(lines) == calls(model)
    for number, line in enumerate(lines):
        refs = [int(w.split(".")[0]) for w in line.split("#")[2:]]
        assert all(r < number for r in refs)


@pytest.mark.parametrize("policy", ["mixed_float16", "float16", "mixed_bfloat16", "bfloat16",
                                    "float64"])
def test_types(policy, tmp_path):
    keras.backend.clear_session(free_memory=False)
    i = keras.Input((9, 5))
    x = layers.Conv1D(7, 3, dtype=policy)(i)
    model = keras.Model(i, layers.Dense(3, dtype=policy)(x))
    check(fill(model), str(tmp_path / "m.keras"))
    compute = policy.replace("mixed_", "")
    variable = "float32" if policy.startswith("mixed_") else policy
    assert f" Conv1D {compute} {variable}" in dump(str(tmp_path / "m.keras"))

"""The text of the model: JSON that is none or too much, wrong types in every field, graphs that
cannot be."""

import copy
import json

from kit import (entry, find, h5_case, keras_case, keras_file, layer, legacy, legacy_config, model,
                 net, ref, store, text)


def config_case(name, make, *words, expect="refused"):
    """make() -> the config or its bytes."""
    return keras_case(name, lambda: keras_file(make()), *words, expect=expect)


# ---- JSON ----

def raw(key, value):
    """The sound text with one value replaced by text that json.dumps would not write."""
    config = net()
    find(config, "d1")["config"][key] = "@@"
    return text(config).replace(b'"@@"', value)


def json_texts():
    for name, data in {
        "empty-object": b"{}", "list": b"[]", "number": b"1", "null": b"null", "string": b'"x"',
        "cut": text(net())[:-100], "tail": text(net()) + b"}", "comma": text(net())[:-1] + b",}",
        "single-quotes": text(net()).replace(b'"', b"'"), "utf16": text(net()).decode().encode("utf-16"),
        "latin1": raw("units", b'"\xe9"'), "deep-lists": raw("units", b"[" * 100000),
        "deep-objects": raw("units", b'{"a":' * 100000),
        "deep-closed": raw("units", b"[" * 50000 + b"]" * 50000),
        "many-values": raw("units", b"[" + b"0," * 7000000 + b"0]"),
        "long-text": raw("units", b'"' + b"x" * (70 << 20) + b'"'),
        "long-key": raw("units", b'{"' + b"k" * 5000000 + b'": 1}'),
        "long-number": raw("units", b"1" * 1000000), "large-exponent": raw("units", b"1e999999999"),
        "nan": raw("units", b"NaN"), "infinity": raw("units", b"Infinity"),
        "minus-infinity": raw("units", b"-Infinity"), "hex": raw("units", b"0x4"),
        "surrogate": raw("units", b'"\\ud800"'), "nul": raw("units", b'"\\u0000"'),
        "escape": raw("units", b'"\\q"'), "twice": raw("units", b'4, "units": 5'),
        "control": raw("units", b'"\x01"'),
    }.items():
        yield config_case(f"json-{name}", lambda d=data: d,
                          "config.json", "d1", "class_name", "JSON")


# ---- wrong types and values ----

ODD = [None, True, -1, 0, 2.5, 1e30, 2**31, 2**63 - 1, -2**63, "x", "", [], {}, [[]], [1] * 9,
       {"class_name": "Nope", "config": {}}]
MUST = {  # values that no reading of the field allows
    "c1": {"filters": [-1, 0, 2.5, 2**31, "x", [], {}], "kernel_size": [0, [], "x", [3, 0],
           [3, 3, 3], [2**31, 1], {}], "strides": [0, -1, "x", [1, 2, 3]],
           "padding": ["x", 1, [], "full"], "dilation_rate": [0, -1, "x"],
           "groups": [0, -1, 2, "x", 2**40], "data_format": ["x", 1, []],
           "activation": ["x", 7, [], {"class_name": "Nope", "config": {}}],
           "use_bias": [False, "x", []], "dtype": ["x", 7, [], "complex64"]},
    "n1": {"axis": [7, -9, "x", [], [9], 1.5, {}], "epsilon": ["x", [], {}],
           "center": ["x", False, []], "scale": ["x", False]},
    "f": {"data_format": ["x", 7]},
    "d1": {"units": [-1, 0, 3, 5, 2**31, 2**63 - 1, "x", "4", 2.5, [], {}, [4]],
           "activation": ["x", ["relu"]], "use_bias": [False, "no", 7]},
    "x": {"batch_shape": [[], [None], [None, 6, 5], [None, 6, 5, "x"], [None, 6, 5, -3], 7, "x", {},
                          [None] * 20, [None, 6, 5, 2**40], [None, 2**31, 2**31, 2**31]],
          "dtype": ["x", 7, []]},
}


def fields():
    for name, keys in MUST.items():
        for key, values in keys.items():
            for i, value in enumerate(values):
                def make(name=name, key=key, value=value):
                    config = net()
                    find(config, name)["config"][key] = value
                    return config
                yield config_case(f"{name}-{key}-{i}", make, name, "c1", "d1", "d2", "f")
    sound = net()
    for e in sound["config"]["layers"]:
        for key in e["config"]:
            for i, value in enumerate(ODD):
                def odd(name=e["name"], key=key, value=value):
                    config = net()
                    find(config, name)["config"][key] = value
                    return config
                yield config_case(f"odd-{e['name']}-{key}-{i}", odd, expect="survives")
        for key in e:
            for i, value in enumerate(ODD):
                def wrong(name=e["name"], key=key, value=value):
                    config = net()
                    find(config, name)[key] = value
                    return config
                yield config_case(f"entry-{e['name']}-{key}-{i}", wrong, expect="survives")
    for key in ("module", "class_name", "config", "registered_name"):
        for i, value in enumerate(ODD):
            yield config_case(f"top-{key}-{i}", lambda k=key, v=value: {**net(), k: v},
                              expect="survives")
    for key in sound["config"]:
        for i, value in enumerate(ODD):
            yield config_case(
                f"model-{key}-{i}",
                lambda k=key, v=value: {**net(), "config": {**net()["config"], k: v}},
                expect="survives")


# ---- graphs ----

def changed(change):
    def make():
        config = net()
        change(config)
        return config
    return make


def set_ref(name, *target):
    return changed(lambda c: find(c, name).update(
        inbound_nodes=[{"args": [ref(*target)], "kwargs": {}}]))


def nested_twice(levels):
    """A model that calls the model below it twice: 2 ** levels calls of the innermost layer."""
    inner = model([entry(shape=(None, 4)), layer("ReLU", "r", ["x"])], name="m0")
    for i in range(1, levels):
        call = {"args": [ref("x")], "kwargs": {}}
        again = {"args": [ref(f"m{i - 1}", 0)], "kwargs": {}}
        entry_of = {**inner, "name": f"m{i - 1}", "inbound_nodes": [call, again]}
        inner = model([entry(shape=(None, 4)), entry_of], name=f"m{i}",
                      outputs=[f"m{i - 1}", 1, 0])
    return inner


def nested_deep(levels):
    inner = model([entry(shape=(None, 4)), layer("ReLU", "r", ["x"])], name="m0")
    for i in range(1, levels):
        inner = model([entry(shape=(None, 4)),
                       {**inner, "name": f"m{i - 1}",
                        "inbound_nodes": [{"args": [ref("x")], "kwargs": {}}]}], name=f"m{i}")
    return inner


def chain(cls, n, shape, **config):
    layers = [entry(shape=shape)]
    for i in range(n):
        layers.append(layer(cls, f"l{i}", [layers[-1]["name"]], **config))
    return model(layers)


def doubling(n):
    layers = [entry(shape=(None, 1024))]
    for i in range(n):
        last = layers[-1]["name"]
        layers.append(layer("Concatenate", f"l{i}", [last, last], axis=-1))
    return model(layers)


def only(cls, shape, **config):
    return lambda: model([entry(shape=shape), layer(cls, "only", ["x"], **config)])


def pair(cls, module, shapes, other, **settings):
    """An operation on the input "a" and on something else; the input "b" is there to be named."""
    config = model([entry("a", shapes[0]), entry("b", shapes[1]),
                    layer(cls, "only", ["a"], module=module, **settings)],
                   inputs=[["a", 0, 0], ["b", 0, 0]])
    find(config, "only")["inbound_nodes"][0]["args"].append(other)
    return config


def distance(y):
    return pair("CDist", "keras.src.ops.math", [(None, 4, 6), (None, 3, 8)], y)


def similarity(rows):
    """To images that the file holds: so many rows for a batch of any size."""
    images = {"class_name": "__numpy__", "config": {"value": [[[[0.5]] * 11] * 11] * rows, "dtype": "float32"}}
    return pair("SSIM", "keras.src.ops.image", [(None, 11, 11, 1)] * 2, images, max_val=1.0)


def graphs():
    yield config_case("self-loop", set_ref("d1", "d1"), "d1")
    yield config_case("cycle", set_ref("c1", "d1"), "c1", "d1", "n1", "f")
    yield config_case("unknown-ref", set_ref("d1", "nope"), "d1", "nope")
    yield config_case("nul-ref", set_ref("d1", "f\0"), "d1", "f")
    # A layer that is called once needs no index: versions count differently.
    for i, node in enumerate([1, -1, 2**31, 2**63 - 1]):
        yield config_case(f"node-{i}", set_ref("d1", "f", node, 0), expect="same")
    for i, target in enumerate([("f", 0, 1), ("f", 0, -1), ("f", 0, 2**63 - 1), ("f", "0", 0),
                                ("f", None, 0), ("f", 0.5, 0), (7, 0, 0), (None, 0, 0), ([], 0, 0)]):
        yield config_case(f"ref-{i}", set_ref("d1", *target), "d1", "f")
    for i, nodes in enumerate([[], [5], ["x"], [None], [{}], [{"args": 5}], [{"args": [], "kwargs": []}],
                               [{"args": [], "kwargs": {}}], [[[]]], [[["f", 0]]], {"args": []}, "f", 7,
                               [{"args": [ref("f")] * 2, "kwargs": {}}],
                               [{"args": [[ref("f")] * 5000], "kwargs": {}}]]):
        yield config_case(f"nodes-{i}", changed(
            lambda c, n=nodes: find(c, "d1").update(inbound_nodes=n)), "d1")
    deep = [ref("f")]
    for _ in range(200):
        deep = [deep]
    yield config_case("deep-args", changed(
        lambda c: find(c, "d1").update(inbound_nodes=[{"args": deep, "kwargs": {}}])), "d1",
        "config.json", expect="either")
    yield config_case("same-names", changed(
        lambda c: (find(c, "d2").update(name="d1"), c["config"].update(
            output_layers=["d1", 0, 0]))), "d1")
    yield config_case("same-entries", changed(
        lambda c: c["config"]["layers"].append(copy.deepcopy(find(c, "d1")))), "d1")
    for key in ("input_layers", "output_layers"):
        for i, value in enumerate([["nope", 0, 0], [["d2", 0, 0]] * 300, [], {}, "x", 7, None, ["d2"],
                                   ["d2", 0, 3], [["d2", 0, 0], 5], ["d2", 1, 0], ["d2", -1, 0]]):
            sense = key == "output_layers" and i in (1, 10, 11)
            yield config_case(f"{key}-{i}", changed(
                lambda c, k=key, v=value: c["config"].update({k: v})), key, "net", "d2", "nope",
                "output", "input", expect="survives" if sense else "refused")
    yield config_case("input-is-dense", changed(
        lambda c: c["config"].update(input_layers=["d1", 0, 0])), "d1")
    for i, value in enumerate([None, 7, "x", {}, [], [None], [7], ["x"], [[]], [{}], [net()] * 3]):
        yield config_case(f"layers-{i}", changed(lambda c, v=value: c["config"].update(layers=v)),
                          "layers", "net", "layer")
    yield config_case("no-config", changed(lambda c: c.pop("config")), "config", "Functional")
    yield config_case("calls-2-40", lambda: nested_twice(40), "models inside each other")
    yield config_case("calls-2-20", lambda: nested_twice(20), "m", "nested")
    yield config_case("models-100-deep", lambda: nested_deep(100), "m", "models")
    yield config_case("chain-20000", lambda: chain("ReLU", 20000, (None, 4)),
                      "of a layer", "layers", "conv2d", "l")
    yield config_case("concat-2-50", lambda: doubling(50), "l")
    yield config_case("upsampling", lambda: chain("UpSampling2D", 40, (None, 4, 4, 1), size=[2, 2],
                                                  interpolation="nearest"), "l")
    for name, make in {
        "pad": only("ZeroPadding2D", (None, 4, 4, 1), padding=[[2**31, 1], [1, 1]]),
        "pad-both": only("ZeroPadding2D", (None, 4, 4, 1), padding=[[2**30, 2**30]] * 2),
        "repeat": only("RepeatVector", (None, 4), n=2**31),
        "repeat-less": only("RepeatVector", (None, 4), n=-1),
        "reshape": only("Reshape", (None, 4), target_shape=[2**40, -1]),
        "reshape-two": only("Reshape", (None, 4), target_shape=[-1, -1]),
        "reshape-0": only("Reshape", (None, 4), target_shape=[0, -1]),
        "reshape-short": only("Reshape", (None, 4), target_shape=[3]),
        "permute": only("Permute", (None, 4, 5), dims=[1, 1]),
        "permute-0": only("Permute", (None, 4, 5), dims=[0, 1]),
        "crop": only("Cropping1D", (None, 4, 5), cropping=[3, 3]),
        "pool": only("MaxPooling2D", (None, 4, 4, 1), pool_size=[5, 5], padding="valid"),
        "pool-0": only("AveragePooling2D", (None, 4, 4, 1), pool_size=[0, 1]),
        "conv-rank": only("Conv1D", (None, 4, 4, 1), filters=2, kernel_size=[3]),
        "conv-small": only("Conv2D", (None, 4, 4, 1), filters=2, kernel_size=[5, 5], padding="valid"),
        "upsampling-0": only("UpSampling1D", (None, 4, 5), size=0),
        "resizing": only("Resizing", (None, 4, 4, 3), height=2**40, width=2**40),
        "resizing-0": only("Resizing", (None, 4, 4, 3), height=0, width=5),
        "embedding": only("Embedding", (None, 4), input_dim=2**40, output_dim=2**40),
        "lstm": only("LSTM", (None, 4, 5), units=2**40),
        # as Keras 2.0.9 wrote cells
        "rnn-nothing": only("RNN", (None, 4, 5), cell={"class_name": "LSTMCell", "config": {"name": "c"}}),
        "softmax": only("Softmax", (None, 4), axis=9),
        "time": only("TimeDistributed", (None, 4, 5), layer=None),
        "time-self": only("TimeDistributed", (None, 4, 5), layer={"class_name": "TimeDistributed",
                                                                   "config": {"name": "t"}}),
        "bidirectional": only("Bidirectional", (None, 4, 5), layer={"class_name": "Dense",
                                                                     "config": {"units": 4}}),
        "einsum": only("EinsumDense", (None, 4, 5), equation="ab,cd->ef", output_shape=[4]),
        "einsum-long": only("EinsumDense", (None, 4, 5), equation="a" * 100000, output_shape=[4]),
        "attention": only("MultiHeadAttention", (None, 4, 5), num_heads=2**40, key_dim=2**40),
        "groups": only("GroupNormalization", (None, 4, 5), groups=0),
        "unknown": only("NoSuchLayer", (None, 4)),
        "lambda-less": only("Lambda", (None, 4)),
    }.items():
        yield config_case(f"layer-{name}", make, "only")
    for name, inputs in {"add-shapes": [(None, 4), (None, 5)], "add-ranks": [(None, 4, 5), (None, 3)],
                         "concat-rank": [(None, 4, 5), (None, 3)]}.items():
        cls = "Concatenate" if name.startswith("concat") else "Add"
        yield config_case(name, lambda s=inputs, c=cls: model(
            [entry("a", s[0]), entry("b", s[1]), layer(c, "only", ["a", "b"])],
            inputs=[["a", 0, 0], ["b", 0, 0]]), "only")
    for i, y in enumerate([0.5, "NaN", None, [], ref("b")]):
        yield config_case(f"distance-{i}", lambda v=y: distance(v), "only")
    for rows in (1, 2, 40):
        yield config_case(f"similarity-{rows}", lambda n=rows: similarity(n), "only")


# ---- the same in a legacy file ----

def legacy_texts():
    for name, value in {"not-json": "hello", "deep": "[" * 100000, "empty": "", "list": "[]",
                        "null": "null"}.items():
        yield h5_case(f"config-{name}", lambda v=value: legacy(v), "config")
    for name, make in {"cycle": set_ref("c1", "d1"), "unknown": set_ref("d1", "nope")}.items():
        yield h5_case(f"legacy-{name}", lambda m=make: legacy(legacy_config(m())), "c1", "d1", "n1",
                      "f")
    for i, nodes in enumerate([[5], [[5]], [[["f"]]], [[["f", 0, 7, {}]]], [[["g", 0, 0, {}]]], "f"]):
        def make(n=nodes):
            config = legacy_config(net())
            find(config, "d1")["inbound_nodes"] = n
            return legacy(config)
        yield h5_case(f"legacy-nodes-{i}", make, "d1", "f")
    for i, value in enumerate([-1, 0, 5, "x", 2**40, None, [], 2.5]):
        def units(v=value):
            config = legacy_config(net())
            find(config, "d1")["config"]["units"] = v
            return legacy(config)
        yield h5_case(f"legacy-units-{i}", units, "d1")


def cases():
    for part in (json_texts, fields, graphs, legacy_texts):
        yield from part()

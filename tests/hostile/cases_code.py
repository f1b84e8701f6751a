"""Files that want to run code or read what is not theirs: what has been tried on Keras' loader."""

import base64
import io
import marshal
import pickle

import numpy as np

from kit import (archive, entry, find, h5_case, keras_case, keras_file, layer, legacy, legacy_config,
                 members, model, net, ref, store)

CODE = base64.b64encode(marshal.dumps((lambda x: __import__("os").system("id")).__code__)).decode()
LAMBDA = {"class_name": "__lambda__", "config": {"code": CODE, "defaults": None, "closure": None}}


def function(module, name):
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


class Evil:
    def __reduce__(self):
        import os
        return os.system, ("id",)


PICKLE = pickle.dumps(Evil(), 2)


def with_layer(*args, **kw):
    return lambda: model([entry(shape=(None, 4)), layer(*args, **kw)])


def config_case(name, make, *words, expect="refused"):
    return keras_case(name, lambda: keras_file(make()), *words, expect=expect)


def set_field(name, key, value):
    def make():
        config = net()
        find(config, name)["config"][key] = value
        return config
    return make


def code_layers():
    for name, fn in {"code": LAMBDA, "list": [CODE, None, None], "text": CODE,
                     "system": function("os", "system"), "none": None,
                     "enable": function("keras.config", "enable_unsafe_deserialization")}.items():
        yield config_case(f"lambda-{name}", with_layer("Lambda", "evil", ["x"], function=fn), "evil")
    inner = {"module": "keras.layers", "class_name": "Lambda", "registered_name": None,
             "config": {"name": "evil", "function": LAMBDA}}
    for cls in ("TimeDistributed", "Bidirectional", "SpectralNormalization"):
        yield config_case(f"lambda-in-{cls}", lambda c=cls: model(
            [entry(shape=(None, 4, 5)), layer(c, "outer", ["x"], layer=inner)]), "outer", "evil")
    yield config_case("lambda-in-model", lambda: model([entry(shape=(None, 4)), {
        **model([entry(shape=(None, 4)), layer("Lambda", "evil", ["x"], function=LAMBDA)], name="in"),
        "name": "in", "inbound_nodes": [{"args": [ref("x")], "kwargs": {}}]}]), "evil")
    for cls, extra in {"TorchModuleWrapper": {"module": base64.b64encode(PICKLE).decode()},
                       "TFSMLayer": {"filepath": "/etc"}, "JaxLayer": {"call_fn": LAMBDA},
                       "FlaxLayer": {"module": LAMBDA}, "ModuleWrapper": {"module": "os"},
                       "RNN": {"cell": LAMBDA}}.items():
        def make(cls=cls, extra=extra):
            made = layer(cls, "evil", ["x"])
            made["config"].update(extra)
            return model([entry(shape=(None, 4, 5)), made])
        yield config_case(f"class-{cls}", make, "evil")
    for module, registered in {"os": None, "__main__": "Custom>Thing", "mine.layers": "mine>Dense",
                               "subprocess": "Popen", "keras.utils": None, None: "Custom>Dense",
                               "builtins": None}.items():
        for cls in ("Dense", "Evil"):
            yield config_case(f"custom-{module}-{cls}", with_layer(
                cls, "evil", ["x"], module=module, registered=registered, units=3), "evil")
    for op in ("Map", "WhileLoop", "Cond", "Scan", "VectorizedMap"):
        yield config_case(f"op-{op}", with_layer(op, "evil", ["x"], module="keras.src.ops.core",
                                                 registered=op, f=LAMBDA), "evil")


def functions():
    for key in ("activation", "kernel_initializer", "bias_initializer"):
        for name, fn in {"system": function("os", "system"), "eval": function("builtins", "eval"),
                         "get-file": function("keras.utils", "get_file"),
                         "load-model": function("keras.saving", "load_model"),
                         "unsafe": function("keras.config", "enable_unsafe_deserialization"),
                         "lambda": LAMBDA}.items():
            # An initializer is never looked at: the weights are in the file.
            yield config_case(f"{key}-{name}", set_field("d1", key, fn), "d1",
                              expect="refused" if key == "activation" else "same")
    for name, policy in {"system": function("os", "system"), "lambda": LAMBDA,
                         "custom": {"module": "mine", "class_name": "Policy", "config": {"name": "x"},
                                    "registered_name": "mine>Policy"}}.items():
        yield config_case(f"dtype-{name}", set_field("d1", "dtype", policy), "d1")
    for key in ("compile_config", "build_config"):
        yield config_case(f"ignored-{key}", lambda k=key: {**net(), k: {
            "loss": LAMBDA, "optimizer": function("os", "system"), "input_shape": LAMBDA}},
            expect="same")


def paths():
    for cls in ("StringLookup", "IntegerLookup", "TextVectorization"):
        for path in ("/etc/passwd", "http://example.com/x", "file:///etc/passwd", "../secret",
                     ["/etc/passwd", 5, None]):
            yield config_case(f"vocabulary-{cls}-{str(path)[:9]}", lambda c=cls, p=path: model([
                layer("InputLayer", "x", [], batch_shape=[None, 1],
                      dtype="int64" if c == "IntegerLookup" else "string"),
                layer(c, "evil", ["x"], vocabulary=p, output_mode="int")]), "evil", "x")
    for i, name in enumerate(["../../d1", "/etc/passwd", "a\\b", "a/b", ".", "..", "", "n" * 100000,
                              "\u202e", "a\nb", "%s%n%n"]):
        def renamed(name=name):
            config = net()
            e = find(config, "d1")
            e["name"] = e["config"]["name"] = name
            find(config, "d2")["inbound_nodes"] = [{"args": [ref(name)], "kwargs": {}}]
            return config
        yield config_case(f"layer-name-{i}", renamed, expect="either")
    nul = net()
    find(nul, "d1")["name"] = "d1\0evil"
    yield config_case("layer-name-nul", lambda: nul, "d1", "config.json")


def pickles():
    for name, data in {"pickle": PICKLE, "pickle-4": pickle.dumps(Evil(), 4)}.items():
        yield keras_case(f"file-{name}", lambda d=data: d, "pickle")
        yield h5_case(f"file-{name}-h5", lambda d=data: d, "pickle")
    buffer = io.BytesIO()
    np.savez(buffer, **{"layers/dense/vars": np.array([Evil()], dtype=object)})
    yield keras_case("npz-of-objects", lambda: archive(
        members()[:2] + [("model.weights.npz", buffer.getvalue())]), "model.weights.npz", "npz")
    yield keras_case("npz-pickle", lambda: archive(
        members()[:2] + [("model.weights.npz", PICKLE)]), "model.weights.npz")
    yield h5_case("lambda-legacy", lambda: legacy({
        "class_name": "Sequential", "config": {"name": "s", "layers": [
            {"class_name": "Lambda", "config": {
                "name": "evil", "batch_input_shape": [None, 4], "function": [CODE, None, None],
                "function_type": "lambda", "module": "os", "output_shape": None}}]}}), "evil")
    for module in ("os", "mine"):
        def custom(module=module):
            config = legacy_config(net())
            find(config, "d1")["class_name"] = f"{module}>Dense"
            return legacy(config)
        yield h5_case(f"custom-legacy-{module}", custom, "d1")


def cases():
    for part in (code_layers, functions, paths, pickles):
        yield from part()

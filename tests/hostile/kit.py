"""A small model written by hand, so that every part of its file can be made wrong."""

import copy
import dataclasses
import io
import json
import struct
import zipfile
import zlib

import h5py
import numpy as np

SEED = 20261126
INPUT = (6, 5, 2)


# ---- the model ----

def ref(name, node=0, tensor=0):
    return {"class_name": "__keras_tensor__",
            "config": {"shape": [None, 1], "dtype": "float32", "keras_history": [name, node, tensor]}}


def layer(cls, name, inputs, module="keras.layers", registered=None, **config):
    nodes = [{"args": [ref(i) for i in inputs], "kwargs": {}}] if inputs else []
    if len(inputs) > 1:
        nodes = [{"args": [[ref(i) for i in inputs]], "kwargs": {}}]
    return {"module": module, "class_name": cls, "config": {"name": name, **config},
            "registered_name": registered, "name": name, "inbound_nodes": nodes}


def entry(name="x", shape=(None, *INPUT)):
    return layer("InputLayer", name, [], batch_shape=list(shape), dtype="float32")


def model(layers, inputs=None, outputs=None, name="net"):
    return {"module": "keras", "class_name": "Functional", "registered_name": "Functional",
            "config": {"name": name, "trainable": True, "layers": layers,
                       "input_layers": inputs or [layers[0]["name"], 0, 0],
                       "output_layers": outputs or [layers[-1]["name"], 0, 0]}}


def net():
    """Convolution c1, normalisation n1, Flatten f, Dense d1 and d2."""
    return model([
        entry(),
        layer("Conv2D", "c1", ["x"], filters=3, kernel_size=[3, 3], strides=[1, 1], padding="same",
              data_format="channels_last", dilation_rate=[1, 1], groups=1, activation="relu",
              use_bias=True, dtype="float32"),
        layer("BatchNormalization", "n1", ["c1"], axis=-1, epsilon=0.001, center=True, scale=True),
        layer("Flatten", "f", ["n1"], data_format="channels_last"),
        layer("Dense", "d1", ["f"], units=4, activation="tanh", use_bias=True),
        layer("Dense", "d2", ["d1"], units=3, activation="softmax", use_bias=True),
    ])


def find(config, name):
    return next(e for e in config["config"]["layers"] if e["name"] == name)


def weights():
    """Path in the archive's HDF5 -> array."""
    rng = np.random.default_rng(SEED)
    shapes = {"layers/conv2d/vars/0": (3, 3, 2, 3), "layers/conv2d/vars/1": (3,),
              "layers/batch_normalization/vars/0": (3,), "layers/batch_normalization/vars/1": (3,),
              "layers/batch_normalization/vars/2": (3,), "layers/batch_normalization/vars/3": (3,),
              "layers/dense/vars/0": (90, 4), "layers/dense/vars/1": (4,),
              "layers/dense_1/vars/0": (4, 3), "layers/dense_1/vars/1": (3,)}
    out = {k: rng.normal(0.1, 0.3, s).astype("float32") for k, s in shapes.items()}
    out["layers/batch_normalization/vars/3"] = rng.uniform(0.4, 2, 3).astype("float32")
    return out


LEGACY = {"c1": ["kernel", "bias"], "n1": ["gamma", "beta", "moving_mean", "moving_variance"],
          "d1": ["kernel", "bias"], "d2": ["kernel", "bias"]}
GROUPS = {"c1": "conv2d", "n1": "batch_normalization", "d1": "dense", "d2": "dense_1"}


# ---- files ----

def h5_bytes(fill, **kw):
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", **kw) as f:
        fill(f)
    return buffer.getvalue()


def store(change=None, **kw):
    """The archive's HDF5; change(file) makes it wrong."""
    def fill(f):
        for path, a in weights().items():
            f[path] = a
        if change is not None:
            change(f)
    return h5_bytes(fill, **kw)


def text(config):
    return config if isinstance(config, (bytes, bytearray)) else json.dumps(config).encode()


METADATA = json.dumps({"keras_version": "3.8.0", "date_saved": "2026-11-26@12:00:00"}).encode()


def members(config=None, h5=None):
    return [("metadata.json", METADATA), ("config.json", text(net() if config is None else config)),
            ("model.weights.h5", store() if h5 is None else h5)]


def archive(parts, method=zipfile.ZIP_STORED):
    """An honest archive of (name or ZipInfo, bytes)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as z:
        for name, data in parts:
            info = name if isinstance(name, zipfile.ZipInfo) else zipfile.ZipInfo(name)
            z.writestr(info, data, method)
    return buffer.getvalue()


def keras_file(config=None, h5=None):
    return archive(members(config, h5))


def raw_member(name, data, **kw):
    """A member for raw_archive: what the headers say may differ from what is true."""
    return {"name": name, "data": data, "method": 0, "crc": zlib.crc32(data), "size": len(data),
            "packed": len(data), "flags": 0, "local_name": name, "offset": None, "external": 0, **kw}


def raw_archive(parts, count=None, directory_offset=None, disk=0, comment=b"", comment_size=None):
    out, places = b"", []
    for m in parts:
        places.append(len(out) if m["offset"] is None else m["offset"])
        name = m["local_name"].encode()
        out += struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, m["flags"], m["method"], 0, 33, m["crc"],
                           m["packed"], m["size"], len(name), 0) + name + m["data"]
    start = len(out)
    for m, at in zip(parts, places):
        name = m["name"].encode()
        out += struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 0x314, 20, m["flags"], m["method"], 0, 33,
                           m["crc"], m["packed"], m["size"], len(name), 0, 0, 0, 0, m["external"],
                           at) + name
    n = len(parts) if count is None else count
    return out + struct.pack("<4sHHHHIIH", b"PK\5\6", disk, disk, n, n, len(out) - start,
                             start if directory_offset is None else directory_offset,
                             len(comment) if comment_size is None else comment_size) + comment


def legacy_config(config):
    """Keras 2's way to write calls."""
    config = copy.deepcopy(config)
    for e in config["config"]["layers"]:
        nodes = []
        for n in e["inbound_nodes"]:
            args = n["args"][0] if n["args"] and isinstance(n["args"][0], list) else n["args"]
            nodes.append([[*a["config"]["keras_history"], {}] for a in args])
        e["inbound_nodes"] = nodes
    for key in ("input_layers", "output_layers"):
        v = config["config"][key]
        config["config"][key] = [v] if isinstance(v[0], str) else v
    return config


def legacy(config=None, change=None, attributes=True):
    """A whole-model .h5 as tf.keras 2.11 writes it; change(file) makes it wrong."""
    def fill(f):
        if attributes:
            c = legacy_config(net()) if config is None else config
            f.attrs["model_config"] = text(c).decode() if not isinstance(c, str) else c
            f.attrs["keras_version"] = "2.11.0"
            f.attrs["backend"] = "tensorflow"
        g = f.create_group("model_weights")
        g.attrs["layer_names"] = np.array([b"x", b"c1", b"n1", b"f", b"d1", b"d2"])
        g.attrs["keras_version"] = "2.11.0"
        g.attrs["backend"] = "tensorflow"
        for name in ("x", "f"):
            g.create_group(name).attrs["weight_names"] = np.array([], "S1")
        for name, variables in LEGACY.items():
            group = g.create_group(name)
            paths = [f"{name}/{v}:0" for v in variables]
            group.attrs["weight_names"] = np.array([p.encode() for p in paths])
            for i, p in enumerate(paths):
                group[p] = weights()[f"layers/{GROUPS[name]}/vars/{i}"]
        if change is not None:
            change(f)
    return h5_bytes(fill)


# ---- cases ----

@dataclasses.dataclass
class Case:
    """expect: "refused" (exit 4, one of words in the last line); "same" (the numbers of the sound
    model); "either"; "survives" (exit 0 or 4: what it says has a meaning of its own)."""
    name: str
    suffix: str
    make: object            # () -> bytes
    expect: str = "refused"
    words: tuple = ()


def keras_case(name, make, *words, expect="refused"):
    return Case(name, ".keras", make, expect, words)


def h5_case(name, make, *words, expect="refused"):
    return Case(name, ".h5", make, expect, words)

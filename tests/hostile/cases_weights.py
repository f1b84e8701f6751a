"""HDF5: weights that are missing, too many, of the wrong shape or type; links and storage that lead
out of the file; structures that lie, loop or blow up."""

import io
import json
import random
import struct
import zlib

import h5py
import numpy as np

from kit import (LEGACY, SEED, archive, h5_bytes, h5_case, keras_case, keras_file, legacy, members,
                 store, text, weights)

KERNEL = "layers/dense/vars/0"


def store_case(name, change, *words, expect="refused", **kw):
    return keras_case(name, lambda: keras_file(h5=store(change, **kw)), *words, expect=expect)


def replace(path, make):
    def change(f):
        del f[path]
        make(f, path)
    return change


def put(value):
    return lambda f, path: f.create_dataset(path, data=value)


def wrong_weights():
    for path in weights():
        group = path.split("/")[1]
        yield store_case(f"missing-{path}", lambda f, p=path: f.__delitem__(p), group)
        shape = weights()[path].shape
        for what, other in {"longer": (shape[0] + 1, *shape[1:]), "flat": (int(np.prod(shape)),),
                            "rank": (*shape, 1), "turned": shape[::-1]}.items():
            if other != shape:
                yield store_case(f"{what}-{path}", replace(path, put(np.zeros(other, "f4"))), group)
    for group in ("conv2d", "batch_normalization", "dense", "dense_1"):
        yield store_case(f"no-group-{group}", lambda f, g=group: f.__delitem__(f"layers/{g}"), group)
        yield store_case(f"surplus-{group}", lambda f, g=group: f.create_dataset(
            f"layers/{g}/vars/{len(f[f'layers/{g}/vars'])}", data=np.zeros(3, "f4")), group)
    yield store_case("surplus-layer", lambda f: f.create_dataset(
        "layers/dense_2/vars/0", data=np.zeros(3, "f4")), "dense_2")
    yield store_case("surplus-sub", lambda f: f.create_dataset(
        "layers/dense/cell/vars/0", data=np.zeros(3, "f4")), "dense")
    yield store_case("optimizer", lambda f: f.create_dataset(
        "optimizer/vars/0", data=np.zeros(3, "f4")), expect="same")
    for what, value in {"scalar": np.float32(1), "empty": np.zeros((0, 4), "f4"),
                        "complex": np.zeros((90, 4), "c8"), "string": np.full((90, 4), b"x"),
                        "text": "hello", "compound": np.zeros((90, 4), [("a", "f4"), ("b", "i4")]),
                        "void": np.zeros((90, 4), "V7"), "opaque2": np.zeros((90, 4), "V2"),
                        "rank32": np.zeros((1,) * 32, "f4")}.items():
        yield store_case(f"type-{what}", replace(KERNEL, put(value)), "dense")
    yield store_case("type-null", replace(KERNEL, lambda f, p: f.create_dataset(
        p, data=h5py.Empty("f4"))), "dense")
    yield store_case("type-vlen", replace(KERNEL, lambda f, p: f.create_dataset(
        p, (90, 4), h5py.vlen_dtype("f4"))), "dense")
    yield store_case("type-ref", replace(KERNEL, lambda f, p: f.create_dataset(
        p, (90, 4), h5py.ref_dtype)), "dense")
    yield store_case("group-for-dataset", replace(KERNEL, lambda f, p: f.create_group(p)), "dense")
    yield store_case("dataset-for-group", replace("layers/dense", put(np.zeros(4, "f4"))), "dense")
    yield store_case("dataset-for-vars", replace("layers/dense/vars", put(np.zeros(4, "f4"))),
                     "dense")
    yield store_case("names-exchanged", lambda f: (
        f["layers/dense/vars"].attrs.__setitem__("name", "d2"),
        f["layers/dense_1/vars"].attrs.__setitem__("name", "d1")), "d1", "d2", "dense")


def leads_away():
    for path in (KERNEL, "layers/dense", "layers"):
        word = "dense" if "dense" in path else "layers"
        yield store_case(f"soft-{path}", replace(
            path, lambda f, p: f.__setitem__(p, h5py.SoftLink("/layers/dense_1"))), word)
        yield store_case(f"external-{path}", replace(
            path, lambda f, p: f.__setitem__(p, h5py.ExternalLink("/etc/passwd", "/x"))), word)
    yield store_case("soft-dangling", replace(
        KERNEL, lambda f, p: f.__setitem__(p, h5py.SoftLink("/nowhere"))), "dense")
    yield store_case("soft-self", replace(
        KERNEL, lambda f, p: f.__setitem__(p, h5py.SoftLink("/" + p))), "dense")
    yield store_case("soft-beside", lambda f: f.__setitem__(
        "layers/dense/extra", h5py.SoftLink("/layers")), "dense")
    yield store_case("external-storage", replace(KERNEL, lambda f, p: f.create_dataset(
        p, (90, 4), "f4", external=[("/etc/passwd", 0, 1440)])), "dense")

    def virtual(f, p):
        layout = h5py.VirtualLayout((90, 4), "f4")
        layout[:] = h5py.VirtualSource("/etc/passwd", "x", (90, 4))
        f.create_virtual_dataset(p, layout)
    yield store_case("virtual", replace(KERNEL, virtual), "dense", libver="latest")
    yield store_case("ring", lambda f: f.__setitem__("layers/dense/again", f["layers"]), "layers",
                     "dense", "group")
    yield store_case("ring-root", lambda f: f.__setitem__("layers/loop", f["/"]), "layers", "loop",
                     "group")

    def deep(f):
        path = "layers/dense"
        for i in range(500):
            path += f"/g{i}"
        f.create_dataset(path, data=np.zeros(3, "f4"))
    yield store_case("groups-500-deep", deep, "dense", "group")

    def shared(f):
        """2 ** 40 paths through 40 groups."""
        g = f.create_group("layers/dense/p0")
        for i in range(40):
            child = g.create_group("a")
            g["b"] = child
            g = child
    yield store_case("paths-2-40", shared, "dense", "group")


def zero_stream(n):
    c = zlib.compressobj(9)
    block = bytes(1 << 22)
    return b"".join(c.compress(block) for _ in range(n // len(block))) + c.flush()


def bombs():
    for what, kw in {
        "chunked": dict(shape=(2**40, 2**20), chunks=(1, 4)),
        "chunked-gzip": dict(shape=(2**30, 2**30), chunks=(1, 4), compression="gzip"),
        "fill": dict(shape=(2**33,), chunks=(1024,), fillvalue=1.5),
    }.items():
        yield store_case(f"shape-{what}", replace(
            KERNEL, lambda f, p, kw=kw: f.create_dataset(p, dtype="f4", **kw)), "dense")
    # Space that is never allocated: the file is small, what it promises is not.
    def late(f, p, shape):
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
        space = h5py.h5s.create_simple(shape)
        h5py.h5d.create(f.id, p.encode(), h5py.h5t.IEEE_F32LE, space, plist)
    for i, shape in enumerate([(2**40,), (2**31, 2**30), (2**20, 2**20, 2**20), (90, 2**33)]):
        yield store_case(f"late-{i}", replace(KERNEL, lambda f, p, s=shape: late(f, p, s)), "dense")
    yield store_case("late-right-shape", replace(KERNEL, lambda f, p: late(f, p, (90, 4))),
                     "dense", expect="survives")

    # One chunk of 1 GB of zeros in a megabyte: of a wrong shape, and of the right one.
    def zeros(f, p, shape, **kw):
        d = f.create_dataset(p, shape, "f4", chunks=(1 << 14, 1 << 14), compression="gzip", **kw)
        d.id.write_direct_chunk((0, 0), zero_stream(1 << 30))
    yield store_case("chunk-bomb", replace(KERNEL, lambda f, p: zeros(
        f, p, (1 << 14, 1 << 14))), "dense")
    yield store_case("chunk-bomb-within", replace(KERNEL, lambda f, p: zeros(
        f, p, (90, 4), maxshape=(None, None))), "dense")
    yield store_case("chunk-unwritten", replace(KERNEL, lambda f, p: f.create_dataset(
        p, (90, 4), "f4", chunks=(1 << 14, 1 << 14), maxshape=(None, None))), expect="survives")
    yield store_case("many-attributes", lambda f: [
        f["layers/dense/vars"].attrs.__setitem__(f"a{i}", i) for i in range(20000)], "dense",
        expect="survives", libver="latest")
    yield store_case("many-datasets", lambda f: [
        f.create_dataset(f"layers/dense/vars/{i}", data=np.zeros(1, "f4")) for i in range(2, 20000)],
        "dense")
    yield store_case("lzf", replace(KERNEL, lambda f, p: f.create_dataset(
        p, data=weights()[KERNEL], compression="lzf")), "dense")
    yield store_case("scale-offset", replace(KERNEL, lambda f, p: f.create_dataset(
        p, data=weights()[KERNEL], scaleoffset=2)), "dense")
    yield store_case("gzip-sound", replace(KERNEL, lambda f, p: f.create_dataset(
        p, data=weights()[KERNEL], compression="gzip", shuffle=True, fletcher32=True)),
        expect="same")


# ---- bytes ----

def data_ranges(data):
    """Where weights lie: damage there cannot be seen without a checksum."""
    out = []
    with h5py.File(io.BytesIO(data), "r") as f:
        def visit(name, o):
            if isinstance(o, h5py.Dataset) and o.id.get_offset() is not None:
                out.append((o.id.get_offset(), o.id.get_offset() + o.id.get_storage_size()))
        f.visititems(visit)
    at = data.find(b'{"module"')
    if at >= 0:  # so are the values of the text
        out.append((at, at + len(data[at:].split(b"\0")[0])))
    return out


def damaged(data, rng):
    ranges = data_ranges(data)
    while True:
        at = rng.randrange(len(data))
        if any(a <= at < b for a, b in ranges):
            continue
        out = bytearray(data)
        if rng.random() < 0.5:
            out[at] ^= 1 << rng.randrange(8)
        else:
            at = at // 8 * 8
            value = rng.choice([0, 1, 2**63, 2**64 - 1, len(data), rng.randrange(len(data)) // 8 * 8])
            out[at:at + 8] = struct.pack("<Q", value)
            if any(a < at + 8 and at < b for a, b in ranges) or len(out) != len(data):
                continue
        return bytes(out)


def bytes_of_hdf5():
    rng = random.Random(SEED + 3)
    sound, old = store(), legacy()
    late = store(libver="latest")
    for i in range(40):
        yield keras_case(f"hdf5-{i}", lambda d=damaged(sound, rng): keras_file(h5=d),
                         expect="either")
        yield keras_case(f"hdf5-latest-{i}", lambda d=damaged(late, rng): keras_file(h5=d),
                         expect="either")
        yield h5_case(f"hdf5-legacy-{i}", lambda d=damaged(old, rng): d, expect="either")
    for i in range(12):
        n, m = rng.randrange(len(sound)), rng.randrange(len(old))
        yield keras_case(f"hdf5-cut-{n}", lambda n=n: keras_file(h5=sound[:n]), "model.weights.h5",
                         "dense", "conv2d", "batch_normalization")
        yield h5_case(f"legacy-cut-{m}", lambda n=m: old[:n])
    for version in (1, 4, 255):
        yield keras_case(f"superblock-{version}", lambda v=version: keras_file(
            h5=sound[:8] + bytes([v]) + sound[9:]), "model.weights.h5")
    yield h5_case("legacy-tail", lambda: old + b"x" * 999, expect="same")
    yield h5_case("user-block", lambda: bytes(512) + old, expect="either")


# ---- legacy files ----

def legacy_case(name, change, *words, expect="refused"):
    return h5_case(name, lambda: legacy(change=change), *words, expect=expect)


def names_attr(group, value, attr="weight_names"):
    def change(f):
        g = f["model_weights"][group] if group else f["model_weights"]
        del g.attrs[attr]
        if value is not None:
            g.attrs[attr] = value
    return change


def legacy_weights():
    for layer, variables in LEGACY.items():
        for v in variables:
            path = f"model_weights/{layer}/{layer}/{v}:0"
            yield legacy_case(f"legacy-missing-{layer}-{v}", lambda f, p=path: f.__delitem__(p), layer)
            yield legacy_case(f"legacy-shape-{layer}-{v}",
                              replace(path, put(np.zeros((2, 2), "f4"))), layer)
        yield legacy_case(f"legacy-no-group-{layer}",
                          lambda f, g=layer: f["model_weights"].__delitem__(g), layer)
        yield legacy_case(f"legacy-surplus-{layer}", lambda f, g=layer: (
            f[f"model_weights/{g}"].create_dataset("more:0", data=np.zeros(3, "f4")),
            names_attr(g, np.array([f"{g}/{v}:0".encode() for v in LEGACY[g]] + [b"more:0"]))(f)),
            layer)
    for what, value in {"none": None, "number": 7, "numbers": np.arange(3), "empty": np.array([], "S1"),
                        "short": np.array([b"d1/kernel:0"]), "unknown": np.array([b"a", b"b"]),
                        "twice": np.array([b"d1/kernel:0"] * 2), "slash": np.array([b"/", b"//"]),
                        "dots": np.array([b"../d2/d2/kernel:0", b"../d2/d2/bias:0"]),
                        "absolute": np.array([b"/etc/passwd", b"/x"]),
                        "text": "d1/kernel:0"}.items():
        yield legacy_case(f"weight-names-{what}", names_attr("d1", value), "d1")
    for what, value in {"none": None, "number": 7, "empty": np.array([], "S1"),
                        "short": np.array([b"x", b"c1"]), "unknown": np.array([b"q"] * 6),
                        "twice": np.array([b"x", b"c1", b"c1", b"n1", b"f", b"d1", b"d2"]),
                        "million": np.full(60000, b"x")}.items():
        yield legacy_case(f"layer-names-{what}", names_attr("", value, "layer_names"), "layer_names",
                          "c1", "d1", "n1", "q", "x", "model_weights")
    yield h5_case("no-model-config", lambda: legacy(attributes=False), "model_config", "weights")
    for what, value in {"number": 7, "list": np.array([b"a", b"b"]), "empty": h5py.Empty("f4"),
                        "bytes": np.void(b"\0\1")}.items():
        def change(f, value=value):
            f.attrs["model_config"] = value
        yield legacy_case(f"model-config-{what}", change, "model_config")
    yield legacy_case("no-weights", lambda f: f.__delitem__("model_weights"), "weights")
    for what, value in {"number": 7, "long": "9" * 60000}.items():
        def version(f, value=value):
            f.attrs["keras_version"] = value
        yield legacy_case(f"legacy-version-{what}", version, expect="survives")
    for path in ("model_weights", "model_weights/d1", "model_weights/d1/d1/kernel:0"):
        word = "d1" if "d1" in path else "model_weights"
        yield legacy_case(f"legacy-soft-{path}", replace(
            path, lambda f, p: f.__setitem__(p, h5py.SoftLink("/model_weights/d2"))), word)
        yield legacy_case(f"legacy-external-{path}", replace(
            path, lambda f, p: f.__setitem__(p, h5py.ExternalLink("/etc/passwd", "/x"))), word)


def empty_store():
    yield keras_case("no-datasets", lambda: keras_file(h5=h5_bytes(lambda f: None)), "conv2d", "c1")
    yield keras_case("not-hdf5", lambda: keras_file(h5=b"hello"), "model.weights.h5")


def cases():
    for part in (wrong_weights, leads_away, bombs, bytes_of_hdf5, legacy_weights, empty_store):
        yield from part()

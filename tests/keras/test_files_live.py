"""Every container that the real Keras writes, with numbers equal to Keras': weights apart from the
architecture, shards, npz, archives packed again, types of weights."""

import io
import json
import os
import pathlib
import random
import subprocess
import sys
import time
import zipfile
import zlib

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "parity"))
parity_kit = pytest.importorskip("parity_kit")
from parity_kit import BUILD, RUN, data, execute, keras, np, randomise, reference  # noqa: E402

h5py = pytest.importorskip("h5py")
from keras import layers as L  # noqa: E402
from keras.src.legacy.saving import legacy_h5_format  # noqa: E402
from keras.src.saving import saving_lib  # noqa: E402


def network(seed=5):
    """Several layers of a class, a frozen one, nested models, weights of several ranks."""
    inner_in = keras.Input((None, None, 5))
    inner = keras.Model(inner_in, L.BatchNormalization()(L.Conv2D(7, 3, padding="same")(inner_in)))
    head = keras.Sequential([L.GlobalAveragePooling2D(), L.Dense(9, activation="tanh"), L.Dense(4)])
    a, b = keras.Input((6, 5, 5), name="a"), keras.Input((3,), name="b")
    x = inner(a)
    frozen = L.BatchNormalization()
    frozen.trainable = False
    x = frozen(L.Conv2D(5, 2)(x))
    x = L.SeparableConv2D(6, 2)(x)
    y = L.Dense(4)(b)
    return randomise(keras.Model([a, b], L.Add()([head(x), y])), seed)


def sequential(seed=6):
    return randomise(keras.Sequential([keras.Input((11,)), L.Dense(8, activation="relu"),
                                       L.LayerNormalization(), L.Dense(3)]), seed)


def inputs_of(model, seed=3):
    return [data((2, *t.shape[1:]), seed + i) for i, t in enumerate(model.inputs)]


def same(got, want, tolerance=1e-5):
    assert len(got) == len(want)
    for g, w in zip(got, want):
        assert g.shape == w.shape and g.dtype == w.dtype
        g, w = np.asarray(g, "float64"), np.asarray(w, "float64")
        assert (abs(g - w) <= tolerance + 10 * tolerance * abs(w)).all(), abs(g - w).max()


def refused(path, *options):
    np.save(path.parent / "x.npy", np.zeros((1, 3), "float32"))
    r = subprocess.run([RUN, path, *options, path.parent / "x.npy", "-o", path.parent / "y"],
                       capture_output=True, text=True)
    assert r.returncode == 4, r
    return r.stderr


def legacy_weights(model, path):
    with h5py.File(path, "w") as f:
        legacy_h5_format.save_weights_to_hdf5_group(f, model)


def shards(model, path):
    """As small as Keras lets them be: variables of one layer come to lie in different files."""
    largest = max(4 * int(np.prod(v.shape)) for v in model.variables)
    model.save_weights(path, max_shard_size=(largest + 1) / 1024**3)


def architectures(model):
    text = model.to_json()
    return {"to_json": text, "quoted": json.dumps(text), "config": json.dumps(model.get_config()),
            "indented": json.dumps(json.loads(text), indent=2)}


@pytest.mark.parametrize("make", [network, sequential])
@pytest.mark.parametrize("kind", ["weights.h5", "legacy", "shards"])
def test_weights_apart(tmp_path, make, kind):
    model = make()
    x = inputs_of(model)
    want = reference(model, x)
    # The name says nothing: content decides.
    path = tmp_path / ("m.weights.json" if kind == "shards" else "anything.bin")
    if kind == "shards":
        shards(model, path)
        assert len(list(tmp_path.glob("*.weights.h5"))) >= 2
        assert any(
            isinstance(v, list) for v in json.loads(path.read_text())["weight_map"].values())
    elif kind == "legacy":
        legacy_weights(model, path)
    else:
        model.save_weights(tmp_path / "m.weights.h5")
        (tmp_path / "m.weights.h5").rename(path)
    assert "--architecture" in refused(path)
    for name, text in architectures(model).items():
        json_path = tmp_path / f"{name}.json"
        json_path.write_text(text)
        same(execute(path, x, tmp_path, "ref", "--architecture", str(json_path)), want)
    assert "without its weights" in refused(tmp_path / "to_json.json")


def test_architecture_replaces_the_model(tmp_path):
    """Of a whole model only the weights are taken when the architecture is given."""
    model = sequential()
    x = inputs_of(model)
    other = keras.Sequential.from_config(model.get_config())
    other.layers[0].activation = keras.activations.sigmoid
    other.set_weights(model.get_weights())
    (tmp_path / "o.json").write_text(other.to_json())
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
        got = execute(tmp_path / name, x, tmp_path, "ref", "--architecture",
                      str(tmp_path / "o.json"))
        same(got, reference(other, x))


def test_legacy_weights_with_other_names(tmp_path):
    """An architecture of another session numbers its layers differently: order decides."""
    model = network()
    keras.backend.clear_session()
    for _ in range(3):
        L.Dense(1), L.Conv2D(1, 1), L.BatchNormalization()
    again = network(9)
    again.set_weights(model.get_weights())
    x = inputs_of(model)
    legacy_weights(model, tmp_path / "w.h5")
    (tmp_path / "m.json").write_text(again.to_json())
    same(execute(tmp_path / "w.h5", x, tmp_path, "ref", "--architecture",
                 str(tmp_path / "m.json")), reference(model, x))
    (tmp_path / "s.json").write_text(sequential().to_json())
    assert "do not belong together" in refused(tmp_path / "w.h5", "--architecture",
                                               str(tmp_path / "s.json"))


def test_wrong_architectures(tmp_path):
    model = sequential()
    model.save_weights(tmp_path / "m.weights.h5")
    for text, words in [("{}", "not a model's architecture"), ("[]", "not a model's architecture"),
                        ('"x"', "not proper JSON"), ("", "not proper JSON"), ("3", "architecture"),
                        ('{"weight_map": {}}', "index of sharded weights"),
                        ('{"class_name": "Mine", "config": {}}', "Mine")]:
        (tmp_path / "a.json").write_text(text)
        assert words in refused(tmp_path / "m.weights.h5", "--architecture",
                                str(tmp_path / "a.json")), text
    (tmp_path / "n.json").write_text(network().to_json())
    assert "has no variable" in refused(tmp_path / "m.weights.h5", "--architecture",
                                        str(tmp_path / "n.json"))


@pytest.mark.parametrize("name", ["../x.weights.h5", "/etc/passwd", "a\\b.h5", "..", ".", ""])
def test_shards_stay_in_their_folder(tmp_path, name):
    model = sequential()
    path = tmp_path / "m.weights.json"
    shards(model, path)
    index = json.loads(path.read_text())
    index["weight_map"]["/layers/dense/vars"] = name
    path.write_text(json.dumps(index))
    (tmp_path / "m.json").write_text(model.to_json())
    assert "weight_map" in refused(path, "--architecture", str(tmp_path / "m.json"))


def test_shards_in_two_files(tmp_path):
    """The same variable in two shards: which one counts, nobody can know."""
    model = sequential()
    path = tmp_path / "m.weights.json"
    shards(model, path)
    files = sorted(tmp_path.glob("*.weights.h5"))
    with h5py.File(files[0]) as a, h5py.File(files[1], "a") as b:
        b.require_group("layers/dense/vars")["0"] = a["layers/dense/vars/0"][:] + 1
    (tmp_path / "m.json").write_text(model.to_json())
    assert "twice" in refused(path, "--architecture", str(tmp_path / "m.json"))


def npz_files(model, folder):
    saving_lib.save_model(model, folder / "npz.keras", weights_format="npz")
    with zipfile.ZipFile(folder / "npz.keras") as z:
        z.extractall(folder / "npz_folder")
        with zipfile.ZipFile(folder / "packed.keras", "w", zipfile.ZIP_DEFLATED) as out:
            for name in z.namelist():
                out.writestr(name, z.read(name))
    return [folder / "npz.keras", folder / "npz_folder", folder / "packed.keras"]


@pytest.mark.parametrize("make", [network, sequential])
def test_npz(tmp_path, make):
    model = make()
    x = inputs_of(model)
    for path in npz_files(model, tmp_path):
        same(execute(path, x, tmp_path, "ref"), reference(model, x))


def replace_member(source, target, name, content):
    with zipfile.ZipFile(source) as a, zipfile.ZipFile(target, "w") as b:
        for n in a.namelist():
            b.writestr(n, content(a.read(n)) if n == name else a.read(n))


def npz_with(arrays):
    def content(old):
        out = io.BytesIO()
        with np.load(io.BytesIO(old), allow_pickle=True) as z:
            members = {n: z[n] for n in z.files if n not in arrays}
        members.update(arrays)
        np.savez(out, **members)
        return out.getvalue()
    return content


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/kp_pickle_was_run",)


def test_npz_runs_no_code(tmp_path):
    model = sequential()
    npz_files(model, tmp_path)
    for value, words in [(np.array(Evil(), object), "posix.system"),
                         ({"0": Evil()}, "posix.system"),
                         ({"0": "text"}, "where an array should be"),
                         ({"0": np.array(["a"])}, "elements are not numbers"),
                         (np.zeros(3, "float32"), "not the dictionary"),
                         ({"0": np.zeros((8, 12), "float32")}, "shape")]:
        replace_member(tmp_path / "npz.keras", tmp_path / "bad.keras", "model.weights.npz",
                       npz_with({"layers/dense": value}))
        text = refused(tmp_path / "bad.keras")
        assert words in text, text
    assert not os.path.exists("/tmp/kp_pickle_was_run")


def test_npz_forms_of_arrays(tmp_path):
    """Fortran order, big-endian, NumPy scalars, every float type."""
    model = sequential()
    x = inputs_of(model)
    npz_files(model, tmp_path)
    kernel, bias = [np.asarray(v) for v in model.layers[0].variables]
    for value in ({"0": np.asfortranarray(kernel), "1": bias},
                  {"0": kernel.astype(">f4"), "1": bias.astype(">f4")},
                  {"0": np.asfortranarray(kernel.astype(">f4")), "1": bias}):
        replace_member(tmp_path / "npz.keras", tmp_path / "m.keras", "model.weights.npz",
                       npz_with({"layers/dense": value}))
        same(execute(tmp_path / "m.keras", x, tmp_path, "ref"), reference(model, x))


class Stream(io.RawIOBase):
    """Cannot be sought: zipfile then writes data descriptors."""

    def __init__(self):
        self.bytes = b""

    def writable(self):
        return True

    def write(self, b):
        self.bytes += bytes(b)
        return len(b)


def pack_again(path, method, zip64, stream):
    out = Stream() if stream else io.BytesIO()
    with zipfile.ZipFile(path) as a, zipfile.ZipFile(out, "w", method) as b:
        for n in a.namelist():
            with b.open(zipfile.ZipInfo(n) if method == 0 else n, "w", force_zip64=zip64) as f:
                f.write(a.read(n))
    return out.bytes if stream else out.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("zip64", [False, True])
@pytest.mark.parametrize("stream", [False, True])
def test_archives_packed_again(tmp_path, method, zip64, stream):
    model = sequential()
    x = inputs_of(model)
    model.save(tmp_path / "m.keras")
    (tmp_path / "again.keras").write_bytes(
        pack_again(tmp_path / "m.keras", method, zip64, stream))
    same(execute(tmp_path / "again.keras", x, tmp_path, "ref"), reference(model, x))


def test_unpacked_folder(tmp_path):
    model = network()
    x = inputs_of(model)
    saving_lib.save_model(model, tmp_path / "folder", zipped=False)
    same(execute(tmp_path / "folder", x, tmp_path, "ref"), reference(model, x))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_weights(tmp_path, dtype):
    model = randomise(keras.Sequential([keras.Input((6,)), L.Dense(5, dtype=dtype),
                                        L.Dense(4, dtype=dtype, activation="tanh"),
                                        L.Activation("linear", dtype="float32")]))
    x = [data((3, 6))]
    files = npz_files(model, tmp_path) + [tmp_path / "m.keras", tmp_path / "m.h5"]
    model.save(tmp_path / "m.keras")
    model.save(tmp_path / "m.h5")
    for path in files:
        if path.suffix == ".h5" and dtype == "bfloat16":
            continue  # Keras writes opaque bytes there and cannot read its own file
        same(execute(path, x, tmp_path, "ref"), reference(model, x),
             2e-3 if dtype == "float16" else 2e-2)


def dump(path, queries):
    r = subprocess.run([BUILD / "tests" / "keras_dump", path, "--weights"], text=True,
                       input="\n".join(queries), capture_output=True)
    return [line.split("\t") for line in r.stdout.splitlines()]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "int8", "uint8",
                                   "int32", "int64", "bool"])
def test_bytes_of_every_type(tmp_path, dtype):
    """In every container the bytes that Keras gave."""
    layer = L.Dense(3, name="d")
    model = keras.Sequential([keras.Input((4,)), layer], name="m")
    rng = np.random.default_rng(4)
    for v in layer.variables:
        value = rng.integers(0, 2, v.shape) if dtype == "bool" else rng.normal(0, 50, v.shape)
        v._value = keras.ops.convert_to_tensor(abs(value) if dtype == "uint8" else value, dtype) \
            if dtype == "bfloat16" else np.asarray(abs(value) if dtype == "uint8" else value, dtype)
        v._dtype = dtype
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    files = [tmp_path / "m.keras"]
    if dtype != "bfloat16":
        saving_lib.save_model(model, tmp_path / "npz.keras", weights_format="npz")
        files.append(tmp_path / "npz.keras")
    for path in files:
        rows = dump(path, ["d\t\t0\tkernel", "d\t\t1\tbias"])
        for row, v in zip(rows, layer.variables, strict=True):
            raw = np.ascontiguousarray(keras.ops.convert_to_numpy(v._value))
            assert row[4] == dtype and row[6] == "%08x" % zlib.crc32(raw.tobytes()), (path, row)


class Rewriter:
    """An HDF5 file as another writer might have made it: the same values in any layout."""

    def __init__(self, seed):
        self.rng = random.Random(seed)

    def value(self, v):
        """An attribute's value, text of fixed or variable length."""
        if isinstance(v, np.ndarray) and v.dtype.kind in "OSU" and v.size:
            words = [w.decode() if isinstance(w, bytes) else str(w) for w in v.ravel()]
            if self.rng.random() < 0.5:
                return np.array([w.encode() for w in words], "S").reshape(v.shape)
            return np.array(words, h5py.string_dtype()).reshape(v.shape)
        if isinstance(v, (str, bytes)):
            return v if self.rng.random() < 0.5 else np.bytes_(v if isinstance(v, bytes) else
                                                               v.encode())
        return v

    def attributes(self, source, target):
        for name, v in source.attrs.items():
            v = self.value(v)
            whole = not name[-1].isdigit()
            if isinstance(v, np.ndarray) and v.nbytes > 2000 and whole and self.rng.random() < 0.5:
                parts = np.array_split(v, 3)  # as Keras does beyond 64 kB
                for i, part in enumerate(parts):
                    target.attrs[f"{name}{i}"] = part
            elif getattr(v, "nbytes", 0) > 60000 or (isinstance(v, bytes) and len(v) > 60000):
                target.attrs[name] = v.decode() if isinstance(v, bytes) else v
            else:
                target.attrs[name] = v

    def dataset(self, source, target, name):
        rng, a, options = self.rng, source[()], {}
        if a.dtype.kind == "f" and rng.random() < 0.4:
            a = a.astype(a.dtype.newbyteorder(">"))
        if a.ndim and a.size and rng.random() < 0.6:
            options["chunks"] = tuple(rng.randint(1, n) for n in a.shape)
            options["shuffle"], options["fletcher32"] = rng.random() < 0.5, rng.random() < 0.5
            if rng.random() < 0.7:
                options["compression"], options["compression_opts"] = "gzip", rng.randint(1, 9)
            if rng.random() < 0.3:
                options["maxshape"] = tuple(rng.choice([n, None]) for n in a.shape)
        self.attributes(source, target.create_dataset(name, data=a, **options))

    def group(self, source, target):
        self.attributes(source, target)
        for name in source:
            if isinstance(source[name], h5py.Dataset):
                self.dataset(source[name], target, name)
            else:
                self.group(source[name],
                           target.create_group(name, track_order=self.rng.random() < 0.3))

    def write(self, source, target):
        rng = self.rng
        options = {"libver": rng.choice(["earliest", "latest", ("earliest", "v108"),
                                         ("v108", "v110")])}
        if rng.random() < 0.3:
            options["userblock_size"] = rng.choice([512, 2048])
        with h5py.File(source) as a, h5py.File(target, "w", **options) as b:
            self.group(a, b)


def long_names():
    """layer_names beyond what one attribute holds."""
    layers = [L.Dense(3, name=f"d{i}_" + "x" * 1600) for i in range(45)]
    return randomise(keras.Sequential([keras.Input((3,)), *layers, L.Dense(2)]))


SEED = int(os.environ.get("KP_H5_SEED", time.time() // 86400 if "KP_LONG" in os.environ else 20261))


@pytest.mark.parametrize("make", [network, long_names])
def test_models_by_another_writer(tmp_path, make):
    model = make()
    x = inputs_of(model)
    want = reference(model, x)
    model.save(tmp_path / "m.h5")
    legacy_weights(model, tmp_path / "w.h5")
    model.save_weights(tmp_path / "m.weights.h5")
    (tmp_path / "m.json").write_text(model.to_json())
    with h5py.File(tmp_path / "m.h5") as f:
        assert make is network or "layer_names0" in f["model_weights"].attrs
    for i in range(7 if make is network else 2):
        for name in ("m.h5", "w.h5", "m.weights.h5"):
            try:
                Rewriter(f"{SEED} {i} {name}").write(tmp_path / name, tmp_path / "again.h5")
            except (OSError, RuntimeError) as e:  # an attribute that this libver has no room for
                assert "header" in str(e), e
                continue
            options = [] if name == "m.h5" else ["--architecture", str(tmp_path / "m.json")]
            try:
                same(execute(tmp_path / "again.h5", x, tmp_path, "ref", *options), want)
            except Exception as e:
                raise AssertionError(f"KP_H5_SEED={SEED}, round {i}, {name}") from e


def test_command(tmp_path):
    """--architecture of each verb, and through the processes of run."""
    model = sequential()
    model.save_weights(tmp_path / "m.weights.h5")
    (tmp_path / "m.json").write_text(model.to_json())
    x = inputs_of(model)[0]
    np.save(tmp_path / "x.npy", x)
    program, weights = BUILD / "kpredict", tmp_path / "m.weights.h5"
    extra = ["--architecture", tmp_path / "m.json"]

    def command(*words):
        r = subprocess.run([program, *words], capture_output=True, text=True, timeout=120)
        assert r.returncode == 0, r.stderr
        return r.stdout

    command("run", weights, tmp_path / "x.npy", "-o", tmp_path / "y.npy", "-q", *extra)
    same([np.load(tmp_path / "y.npy")], reference(model, [x]))
    assert "LayerNormalization" in command("summary", weights, *extra)
    assert "dense" in command("inspect", weights, "--weights", *extra)

"""kpredict verify: the same inputs through Keras and through kpredict, and where they part.

Started by the program; needs nothing but Keras (3, or tf_keras or Keras 2) and NumPy. Both sides
get the same arrays. Exit status: 0 the numbers agree, 6 they do not, 1 it could not be found out,
and what `kpredict run` says of a model or input that it does not take.
"""

import argparse
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings
import zipfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.filterwarnings("ignore")

AGREE, FAILED, USAGE, DIFFER = 0, 1, 2, 6
ROWS = 8
IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp")
# What float32 loses on the way through a deep network, and the half types in Keras' own layers.
TOLERANCE = {"float64": 1e-4, "float32": 1e-4, "float16": 2e-2, "bfloat16": 8e-2}


class Failure(Exception):
    def __init__(self, text, status=FAILED):
        super().__init__(text)
        self.status = status


def first_line(error):
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def telling_line(error):
    """Keras puts the reason for a file that it does not load somewhere into a long text."""
    for line in str(error).splitlines():
        if "Could not locate" in line or "Exception encountered" in line or "Unknown" in line:
            return line.strip().split(". ")[0]
    return first_line(error)


# ---- Keras ----

def version_of_writer(path):
    """The Keras that wrote the file, "" if it does not say."""
    try:
        if path.is_dir():
            return json.loads((path / "metadata.json").read_text()).get("keras_version", "")
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return json.loads(archive.read("metadata.json")).get("keras_version", "")
        import h5py
        with h5py.File(path, "r") as file:
            version = file.attrs.get("keras_version", "")
            return version.decode() if isinstance(version, bytes) else str(version)
    except Exception:
        return ""


def candidates(path):
    """Modules to try, the one that fits the file's writer first."""
    old = version_of_writer(path).startswith(("1.", "2."))
    return ["tf_keras", "keras"] if old else ["keras", "tf_keras"]


def read_model(keras, path, architecture):
    if architecture:
        text = pathlib.Path(architecture).read_text()
        model = keras.models.model_from_json(text)
        model.load_weights(str(path))
        return model
    return keras.models.load_model(str(path), compile=False)


@contextlib.contextmanager
def quiet():
    """Without what native code writes to stderr: TensorFlow tells of oneDNN as it is imported, past
    every setting. What fails within still says so by its exception."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def load(path, architecture, imports):
    reasons, own = [], False
    for name in candidates(path):
        try:
            with quiet():
                keras = __import__(name)
                keras.models
        except Exception as error:
            reasons.append(f"{name}: {first_line(error)}")
            continue
        for module in imports:
            try:
                __import__(module)
            except Exception as error:
                raise Failure(f"the module {module} could not be imported: {first_line(error)}")
        try:
            return keras, read_model(keras, path, architecture)
        except Exception as error:
            own = own or "register_keras_serializable" in str(error) or "Unknown layer" in str(error)
            reasons.append(f"{name} {keras.__version__} cannot load the file: {telling_line(error)}")
    if not any("cannot load" in r for r in reasons):
        raise Failure(f"{sys.executable} has no Keras: name a Python that has it with --python "
                      f"PATH ({'; '.join(reasons)})")
    hint = " (--import MODULE runs the code of the model's own classes)" if own else ""
    raise Failure("; ".join(r for r in reasons if "cannot load" in r) + hint)


class Side:
    """The model in Keras, whatever its version calls things."""

    def __init__(self, keras, model):
        self.keras, self.model = keras, model
        self.old = keras.__version__.startswith(("1.", "2."))
        if self.old:
            import tensorflow as tf
            self.flatten, self.pack = tf.nest.flatten, tf.nest.pack_sequence_as
        else:
            self.flatten, self.pack = keras.tree.flatten, keras.tree.pack_sequence_as

    def name(self):
        backend = "tensorflow" if self.old else self.keras.backend.backend()
        return f"Keras {self.keras.__version__} on {backend}"

    @staticmethod
    def graph(model):
        """The Functional behind a model; None when there is none."""
        inner = getattr(model, "_functional", None)
        model = inner if inner is not None else model
        return model if getattr(model, "_nodes_by_depth", None) else None

    def structure(self, model):
        inner = self.graph(model)
        for owner in (inner, model):
            for field in ("_inputs_struct", "_nested_inputs"):
                if getattr(owner, field, None) is not None:
                    return getattr(owner, field)
        return None

    def predict(self, model, arrays, batch):
        form = self.structure(model)
        x = arrays[0] if form is None else self.pack(form, arrays)
        if isinstance(x, (list, tuple)) and len(x) == 1:
            x = x[0]
        out = model.predict(x, verbose=0, batch_size=batch)
        return self.flatten(out)

    def submodel(self, graph, tensors):
        return self.keras.Model(graph.inputs if self.structure(graph) is None
                                else self.structure(graph), tensors)

    def nodes(self, graph):
        by_depth = graph._nodes_by_depth
        return [n for depth in sorted(by_depth, reverse=True) for n in by_depth[depth]]

    def layer_of(self, node):
        return node.layer if self.old else node.operation

    def given(self, node):
        return self.flatten(node.outputs) if self.old else list(node.output_tensors)

    def taken(self, node):
        return list(node.keras_inputs) if self.old else list(node.input_tensors)


# ---- inputs ----

def sizes(shape, batch, image):
    open_size = 32 if image else 12
    return (batch, *(open_size if s is None else int(s) for s in shape[1:]))


def downstream(side, tensor, graph):
    """The layers that the input reaches, nearest first."""
    reached, out = {id(tensor)}, []
    for node in side.nodes(graph) if graph is not None else []:
        if any(id(t) in reached for t in side.taken(node)):
            reached.update(id(t) for t in side.given(node))
            out.append(side.layer_of(node))
    return out


def words_for(layers):
    for layer in layers:
        if hasattr(layer, "get_vocabulary"):
            try:
                return [w for w in map(str, layer.get_vocabulary()) if w.strip()] or ["word"]
            except Exception:
                break
    return ["alpha", "beta", "gamma", "delta", "Epsilon zeta"]


def random_input(np, rng, side, tensor, graph, rows):
    dtype = tensor.dtype if isinstance(tensor.dtype, str) else tensor.dtype.name
    shape = tensor.shape
    layers = downstream(side, tensor, graph)
    kinds = [type(layer).__name__ for layer in layers]
    image = len(shape) == 4
    size = sizes(shape, rows, image)
    if dtype == "string":
        words = words_for(layers)
        return np.array([words[i % len(words)] for i in rng.integers(0, 999, int(np.prod(size)))]
                        ).reshape(size)
    if dtype == "bool":
        return rng.integers(0, 2, size).astype(bool)
    bounds = [getattr(layer, key) for layer in layers for key in ("input_dim", "num_tokens")
              if isinstance(getattr(layer, key, None), int)]
    if "Embedding" in kinds or dtype.startswith(("int", "uint")):
        most = min([*bounds, 256 if image else 10**6 if bounds else 10])
        return rng.integers(0, max(most, 1), size).astype(dtype)
    if image and any(k in ("Rescaling", "Normalization") for k in kinds[:3]):
        return rng.uniform(0, 255, size).astype(dtype)
    return rng.normal(0, 1, size).astype(dtype if dtype != "bfloat16" else "float32")


def read_images(np, side, files, tensor):
    shape, utils = tensor.shape, side.keras.utils
    if len(shape) != 4:
        raise Failure("images are given, but the model's input is no image", USAGE)
    mode = {1: "grayscale", 3: "rgb", 4: "rgba"}.get(shape[3])
    if mode is None:
        raise Failure("images are given, but the model's input has no 1, 3 or 4 channels", USAGE)
    target = None if None in shape[1:3] else (int(shape[1]), int(shape[2]))
    rows = []
    for file in files:
        try:
            image = utils.load_img(str(file), color_mode=mode, target_size=target,
                                   interpolation="bilinear")
        except Exception as error:
            raise Failure(f"{file}: {first_line(error)}")
        rows.append(utils.img_to_array(image))
    if len({r.shape for r in rows}) > 1:
        raise Failure("the images differ in size, and the model leaves it open: give one", USAGE)
    return np.stack(rows)


def read_arrays(np, side, path, tensors):
    """The arrays of one INPUT: a list, or a dict by name."""
    if not path.exists():
        raise Failure(f"{path}: there is no such input", 74)
    if path.is_dir() or path.suffix.lower() in IMAGES:
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGES) \
            if path.is_dir() else [path]
        if not files:
            raise Failure(f"{path}: there are no images in it")
        return [read_images(np, side, files, tensors[0])]
    try:
        if path.suffix == ".npz":
            with np.load(path) as archive:
                return {k: archive[k] for k in archive.files}
        if path.suffix == ".npy":
            return [np.load(path)]
        if path.suffix == ".csv":
            return [np.loadtxt(path, delimiter=",", ndmin=2)]
    except Exception as error:
        raise Failure(f"{path}: {first_line(error)}", 74)
    raise Failure(f"{path}: give an image, a folder of them, .npy, .npz or .csv", USAGE)


def given_inputs(np, side, words, named, tensors, names):
    found = {}
    for item in named:
        name, _, path = item.partition("=")
        if name not in names:
            raise Failure(f"the model has no input \"{name}\"; it has {', '.join(names)}", USAGE)
        got = read_arrays(np, side, pathlib.Path(path), tensors)
        found[name] = next(iter(got.values())) if isinstance(got, dict) else got[0]
    for word in words:
        got = read_arrays(np, side, pathlib.Path(word), tensors)
        if isinstance(got, dict) and not set(got) >= set(names):
            got = list(got.values())
        rest = [n for n in names if n not in found]
        found.update({n: got[n] for n in names} if isinstance(got, dict) else zip(rest, got))
    missing = [n for n in names if n not in found]
    if missing:
        raise Failure(f"no array is given for the input {', '.join(missing)}", USAGE)
    arrays = [found[n] for n in names]
    if len({len(a) for a in arrays}) != 1 or len(arrays[0]) == 0:
        raise Failure("the arrays do not have the same number of rows, at least one", USAGE)
    return arrays


# ---- kpredict ----

class Ours:
    def __init__(self, np, args, model, folder):
        self.np, self.folder = np, folder
        self.command = [args.program, "run", str(model)]
        self.options = [w for p in args.plugin for w in ("--plugin", p)]
        for name in ("architecture", "device", "threads"):
            if getattr(args, name) is not None:
                self.options += [f"--{name}", getattr(args, name)]
        self.verbose = args.verbose

    def predict(self, arrays, layer=None):
        data, out = self.folder / "in.npz", self.folder / "out.npz"
        self.np.savez(data, *arrays)
        command = [*self.command, str(data), "-o", str(out), "--force", "--progress", "none",
                   *self.options, *(["--layer", layer] if layer else [])]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        if self.verbose or done.returncode not in (0,):
            sys.stderr.write(done.stderr)
        if done.returncode != 0:
            raise Failure("", done.returncode if done.returncode > 0 else FAILED)
        with self.np.load(out) as archive:
            return [archive[k] for k in archive.files]


# ---- comparing ----

def distance(np, got, want, tolerance):
    """Largest difference, how much may be, and the row where it is. Infinite: not comparable."""
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape:
        return np.inf, 0.0, 0
    if want.dtype.kind in "OSU":
        same = got.astype(str) == np.vectorize(
            lambda s: s.decode() if isinstance(s, bytes) else str(s), otypes=[str])(want)
        return (0.0 if same.all() else np.inf), 0.0, 0
    exact = want.dtype.kind in "biu"
    got, want = got.astype("float64"), want.astype("float64")
    if got.size == 0:
        return 0.0, 0.0, 0
    with np.errstate(invalid="ignore"):
        off = np.abs(got - want)
    off[(got == want) | (np.isnan(got) & np.isnan(want))] = 0
    off[np.isnan(off)] = np.inf
    finite = np.abs(want[np.isfinite(want)])
    limit = 0.0 if exact else 1e-6 + tolerance * (finite.max() if finite.size else 1.0)
    row = int(np.argmax(off.reshape(len(off), -1).max(1)))
    return float(off.max()), float(limit), row


def top_agreement(np, got, want):
    """Rows with the same best class and the same five best; None: no classifier."""
    if len(want) != 1 or want[0].ndim != 2 or want[0].shape[1] < 3 or want[0].dtype.kind != "f":
        return None
    w, g = np.asarray(want[0], "float64"), np.asarray(got[0], "float64")
    if w.shape != g.shape or (w < 0).any() or not np.allclose(w.sum(1), 1, atol=1e-2):
        return None
    k = min(5, w.shape[1])
    best, ours = np.argsort(-w, 1, "stable")[:, :k], np.argsort(-g, 1, "stable")[:, :k]
    return (int((best[:, 0] == ours[:, 0]).sum()),
            int(sum(set(a) == set(b) for a, b in zip(best, ours))))


def tolerance_of(side, model):
    names = ["float32"]
    for layer in getattr(model, "_flatten_layers", lambda: [])():
        names.append(str(getattr(layer, "compute_dtype", "float32")))
    return max(TOLERANCE.get(n, 1e-4) for n in names)


# ---- where they part ----

class Search:
    """Bisects over the calls of a model in topological order. Up to a call nothing differs when no
    value differs that later calls use, so each step compares only those."""

    def __init__(self, np, side, ours, inputs, tolerance):
        self.np, self.side, self.ours = np, side, ours
        self.inputs, self.tolerance = inputs, tolerance
        self.known = {}

    def of_ours(self, path):
        if path not in self.known:
            self.known[path] = self.ours.predict(self.inputs, layer=path)
        return self.known[path]

    def differs(self, graph, nodes, arrays, tensors, prefix, times, number):
        """Whether one of the tensors is not ours. Calls of a layer come one after another, each
        for all calls of the model around (times; this one is `number`)."""
        if not tensors:
            return 0.0
        want = self.side.flatten(self.side.submodel(graph, tensors).predict(
            self.packed(graph, arrays), verbose=0, batch_size=len(arrays[0])))
        worst = 0.0
        for tensor, array in zip(tensors, want):
            node = next(n for n in nodes if any(t is tensor for t in self.side.given(n)))
            layer = self.side.layer_of(node)
            calls = self.calls(layer, nodes)
            own = self.side.given(node)
            place = next(i for i, t in enumerate(own) if t is tensor)
            call = next(i for i, n in enumerate(calls) if n is node)
            got = self.of_ours(prefix + layer.name)
            at = (call * times + number) * len(own) + place
            if at >= len(got):
                return self.np.inf
            off, limit, _ = distance(self.np, got[at], array, self.tolerance)
            worst = max(worst, off if off > limit else 0.0)
        return worst

    def packed(self, graph, arrays):
        form = self.side.structure(graph)
        return arrays if form is None else self.side.pack(form, arrays)

    def calls(self, layer, nodes):
        mine = [n for n in nodes if self.side.layer_of(n) is layer]
        return sorted(mine, key=lambda n: next(
            i for i, m in enumerate(layer._inbound_nodes) if m is n))

    def frontier(self, graph, nodes, k):
        done = {id(t): t for n in nodes[:k + 1] for t in self.side.given(n)}
        used = {id(t) for n in nodes[k + 1:] for t in self.side.taken(n)}
        used |= {id(t) for t in self.side.flatten(graph.outputs)}
        inputs = {id(t) for t in self.side.flatten(graph.inputs)}
        return [t for key, t in done.items() if key in used and key not in inputs]

    def first(self, graph, arrays, prefix="", times=1, number=0):
        """(path, class, difference) of the first call that differs, or None."""
        nodes = self.side.nodes(graph)

        def bad(k):
            return self.differs(graph, nodes, arrays, self.frontier(graph, nodes, k), prefix,
                                times, number)

        if not bad(len(nodes) - 1):
            return None
        low, high = 0, len(nodes) - 1
        while low < high:
            middle = (low + high) // 2
            if bad(middle):
                high = middle
            else:
                low = middle + 1
        node = nodes[low]
        layer = self.side.layer_of(node)
        inner = self.side.graph(layer)
        deeper = None
        if inner is not None:
            taken = self.side.taken(node)
            values = self.side.flatten(self.side.submodel(graph, taken).predict(
                self.packed(graph, arrays), verbose=0, batch_size=len(arrays[0])))
            calls = self.calls(layer, nodes)
            deeper = self.first(inner, values, f"{prefix}{layer.name}/", times * len(calls),
                                next(i for i, n in enumerate(calls) if n is node))
        return deeper or (prefix + layer.name, type(layer).__name__, bad(low))


# ---- all of it ----

def report(args, facts):
    if args.json:
        print(json.dumps(facts))
        return
    text = f"{'agrees' if facts['agrees'] else 'differs'}: {facts['rows']} rows, largest " \
           f"difference {facts['max_difference']:.3g} (up to {facts['limit']:.3g} is rounding)"
    if facts["top1"] is not None:
        text += f", same best class in {facts['top1']}, same five best in {facts['top5']} of " \
                f"{facts['rows']}"
    text += f"; {facts['keras']}"
    if not facts["agrees"]:
        first = facts["first_layer"]
        text += f"; first at layer \"{first['name']}\" ({first['class']}), largest difference " \
                f"{first['max_difference']:.3g}" if first else \
                "; no layer alone differs: it comes from how layers are run together"
    print(text)


def verify(args):
    import numpy as np
    path = pathlib.Path(args.words[0])
    sys.path.insert(0, os.getcwd())
    side = Side(*load(path, args.architecture, args.imports))
    graph = side.graph(side.model)
    tensors = side.flatten(side.model.inputs) if getattr(side.model, "inputs", None) else []
    if not tensors:
        raise Failure("the model does not say the shape of its input: Keras must build it first")
    names = [t._keras_history[0].name for t in tensors]
    fixed = next((int(t.shape[0]) for t in tensors if t.shape[0] is not None), None)
    if args.words[1:] or args.input:
        arrays = given_inputs(np, side, args.words[1:], args.input, tensors, names)
    else:
        rng = np.random.default_rng(0)
        arrays = [random_input(np, rng, side, t, graph, fixed or ROWS) for t in tensors]
    batch = fixed or min(len(arrays[0]), 32)
    try:
        want = [np.asarray(a) for a in side.predict(side.model, arrays, batch)]
    except Exception as error:
        raise Failure(f"Keras does not take these inputs: {first_line(error)}")
    with tempfile.TemporaryDirectory(prefix="kp-verify-") as folder:
        ours = Ours(np, args, path, pathlib.Path(folder))
        got = ours.predict(arrays)
        tolerance = tolerance_of(side, side.model)
        found = [distance(np, g, w, tolerance) for g, w in zip(got, want)]
        agrees = len(got) == len(want) and all(off <= limit for off, limit, _ in found)
        worst = max(found, key=lambda f: f[0] - f[1])
        facts = {"agrees": agrees, "rows": len(arrays[0]), "max_difference": worst[0],
                 "limit": worst[1], "top1": None, "top5": None, "keras": side.name(),
                 "first_layer": None}
        top = top_agreement(np, got, want)
        if top is not None:
            facts["top1"], facts["top5"] = top
        if not agrees and graph is not None:
            rows = slice(None) if fixed else slice(worst[2], worst[2] + 1)
            few = [a[rows] for a in arrays]
            first = Search(np, side, ours, few, tolerance).first(graph, few)
            if first:
                facts["first_layer"] = dict(zip(("name", "class", "max_difference"), first))
    report(args, facts)
    return AGREE if agrees else DIFFER


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--architecture")
    parser.add_argument("--input", action="append", default=[])
    parser.add_argument("--import", dest="imports", action="append", default=[])
    parser.add_argument("--plugin", action="append", default=[])
    parser.add_argument("--device")
    parser.add_argument("--threads")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("words", nargs="+")
    args = parser.parse_args()
    try:
        return verify(args)
    except Failure as failure:
        if str(failure):
            print(f"kpredict: verify: {failure}", file=sys.stderr)
        return failure.status
    except ImportError as error:
        print(f"kpredict: verify: {sys.executable} lacks what it needs ({first_line(error)}): name "
              "a Python that has Keras with --python PATH", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())

"""kpredict verify with the real Keras: agreement, where the numbers part, and what keeps it from
finding out."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
np = pytest.importorskip("numpy")
keras = pytest.importorskip("keras")
TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("KP_BUILD_DIR", "build")).resolve()
L, K = keras.layers, keras


def verify(*args, status=0, **env):
    paths = os.pathsep.join([str(TOP / "tests/verify"), str(TOP / "examples/layers")])
    done = subprocess.run([BUILD / "kpredict", "verify", "--python", sys.executable, *map(str, args)],
                          capture_output=True, text=True, timeout=300,
                          env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": "1", "PYTHONPATH": paths, **env})
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return done


def facts(*args, **kw):
    return json.loads(verify("--json", *args, **kw).stdout)


def graph_model():
    x, y = K.Input((6,), name="left"), K.Input((5,), name="right")
    a = L.Dense(7, name="one")(x)
    inner_in = K.Input((7,))
    inner = K.Model(inner_in, L.Dense(4, name="deep_b")(L.ReLU()(L.Dense(6, name="deep_a")(inner_in))), name="inner")
    shared = L.Dense(7, name="shared")
    b = shared(shared(L.Dense(7, name="two")(y)))
    z = L.Concatenate()([inner(a), L.Dense(3, name="side")(a), inner(b)])
    return K.Model([x, y], [L.Dense(5, activation="softmax", name="kind")(z), L.Dense(2, name="other")(b)])


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "graph.keras"
    graph_model().save(path)
    return path


def test_random_inputs_agree(graph):
    got = facts(graph)
    assert got["agrees"] and got["rows"] == 8 and 0 <= got["max_difference"] <= got["limit"]
    assert got["first_layer"] is None and got["keras"].startswith("Keras ")


def test_one_line_for_a_classifier():
    done = verify(TOP / "examples/digits/digits.keras")
    assert done.stdout.startswith("agrees: 8 rows") and done.stdout.count("\n") == 1
    assert "same best class in 8, same five best in 8 of 8" in done.stdout and done.stderr == ""


def test_images_arrays_and_tables(tmp_path):
    images = TOP / "examples/digits/images/5"
    assert facts(TOP / "examples/digits/digits.keras", images)["rows"] == len(list(images.iterdir()))
    rows = np.random.default_rng(1).normal(size=(40, 5)).astype("float32")
    np.save(tmp_path / "x.npy", rows)
    np.savetxt(tmp_path / "x.csv", rows, delimiter=",")
    for name in ("x.npy", "x.csv"):
        assert facts(TOP / "examples/recipe/recipe.keras", tmp_path / name)["rows"] == 40


def test_inputs_by_name(graph, tmp_path):
    rng = np.random.default_rng(2)
    left, right = rng.normal(size=(3, 6)), rng.normal(size=(3, 5))
    np.savez(tmp_path / "in.npz", right=right, left=left)
    np.save(tmp_path / "l.npy", left)
    np.save(tmp_path / "r.npy", right)
    assert facts(graph, tmp_path / "in.npz")["rows"] == 3
    assert facts(graph, "--input", f"right={tmp_path / 'r.npy'}", "--input", f"left={tmp_path / 'l.npy'}")["agrees"]
    assert "no input" in verify(graph, "--input", f"up={tmp_path / 'r.npy'}", status=2).stderr


@pytest.mark.parametrize("layer, found", [("two", "two"), ("deep_a", "inner/deep_a"), ("kind", "kind")])
def test_where_the_numbers_part(graph, layer, found):
    got = facts(graph, "--import", "spoil", status=6, SPOIL=f"{layer}=0.25")
    assert not got["agrees"]
    assert got["first_layer"]["name"] == found and got["first_layer"]["class"] == "Dense"
    if layer != "kind":
        assert got["first_layer"]["max_difference"] == pytest.approx(0.25, rel=1e-3)


def test_the_line_says_where(graph):
    text = verify(graph, "--import", "spoil", status=6, SPOIL="deep_b=-2").stdout
    assert text.startswith("differs: ") and 'first at layer "inner/deep_b" (Dense)' in text


def test_user_layer(tmp_path):
    path, so = TOP / "examples/layers/swish.keras", BUILD / "examples/swish.so"
    assert facts(path, "--plugin", so, "--import", "my_layers")["agrees"]
    wrong = tmp_path / "wrong.c"
    wrong.write_text((TOP / "examples/layers/swish.c").read_text().replace('"mul"', '"add"'))
    subprocess.run(["cc", "-shared", "-fPIC", f"-I{TOP}/include", wrong, "-o", tmp_path / "wrong.so"], check=True)
    got = facts(path, "--plugin", tmp_path / "wrong.so", "--import", "my_layers", status=6)
    assert got["first_layer"]["name"] == "swish" and got["first_layer"]["class"] == "Swish"
    assert "--import" in verify(path, "--plugin", so, status=1).stderr


def test_what_keeps_it_from_finding_out(graph, tmp_path):
    line = verify(graph, "--python", "/nowhere/python3", status=1).stderr
    assert "/nowhere/python3" in line and "--python" in line
    bare = tmp_path / "python3"
    bare.write_text(f"#!/bin/sh\nexec {sys.executable} -I -S \"$@\"\n")
    bare.chmod(0o755)
    assert "--python" in verify(graph, "--python", bare, status=1).stderr
    assert "no such input" in verify(graph, tmp_path / "none.npy", status=74).stderr
    (tmp_path / "bad.keras").write_bytes(b"PK\3\4 nothing")
    assert "bad.keras" in verify(tmp_path / "bad.keras", status=4).stderr
    verify(status=2)


def test_python_of_the_environment(graph, tmp_path):
    (tmp_path / "bin").mkdir()
    said = tmp_path / "bin/python3"
    said.write_text("#!/bin/sh\necho from the environment\nexit 0\n")
    said.chmod(0o755)
    done = subprocess.run([BUILD / "kpredict", "verify", graph], capture_output=True, text=True,
                          env={**os.environ, "VIRTUAL_ENV": str(tmp_path)})
    assert done.stdout == "from the environment\n"


def test_words_and_numbers(tmp_path):
    x = K.Input((7,), dtype="int32", name="tokens")
    y = L.Conv1D(5, 3)(L.Embedding(11, 4)(x))
    K.Model(x, L.Dense(3)(L.GlobalMaxPooling1D()(y))).save(tmp_path / "m.keras")
    assert facts(tmp_path / "m.keras")["agrees"]
    x = K.Input((None, None, 3))
    K.Model(x, L.GlobalAveragePooling2D()(L.Conv2D(4, 3)(L.Rescaling(1 / 255)(x)))).save(tmp_path / "o.h5")
    assert facts(tmp_path / "o.h5")["agrees"]

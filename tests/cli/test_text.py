"""Strings through the command: NPY and CSV in, every format out, batches as Keras' predict forms them."""

import csv
import json
import sys
import pathlib

import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
keras = pytest.importorskip("keras")
import tensorflow as tf

L = keras.layers
WORDS = ["red", "green", "blue, dark", "grün", "日本", "two\nlines"]
GIVEN = ["red", 'say "hi"', "blue, dark", "grün", "日本", "two\nlines", "green"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An echo of known words, and a model that pads to the longest text of a batch."""
    top = tmp_path_factory.mktemp("text")
    x = keras.Input((1,), dtype="string", name="colour")
    y = L.StringLookup(vocabulary=WORDS, invert=True, name="word")(L.StringLookup(vocabulary=WORDS)(x))
    keras.Model(x, y).save(top / "echo.keras")
    t = keras.Input((1,), dtype="string", name="text")
    ids = L.TextVectorization(vocabulary=["a", "b", "c", "foo"])(t)
    model = keras.Model(t, L.Dense(3)(L.GlobalAveragePooling1D()(L.Embedding(6, 5)(ids))))
    model.save(top / "pad.keras")
    rng = np.random.default_rng(4)
    lines = np.array([" ".join(rng.choice(["a", "b", "c", "foo", "zz"], rng.integers(1, 9))) for _ in range(100)])
    return top, lines[:, None], model


def write_csv(path, table):
    with open(path, "w", newline="") as f:
        csv.writer(f).writerows(table)


def read(path):
    if path.suffix == ".npy":
        return np.load(path)
    if path.suffix == ".npz":
        with np.load(path) as z:
            return z["word"]
    if path.suffix == ".csv":
        with open(path, newline="") as f:
            head, *rows = csv.reader(f)
        assert head == ["file", "word_0"]
        return np.array([r[1:] for r in rows])
    return np.array([json.loads(line)["outputs"]["word"] for line in path.read_text().splitlines()])


@pytest.mark.parametrize("source", ["u.npy", "s.npy", "in.csv", "in.npz"])
@pytest.mark.parametrize("out", ["o.npy", "o.npz", "o.csv", "o.jsonl"])
def test_strings_in_and_out(kpredict, made, tmp_path, source, out):
    x = np.array(GIVEN * 30)[:, None]
    want = np.array([w if w in WORDS else "[UNK]" for w in GIVEN * 30])[:, None]
    np.save(tmp_path / "u.npy", x)
    np.save(tmp_path / "s.npy", np.char.encode(x, "utf-8"))
    np.savez(tmp_path / "in.npz", colour=x)
    write_csv(tmp_path / "in.csv", x.tolist())
    p = kpredict("run", made[0] / "echo.keras", tmp_path / source, "-o", tmp_path / out)
    assert p.returncode == 0, p.stderr
    got = read(tmp_path / out)
    assert got.dtype.kind == "U" and got.shape == want.shape and (got == want).all()


def test_batches_are_those_of_predict(kpredict, made, tmp_path):
    top, lines, model = made
    np.save(tmp_path / "t.npy", lines)
    np.save(tmp_path / "t0.npy", lines[:37])
    np.save(tmp_path / "t1.npy", lines[37:])
    write_csv(tmp_path / "t.csv", lines.tolist())
    for size in (32, 7):
        want = model.predict(tf.constant(lines), batch_size=size, verbose=0)
        for source in (["t.npy"], ["t.csv"], ["t0.npy", "t1.npy"]):
            p = kpredict("run", top / "pad.keras", *[tmp_path / s for s in source], "-b", str(size), "-o",
                         tmp_path / "o.npy", "--force")
            assert p.returncode == 0, p.stderr
            assert np.abs(np.load(tmp_path / "o.npy") - want).max() < 1e-6
    alone = model.predict(tf.constant(lines), batch_size=1, verbose=0)
    assert np.abs(alone - want).max() > 1e-3, "the padding must matter in this test"


def test_rows_of_text_that_fail(kpredict, made, tmp_path):
    (tmp_path / "x.csv").write_text('red\ngreen,more\n"grün\n')
    p = kpredict("run", made[0] / "echo.keras", tmp_path / "x.csv", "-o", tmp_path / "o.jsonl")
    assert p.returncode == 3
    rows = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert rows[0]["outputs"]["word"] == ["red"]
    assert [r["error"]["code"] for r in rows[1:]] == ["shape", "decode"]


def test_numbers_where_text_belongs(kpredict, made, tmp_path):
    np.save(tmp_path / "n.npy", np.ones((3, 1), "f4"))
    p = kpredict("run", made[0] / "echo.keras", tmp_path / "n.npy", "-o", tmp_path / "o.npy")
    assert p.returncode == 2 and "strings" in p.stderr
    np.save(tmp_path / "t.npy", np.array([["a"]]))
    p = kpredict("run", pathlib.Path(__file__).parents[1] / "data" / "models" / "recipe.keras", tmp_path / "t.npy",
                 "-o", tmp_path / "o.npy")
    assert p.returncode == 2, p.stderr


def test_rows_as_long_as_their_batch_are_refused(kpredict, tmp_path):
    t = keras.Input((1,), dtype="string")
    keras.Model(t, L.TextVectorization(vocabulary=["a", "b"])(t)).save(tmp_path / "m.keras")
    np.save(tmp_path / "t.npy", np.array([["a b"], ["a"]]))
    p = kpredict("run", tmp_path / "m.keras", tmp_path / "t.npy", "-o", tmp_path / "o.npy")
    assert p.returncode == 2 and "output_sequence_length" in p.stderr, p.stderr

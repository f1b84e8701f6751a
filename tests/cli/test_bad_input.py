"""Every failure has an exit status and a last line that says what, where and what to do; bad items
become records, and the results of the others are the same bytes as without them."""

import json
import os
import re
import resource
import shutil
import struct
import zlib

import numpy as np
import pytest

import sys
import pathlib
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cli_kit import MODELS, folder, last_line, picture, rows, unprivileged

CNN = MODELS / "cnn.keras"
RECIPE = MODELS / "recipe.keras"


def check_words(line):
    """No source line, no address, one line."""
    assert line.startswith("kpredict: "), line
    assert not re.search(r"\.c:\d|0x[0-9a-f]{6,}|KP_E", line), line


def refused(process, status, *words):
    line = last_line(process)
    assert process.returncode == status, process.stderr
    check_words(line)
    for word in words:
        assert word in line, line
    assert process.stdout == ""


# ---- the whole run is refused ----

def test_missing_input(kpredict, tmp_path):
    refused(kpredict("run", CNN, tmp_path / "none", "-o", tmp_path / "p.csv"), 74, "none", "No such file")
    assert os.listdir(tmp_path) == []


def test_missing_model(kpredict, tmp_path):
    folder(tmp_path / "in", 1)
    refused(kpredict("run", tmp_path / "none.keras", tmp_path / "in"), 4, "none.keras", "No such file")


def test_empty_folder(kpredict, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("no image")
    refused(kpredict("run", CNN, tmp_path / "in", "-o", tmp_path / "p.csv"), 1, "nothing to do", "in")
    assert not (tmp_path / "p.csv").exists()


def test_unreadable_folder(kpredict, tmp_path):
    folder(tmp_path / "in", 1)
    os.chmod(tmp_path, 0o755)
    os.chmod(tmp_path / "in", 0)
    try:
        p = kpredict("run", CNN, tmp_path / "in", cwd="/", **unprivileged())
        refused(p, 74, "in", "Permission denied")
    finally:
        os.chmod(tmp_path / "in", 0o755)


@pytest.mark.parametrize("content", [b"", b"this is no model", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n" + b"\0" * 500])
def test_model_that_is_none(kpredict, tmp_path, content):
    model = tmp_path / "m.keras"
    model.write_bytes(content)
    picture(tmp_path / "a.png")
    refused(kpredict("run", model, tmp_path / "a.png"), 4, "m.keras")


@pytest.mark.parametrize("part", [0.3, 0.7, 0.99])
@pytest.mark.parametrize("name", ["cnn.keras", "cnn.h5"])
def test_model_cut_short(kpredict, tmp_path, name, part):
    whole = (MODELS / name).read_bytes()
    model = tmp_path / name
    model.write_bytes(whole[:int(len(whole) * part)])
    picture(tmp_path / "a.png")
    refused(kpredict("run", model, tmp_path / "a.png"), 4, name)


@pytest.mark.parametrize("shape", [(10, 4), (10, 5, 5), (10, 6)])
def test_array_that_does_not_fit(kpredict, tmp_path, shape):
    np.save(tmp_path / "x.npy", np.ones(shape, "f4"))
    refused(kpredict("run", RECIPE, tmp_path / "x.npy", "-o", tmp_path / "p.npy"), 2, "features", "(None, 5)")
    assert not (tmp_path / "p.npy").exists()


def test_table_that_does_not_fit(kpredict, tmp_path):
    (tmp_path / "x.csv").write_text("1,2,3\n4,5,6\n")
    refused(kpredict("run", RECIPE, tmp_path / "x.csv"), 2, "(None, 3)", "(None, 5)")


@pytest.mark.parametrize("content, words", [
    (b"no array", "not an NPY"), (b"", "ends within"), (b"\x93NUMPY\x01\x00\xff\xff{", "ends within")])
def test_array_that_is_none(kpredict, tmp_path, content, words):
    (tmp_path / "x.npy").write_bytes(content)
    refused(kpredict("run", RECIPE, tmp_path / "x.npy"), 74, "x.npy", words)


def test_array_cut_short(kpredict, tmp_path):
    np.save(tmp_path / "x.npy", rows())
    os.truncate(tmp_path / "x.npy", 1000)
    refused(kpredict("run", RECIPE, tmp_path / "x.npy"), 74, "x.npy", "cut short")


def test_output_folder_missing(kpredict, tmp_path):
    picture(tmp_path / "a.png")
    refused(kpredict("run", CNN, tmp_path / "a.png", "-o", tmp_path / "none" / "p.csv"), 74, "none")


def test_output_exists(kpredict, tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "p.csv").write_text("mine")
    refused(kpredict("run", CNN, tmp_path / "a.png", "-o", tmp_path / "p.csv"), 2, "p.csv", "--force")
    assert (tmp_path / "p.csv").read_text() == "mine"
    p = kpredict("run", CNN, tmp_path / "a.png", "-o", tmp_path / "p.csv", "--force")
    assert p.returncode == 0
    assert (tmp_path / "p.csv").read_text().startswith("file,rank")


def test_disk_full(kpredict, tmp_path):
    np.save(tmp_path / "x.npy", rows(20000))
    p = kpredict("run", RECIPE, tmp_path / "x.npy", "--format", "csv", "-o", "/dev/full", "-q")
    refused(p, 74, "/dev/full", "No space left")


LIMIT = 16 << 20 # above the shared memory of these small models, which counts as files too


def small_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))


def test_disk_full_in_the_middle(kpredict, tmp_path):
    """A limit on the size of files stands for a disk: the rows that went out are whole."""
    np.save(tmp_path / "x.npy", rows(800000))
    p = kpredict("run", RECIPE, tmp_path / "x.npy", "-o", tmp_path / "p.csv", preexec_fn=small_files)
    assert p.returncode == 74
    check_words(last_line(p))
    assert "p.csv" in last_line(p)
    left = (tmp_path / "p.csv.partial").read_bytes()
    assert LIMIT * 0.9 < len(left) <= LIMIT and left.endswith(b"\r\n")
    assert not (tmp_path / "p.csv").exists()


def test_no_space_for_an_array_of_known_size(kpredict, tmp_path):
    np.save(tmp_path / "x.npy", np.ones((700000, 5), "f2"))
    p = kpredict("run", MODELS / "two_outputs.keras", tmp_path / "x.npy", "-o", tmp_path / "p.npz",
                 preexec_fn=small_files)
    refused(p, 74, "p.npz", str(LIMIT))
    assert not (tmp_path / "p.npz.partial").exists()


@pytest.mark.parametrize("options, words", [
    (["--crop-to-aspect-ratio", "--pad-to-aspect-ratio"], "contradict"),
    (["--top", "3", "-o", "p.npy"], "--top"),
    (["--json"], "-o OUT"),
    (["--header"], "--header"),
    (["--null"], "--null"),
    (["--format", "npy"], "-o"),
    (["--format", "xml"], "xml"),
    (["-o", "p.xyz"], "p.xyz"),
    (["--output", "none"], "classes"),
    (["--resume"], "--resume"),
    (["--trace", "t.json"], "--trace"),
    (["--plugin", "p.so"], "p.so"),
    (["--precision", "int8"], "int8"),
    (["--preprocess", "python:m:f"], "python:"),
    (["--preprocess", "coffee"], "coffee"),
    (["--resize", "tf-bilinaer"], "did you mean tf-bilinear"),
    (["--bathc-size", "3"], "did you mean --batch-size"),
    (["--workers", "0"], "--workers"),
    (["--workers", "x"], "--workers"),
    (["--image-size", "32"], "--image-size"),
    (["--max-failures", "lots"], "--max-failures"),
    (["--item-timeout", "-1"], "--item-timeout"),
    (["--limit"], "--limit"),
])
def test_options_that_contradict(kpredict, tmp_path, options, words):
    picture(tmp_path / "a.png")
    refused(kpredict("run", CNN, "a.png", *options, cwd=tmp_path), 2, words)
    assert os.listdir(tmp_path) == ["a.png"]


def test_labels_that_do_not_fit(kpredict, tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "labels.txt").write_text("cat\ndog\nowl\n")
    refused(kpredict("run", CNN, tmp_path / "a.png", "--classes", tmp_path / "labels.txt"), 2, "3 labels", "7")


@pytest.mark.parametrize("device", ["cuda:0", "gpu", "/GPU:0", "tpu"])
def test_device_that_is_not_there(kpredict, tmp_path, device):
    picture(tmp_path / "a.png")
    refused(kpredict("run", CNN, tmp_path / "a.png", "-d", device), 5, device)


def test_verbs(kpredict):
    p = kpredict()
    assert p.returncode == 2 and p.stdout == "" and "kpredict run model.keras" in p.stderr
    refused(kpredict("rnu", "x"), 2, "did you mean run")
    refused(kpredict("serve", "x"), 2, "serve")
    refused(kpredict("summary"), 2, "summary")


# ---- single items fail ----

def png_of_size(width, height):
    """A header that tells of a huge picture, with hardly any data."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b""))


def cut(path, out):
    data = path.read_bytes()
    out.write_bytes(data[:len(data) // 2])


def make_bad(top):
    """name of the bad file -> code; they sort between and behind the good ones."""
    good = picture(top / "source" / "good.jpg", 77, (80, 90))
    in_ = top / "in"
    (in_ / "cat" / "0a.jpg").write_bytes(b"this is not an image")
    (in_ / "cat" / "1a.png").write_bytes(b"")
    cut(good, in_ / "dog" / "0a.jpg")
    (in_ / "dog" / "1a.png").write_bytes(png_of_size(65000, 65000))
    os.symlink("nowhere", in_ / "dog" / "2a.png")
    os.mkfifo(in_ / "owl" / "1a.jpg")
    return {"cat/0a.jpg": "decode", "cat/1a.png": "decode", "dog/0a.jpg": "decode", "dog/1a.png": "limit",
            "dog/2a.png": "open", "owl/1a.jpg": "open"}


def lines_of(path, without=()):
    """Lines of a CSV by file, in order."""
    found = {}
    for line in path.read_bytes().split(b"\r\n")[1:-1]:
        found.setdefault(line.split(b",")[0].decode(), []).append(line)
    return {k: v for k, v in found.items() if k not in without}


@pytest.mark.parametrize("resize", ["tf-bilinear", "pil-bicubic"])
def test_bad_items_become_records(kpredict, tmp_path, resize):
    folder(tmp_path / "in")
    p = kpredict("run", CNN, "in", "-o", "before.csv", "--resize", resize, cwd=tmp_path)
    assert p.returncode == 0, p.stderr
    bad = make_bad(tmp_path)
    p = kpredict("run", CNN, "in", "-o", "after.csv", "--resize", resize, cwd=tmp_path)
    assert p.returncode == 3, p.stderr
    assert last_line(p) == "Processed 12 samples."
    records = [json.loads(line) for line in open(tmp_path / "after.errors.jsonl")]
    assert {r["file"].removeprefix("in/"): r["code"] for r in records} == bad
    assert all(r["message"] for r in records)
    names = {f"in/{name}" for name in bad}
    after = lines_of(tmp_path / "after.csv")
    assert lines_of(tmp_path / "before.csv") == {k: v for k, v in after.items() if k not in names}
    for r in records:
        assert after[r["file"]] == [r["file"].encode() + b",,,,"]
        assert list(after).index(r["file"]) == r["index"]
    assert not (tmp_path / "before.errors.jsonl").exists()


def test_wrong_ending(kpredict, tmp_path):
    """What a file holds decides, not its name; a name that is no image's is not taken from a folder."""
    picture(tmp_path / "a.png", 5)
    (tmp_path / "in").mkdir()
    shutil.copy(tmp_path / "a.png", tmp_path / "in" / "b.jpg")
    shutil.copy(tmp_path / "a.png", tmp_path / "in" / "c.data")
    p = kpredict("run", CNN, tmp_path / "in", "--top", 0, "-o", tmp_path / "p.csv")
    assert p.returncode == 0 and last_line(p) == "Processed 1 samples."
    q = kpredict("run", CNN, tmp_path / "a.png", "--top", 0, "-o", tmp_path / "q.csv")
    assert q.returncode == 0
    assert (tmp_path / "p.csv").read_text().split(",")[8:] == (tmp_path / "q.csv").read_text().split(",")[8:]
    refused(kpredict("run", CNN, tmp_path / "in" / "c.data", tmp_path / "x.txt"), 74, "x.txt")
    (tmp_path / "x.txt").write_text("words")
    refused(kpredict("run", CNN, tmp_path / "x.txt"), 2, "x.txt", "--list")


def test_file_that_vanishes(kpredict, tmp_path):
    a = picture(tmp_path / "a.png")
    (tmp_path / "list").write_text(f"{a}\n{tmp_path}/gone.png\n{a}\n{tmp_path}\n")
    p = kpredict("run", CNN, "--list", tmp_path / "list", "-o", tmp_path / "p.jsonl")
    assert p.returncode == 3 and last_line(p) == "Processed 2 samples."
    lines = [json.loads(line) for line in open(tmp_path / "p.jsonl")]
    assert [line["index"] for line in lines] == [0, 1, 2, 3]
    assert lines[1]["error"]["code"] == "open" and lines[3]["error"]["code"] == "open"
    assert lines[0]["top"] == lines[2]["top"]


def test_sub_folder_that_cannot_be_read(kpredict, tmp_path):
    """It is one item that fails: what lies in it is not left out in silence."""
    folder(tmp_path / "in", 2)
    os.chmod(tmp_path, 0o777)
    os.chmod(tmp_path / "in" / "dog", 0)
    try:
        p = kpredict("run", CNN, "in", "-o", "p.csv", cwd=tmp_path, **unprivileged())
    finally:
        os.chmod(tmp_path / "in" / "dog", 0o755)
    assert p.returncode == 3 and last_line(p) == "Processed 4 samples."
    record, = [json.loads(line) for line in open(tmp_path / "p.errors.jsonl")]
    assert (record["index"], record["file"], record["code"]) == (2, "in/dog", "open")


def test_lists_that_give_nothing(kpredict, tmp_path):
    refused(kpredict("run", CNN, "--list", tmp_path / "none"), 74, "none", "No such file")
    refused(kpredict("run", CNN, "--list", tmp_path), 74, "folder")
    refused(kpredict("run", CNN, "--list", "-", "-o", tmp_path / "p.csv", stdin=open("/dev/null")), 1, "nothing")
    refused(kpredict("run", CNN), 2, "no input")
    refused(kpredict("run"), 2, "needs a model")
    assert os.listdir(tmp_path) == []


def test_inputs_that_do_not_go_together(kpredict, tmp_path):
    picture(tmp_path / "a.png")
    np.save(tmp_path / "x.npy", rows())
    np.save(tmp_path / "y.npy", rows(3))
    np.save(tmp_path / "none.npy", rows(0))
    for words in [["a.png", "x.npy"], ["x.npy", "--list", "-"], ["-"]]:
        refused(kpredict("run", RECIPE, *words, cwd=tmp_path), 2)
    refused(kpredict("run", MODELS / "two_inputs.keras", "--input", "a=x.npy", "--input", "b=y.npy", cwd=tmp_path),
            2, "not equally long", "100", "3")
    refused(kpredict("run", RECIPE, "none.npy", cwd=tmp_path), 1, "no rows")
    refused(kpredict("run", RECIPE, "x.npy", "--skip", "100", cwd=tmp_path), 1, "--skip")
    refused(kpredict("run", CNN, "--input", "picture=a.png", cwd=tmp_path), 2, "picture", "image")


def test_all_items_fail(kpredict, tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    p = kpredict("run", CNN, tmp_path / "a.png", "-o", tmp_path / "p.npy")
    assert p.returncode == 3 and last_line(p) == "Processed 0 samples."
    values = np.load(tmp_path / "p.npy")
    assert values.shape == (1, 7) and np.isnan(values).all()


def test_too_many_failures(kpredict, tmp_path):
    for i in range(20):
        (tmp_path / f"{i}.png").write_bytes(b"")
    p = kpredict("run", CNN, tmp_path, "-o", tmp_path / "p.csv", "--max-failures", 5)
    assert p.returncode == 1
    check_words(last_line(p))
    assert "too many" in last_line(p)
    assert (tmp_path / "p.csv.partial").exists() and not (tmp_path / "p.csv").exists()


def test_nan_rows_pass(kpredict, tmp_path):
    x = rows()
    x[7, 2] = np.nan
    np.save(tmp_path / "x.npy", x)
    p = kpredict("run", RECIPE, tmp_path / "x.npy", "-o", tmp_path / "p.npy")
    assert p.returncode == 0 and last_line(p) == "Processed 100 samples."
    y = np.load(tmp_path / "p.npy")
    assert np.isnan(y[7]).all() and not np.isnan(np.delete(y, 7, 0)).any()
    assert not (tmp_path / "p.errors.jsonl").exists()


def test_bad_rows_of_a_table(kpredict, tmp_path):
    x = rows(50)
    good = [",".join(f"{v:.9g}" for v in row) for row in x]
    (tmp_path / "good.csv").write_text("\n".join(good) + "\n")
    (tmp_path / "bad.csv").write_text("\n".join(good[:20] + ["1,2,three,4,5", "1,2"] + good[20:]) + "\n")
    assert kpredict("run", RECIPE, tmp_path / "good.csv", "-o", tmp_path / "g.npy").returncode == 0
    p = kpredict("run", RECIPE, tmp_path / "bad.csv", "-o", tmp_path / "b.npy")
    assert p.returncode == 3 and last_line(p) == "Processed 50 samples."
    b = np.load(tmp_path / "b.npy")
    assert np.isnan(b[20:22]).all()
    assert np.delete(b, [20, 21], 0).tobytes() == np.load(tmp_path / "g.npy").tobytes()
    codes = [json.loads(line)["code"] for line in open(tmp_path / "b.errors.jsonl")]
    assert codes == ["decode", "shape"]

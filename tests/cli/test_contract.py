"""What a strict reader of the command's contract tries: order, names, closed descriptors, words."""

import json
import os
import signal
import subprocess
import zipfile

import numpy as np
import pytest

from cli_kit import MODELS, folder, last_line, picture, rows


def with_repeated_output(path):
    """two_outputs.keras with the same output twice."""
    with zipfile.ZipFile(MODELS / "two_outputs.keras") as old, zipfile.ZipFile(path, "w") as new:
        for member in old.infolist():
            data = old.read(member)
            if member.filename == "config.json":
                config = json.loads(data)
                first = config["config"]["output_layers"][0]
                config["config"]["output_layers"] = [first, first]
                data = json.dumps(config).encode()
            new.writestr(member, data)
    return path


def test_repeated_output_by_its_written_name(kpredict, tmp_path):
    model = with_repeated_output(tmp_path / "m.keras")
    np.save(tmp_path / "x.npy", rows(3))
    p = kpredict("run", model, tmp_path / "x.npy", "-o", tmp_path / "p.npy")
    assert p.returncode == 2 and '"kind", "kind_1"' in last_line(p)
    p = kpredict("run", model, tmp_path / "x.npy", "--output", "kind_1", "--top", 0, "--format", "csv")
    assert p.returncode == 0, p.stderr
    assert p.stdout.startswith("file,kind_1_0,kind_1_1,kind_1_2\r\n") or \
        p.stdout.startswith("file,kind_1_0,kind_1_1,kind_1_2\n")


def test_list_has_its_place(kpredict, tmp_path):
    images = folder(tmp_path / "images", per_class=1)
    (tmp_path / "list").write_text(f"{images[2]}\n{images[0]}\n")
    p = kpredict("run", MODELS / "cnn.keras", images[1], "--list", tmp_path / "list", images[1],
                 "--top", 1)
    got = [json.loads(line)["file"] for line in p.stdout.splitlines()]
    assert got == [str(images[i]) for i in (1, 2, 0, 1)]


def test_list_only_once(kpredict, tmp_path):
    (tmp_path / "list").write_text("a.jpg\n")
    p = kpredict("run", MODELS / "cnn.keras", "--list", tmp_path / "list", "--list", tmp_path / "list")
    assert p.returncode == 2 and "--list is given 2 times" in last_line(p)


def test_list_shorter_than_skip(kpredict, tmp_path):
    image = picture(tmp_path / "a.png")
    (tmp_path / "list").write_text(f"{image}\n{image}\n")
    p = kpredict("run", MODELS / "cnn.keras", "--list", tmp_path / "list", "--skip", 5)
    assert p.returncode == 1 and "--skip 5 passes over all items" in last_line(p)


def run_without(build, descriptors, *args):
    """Runs the command with some of the standard descriptors closed."""
    shut = " ".join(f"{d}>&-" if d else "<&-" for d in descriptors)
    return subprocess.run(["sh", "-c", f'exec "$0" "$@" {shut}', build / "kpredict", *map(str, args)],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=60)


def test_closed_stdout(build, tmp_path):
    folder(tmp_path / "images")
    p = run_without(build, [1], "run", MODELS / "cnn.keras", tmp_path / "images")
    assert p.returncode == 74
    assert "standard output" in last_line(p) and "Bad file descriptor" in last_line(p)


def test_closed_descriptors_do_not_mix(build, tmp_path):
    folder(tmp_path / "images")
    out = tmp_path / "p.csv"
    args = ["run", MODELS / "cnn.keras", tmp_path / "images", "--top", 1, "-v", "-o"]
    assert run_without(build, [], *args, tmp_path / "open.csv").returncode == 0
    assert run_without(build, [0, 1, 2], *args, out).returncode == 0
    assert out.read_bytes() == (tmp_path / "open.csv").read_bytes()
    assert run_without(build, [0], "run", MODELS / "cnn.keras", "--list", "-").returncode == 74


def test_standard_output_by_its_other_name(build, tmp_path):
    np.save(tmp_path / "x.npy", rows(3))
    before = os.readlink("/dev/stdout")
    with open(tmp_path / "got.csv", "wb") as to:
        p = subprocess.run([build / "kpredict", "run", MODELS / "recipe.keras", tmp_path / "x.npy", "-o",
                            "/dev/stdout", "--format", "csv"], stdout=to, stderr=subprocess.PIPE, timeout=60)
    assert p.returncode == 0, p.stderr
    assert len((tmp_path / "got.csv").read_text().splitlines()) == 4
    assert os.readlink("/dev/stdout") == before


def test_help_says_when_it_cannot_be_written(build):
    with open("/dev/full", "wb") as full:
        for args in (["help"], ["help", "run"], ["run", "--help"], ["--version"]):
            p = subprocess.run([build / "kpredict", *args], stdout=full, stderr=subprocess.PIPE,
                               text=True, timeout=60)
            assert p.returncode == 74 and "standard output" in last_line(p), args


def test_help_of_later_verbs(kpredict):
    for verb in ("serve",):
        p = kpredict(verb, "--help")
        assert p.returncode == 0 and "later version" in p.stdout
        assert p.stdout == kpredict("help", verb).stdout


def test_far_words_are_no_suggestion(kpredict):
    p = kpredict("run", "m.keras", "--foo")
    assert p.returncode == 2 and "did you mean" not in p.stderr
    assert "did you mean --workers" in kpredict("run", "m.keras", "--wrokers", 2).stderr


def test_report_of_a_name_that_is_not_utf8(kpredict, build, tmp_path):
    np.save(tmp_path / "x.npy", rows(3))
    out = os.fsencode(tmp_path) + b"/p\xff\"\xc3\xa9.csv"
    p = subprocess.run([build / "kpredict", "run", MODELS / "recipe.keras", tmp_path / "x.npy", "-o", out,
                        "--json"], capture_output=True, timeout=60)
    assert p.returncode == 0, p.stderr
    assert os.fsencode(json.loads(p.stdout)["output"]) == out


def test_dry_run_makes_no_report(kpredict, tmp_path):
    np.save(tmp_path / "x.npy", rows(3))
    p = kpredict("run", MODELS / "recipe.keras", tmp_path / "x.npy", "--dry-run", "--json")
    assert p.returncode == 2 and "--dry-run" in last_line(p) and p.stdout == ""


def test_dry_run_of_arrays_asks_for_nothing(kpredict, tmp_path):
    np.save(tmp_path / "x.npy", rows(3))
    p = kpredict("run", MODELS / "recipe.keras", tmp_path / "x.npy", "--dry-run")
    assert "asked for" not in p.stdout and "arrays are taken as they are" in p.stdout


def test_too_many_failures_without_errors_file(kpredict, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_text("no")
    p = kpredict("run", MODELS / "cnn.keras", tmp_path / "images", "--max-failures", 0)
    assert p.returncode == 1 and '""' not in last_line(p)
    p = kpredict("run", MODELS / "cnn.keras", tmp_path / "images", "--max-failures", 0, "-o",
                 tmp_path / "p.csv")
    assert p.returncode == 1 and "p.errors.jsonl" in last_line(p)


@pytest.mark.parametrize("mode", ["mean=1:2", "std=1:2:3:4", "scale=2,mean=1:2:3:4"])
def test_scaling_for_other_channels(kpredict, tmp_path, mode):
    p = kpredict("run", MODELS / "cnn.keras", picture(tmp_path / "a.png"), "--preprocess", mode)
    assert p.returncode == 2 and "channels" in last_line(p)


def test_label_file_that_is_no_class_index(kpredict, tmp_path):
    image = picture(tmp_path / "a.png")
    for text in ('{"0": ', '["a", "b"]', "a\nb\n"):
        (tmp_path / "l.json").write_text(text)
        p = kpredict("run", MODELS / "cnn.keras", image, "--classes", tmp_path / "l.json")
        assert p.returncode == 74 and "imagenet_class_index.json" in last_line(p), text


def test_shape_refusal_names_the_file(kpredict, tmp_path):
    np.save(tmp_path / "wide.npy", rows(3, width=6))
    p = kpredict("run", MODELS / "recipe.keras", tmp_path / "wide.npy")
    assert p.returncode == 2 and "wide.npy" in last_line(p) and "(None, 6)" in last_line(p)


def test_model_and_input_exchanged(kpredict, tmp_path):
    np.save(tmp_path / "x.npy", rows(3))
    for model in ("recipe.keras", "cnn.h5"):
        p = kpredict("run", tmp_path / "x.npy", MODELS / model)
        assert p.returncode == 2 and "looks like a model" in last_line(p)


def test_version_names_the_libraries(kpredict):
    p = kpredict("--version")
    for word in ("kpredict ", "backends", "oneDNN", "libjpeg", "libpng", "libwebp", "giflib"):
        assert word in p.stdout


def test_signal_after_the_last_line(build, tmp_path):
    folder(tmp_path / "images")
    for _ in range(5):
        p = subprocess.Popen([build / "kpredict", "run", MODELS / "cnn.keras", tmp_path / "images", "-q",
                              "-o", tmp_path / "p.csv", "--force"], stderr=subprocess.PIPE, text=True)
        assert p.stderr.readline() == "Processed 12 samples.\n"
        p.send_signal(signal.SIGINT)
        assert p.wait(timeout=30) == 0 and p.stderr.read() == ""


def test_model_that_cannot_be_read(kpredict, tmp_path):
    np.save(tmp_path / "x.npy", rows(3))
    p = kpredict("run", "/dev/null", tmp_path / "x.npy")
    assert p.returncode == 4 and "/dev/null" in last_line(p) and "device process" not in p.stderr

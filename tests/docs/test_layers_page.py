"""The code of docs/LAYERS.md is the example's, and its commands work as printed."""

import re
import shlex
import subprocess

import pytest
from conftest import TOP

PAGE = (TOP / "docs/LAYERS.md").read_text()


def test_code_is_the_example():
    blocks = re.findall(r"```c\n(.*?)```", PAGE, re.S)
    source = (TOP / "examples/layers/swish.c").read_text()
    assert blocks and all(b in source for b in blocks)


def test_commands(build, tmp_path):
    np = pytest.importorskip("numpy")
    np.save(tmp_path / "rows.npy", np.ones((3, 6), "float32"))
    for path in ("include", "examples"):
        (tmp_path / path).symlink_to(TOP / path)
    lines = [line for line in re.search(r"```sh\n(.*?)```", PAGE, re.S).group(1).splitlines()
             if "verify" not in line]  # tests/verify runs it: it needs Keras
    for line in lines:
        words = shlex.split(line)
        words[0] = str(build / "kpredict") if words[0] == "kpredict" else words[0]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, (line, done.stderr)
    assert np.load(tmp_path / "out.npy").shape == (3, 3)

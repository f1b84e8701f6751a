"""Rows that a layer refuses among rows that it takes: `kpredict run` gives each its own fate."""

import json
import subprocess

from parity_kit import BUILD, keras, np

L = keras.layers


def test_unknown_token_costs_its_row_only(tmp_path):
    x = keras.Input((2,), dtype="string")
    y = L.StringLookup(vocabulary=["a", "b", "c"], num_oov_indices=0)(x)
    keras.Model(x, y).save(tmp_path / "m.keras")
    words = np.array([["a", "b"], ["c", "zz"], ["b", "b"], ["q", "a"], ["a", "a"]] * 20, "S2")
    np.save(tmp_path / "x.npy", words)
    p = subprocess.run([BUILD / "kpredict", "run", tmp_path / "m.keras", tmp_path / "x.npy", "-o", tmp_path / "p.npy"],
                       capture_output=True, text=True, timeout=120)
    assert p.returncode == 3, p.stderr
    bad = [json.loads(line) for line in (tmp_path / "p.errors.jsonl").read_text().splitlines()]
    assert [b["index"] for b in bad] == [i for i in range(100) if i % 5 in (1, 3)]
    assert all("is not in the vocabulary" in b["message"] for b in bad)
    got = np.load(tmp_path / "p.npy")
    known = {b"a": 0, b"b": 1, b"c": 2}
    for i, row in enumerate(words):
        if i % 5 not in (1, 3):
            assert got[i].tolist() == [known[w] for w in row]

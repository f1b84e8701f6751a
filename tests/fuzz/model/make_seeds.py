"""Writes the seeds of fuzz_model: for every registered case of tests/parity a small model, packed
again with deflate. Usage: make_seeds.py FOLDER [LARGEST_BYTES]"""

import pathlib
import sys
import tempfile
import zipfile
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "parity"))

from parity_kit import np  # noqa: E402  (also sets up the real Keras)

from cases import load  # noqa: E402

SEED = 7


def packed(path, to):
    with zipfile.ZipFile(path) as z, zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
        for info in z.infolist():
            out.writestr(zipfile.ZipInfo(info.filename), z.read(info), zipfile.ZIP_DEFLATED)


def main(folder, largest):
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        plain = pathlib.Path(work) / "m.keras"
        for (kind, name), make in sorted(load().items()):
            rng = np.random.default_rng([zlib.crc32(f"{kind} {name}".encode()), SEED])
            to = folder / f"{kind}_{name}.keras".replace("/", "_").replace(" ", "_")
            try:
                make(rng)[0].save(plain)
            except Exception as e:  # a case whose model Keras cannot save
                print(f"left out {kind} {name}: {str(e).splitlines()[0][:80]}")
                continue
            packed(plain, to)
            if to.stat().st_size > largest:
                to.unlink()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 4096)

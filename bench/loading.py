"""Loading beside Keras: from the path to ready to predict, and the memory that it takes.

Each round loads every file once with both, one after the other, each in a process of its own (the
time of starting it and of importing Keras is not counted). The files are in the page cache.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile

import common

MiB = 2**20
HERE = pathlib.Path(__file__).resolve().parent


def network(name, dtype):
    import keras

    keras.config.set_dtype_policy(dtype)
    model = getattr(keras.applications, name)(weights=None)
    keras.config.set_dtype_policy("float32")
    return model


def deflated(path, to):
    """The same archive as a user's zip program would write it."""
    with zipfile.ZipFile(path) as z, zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out:
        for name in z.namelist():
            out.writestr(name, z.read(name))
    return to


def make_files(folder, networks):
    """[(what, path, bytes of the weights as float32)]"""
    files = []
    for name in networks:
        model = network(name, "float32")
        size = 4 * model.count_params()
        for suffix in ("keras", "h5"):
            path = folder / f"{name}.{suffix}"
            model.save(path)
            files.append((f"{name}, .{suffix}", path, size))
    first = networks[0]
    files.append((f"{first}, .keras, deflated",
                  deflated(folder / f"{first}.keras", folder / "deflated.keras"), size_of(files)))
    for dtype in ("float16", "bfloat16"):
        path = folder / f"{dtype}.keras"
        network(first, dtype).save(path)
        files.append((f"{first}, .keras, {dtype}", path, size_of(files)))
    return files


def size_of(files):
    return files[0][2]


def measure(command):
    p = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    found = re.search(r"ms=([\d.]+) peak_kb=(\d+)", p.stdout)
    if found is None:
        sys.exit(f"{command}: {p.stderr}")
    return float(found[1]), int(found[2]) * 1024


def machine():
    flags = pathlib.Path("/proc/cpuinfo").read_text()
    kind = "AVX-512" if "avx512f" in flags else "AVX2" if " avx2" in flags else "SSE"
    return f"- instruction set: {kind}; files in the page cache, load average {os.getloadavg()[0]:.1f}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--networks", nargs="*", default=["ResNet50", "VGG16"])
    args = parser.parse_args()
    build = (common.TOP / args.build).resolve()
    with tempfile.TemporaryDirectory() as folder:
        files = make_files(pathlib.Path(folder), args.networks)
        ours = {what: [] for what, _, _ in files}
        peer = {what: [] for what, _, _ in files}
        for _ in range(args.rounds):
            for what, path, _ in files:
                ours[what].append(measure([build / "tests" / "bench_loading", path]))
                peer[what].append(measure([sys.executable, HERE / "peer_loading.py", path]))
        rows = []
        for what, path, size in files:
            mine, theirs = [m[0] for m in ours[what]], [p[0] for p in peer[what]]
            peak, their_peak = max(m[1] for m in ours[what]), max(p[1] for p in peer[what])
            ratio = common.median([p / m for m, p in zip(mine, theirs)])
            rows.append([what, f"{path.stat().st_size / MiB:.0f}", f"{size / MiB:.0f}",
                         common.spread(mine, "{:.0f}"), common.spread(theirs, "{:.0f}"),
                         f"{ratio:.1f}×", f"{peak / MiB:.0f}", f"{peak / size:.2f}×",
                         f"{their_peak / MiB:.0f}"])
    common.write_table(
        "loading", "Loading a model, ready to predict",
        common.header(build, ("keras", "tensorflow-cpu")) + [machine()],
        ["network, file", "file, MiB", "weights as float32, MiB", "kpredict, ms",
         "Keras load_model, ms", "ratio", "kpredict, peak MiB of the process",
         "peak / weights", "Keras, peak MiB of the process"],
        rows, [f"Medians (lowest-highest) of {args.rounds} interleaved rounds; peaks are the highest."])


if __name__ == "__main__":
    main()

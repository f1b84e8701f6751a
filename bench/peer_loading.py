"""The share of Keras in bench/loading.py: the time of load_model for one file, and the most memory
that the process has had by then. One file a process, so that the peak is its own."""

import sys
import time

import keras

path = sys.argv[1]
start = time.perf_counter()
keras.models.load_model(path)
elapsed = time.perf_counter() - start
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(f"ms={1000 * elapsed:.1f} peak_kb={peak}")

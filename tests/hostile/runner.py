"""Runs commands and measures them. A process of its own that stays small: what a child is charged
with begins with its parent's memory."""

import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time


@dataclasses.dataclass
class Run:
    status: int     # of the exit; minus the signal
    line: str       # the last of stderr
    seconds: float
    cpu_seconds: float
    peak_mb: float


class Runner:
    def __init__(self):
        self.child = subprocess.Popen([sys.executable, "-S", __file__], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)

    def run(self, command, address_space=None, seconds=30):
        self.child.stdin.write(json.dumps([[str(c) for c in command], address_space, seconds]) + "\n")
        self.child.stdin.flush()
        return Run(*json.loads(self.child.stdout.readline()))

    def close(self):
        self.child.stdin.close()
        self.child.wait()


def measure(command, address_space, seconds):
    with tempfile.TemporaryFile() as err, open(os.devnull, "r+b") as null:
        start = time.monotonic()
        pid = os.posix_spawn(command[0], command, os.environ, file_actions=[
            (os.POSIX_SPAWN_DUP2, null.fileno(), 0), (os.POSIX_SPAWN_DUP2, null.fileno(), 1),
            (os.POSIX_SPAWN_DUP2, err.fileno(), 2)])
        if address_space is not None:
            resource.prlimit(pid, resource.RLIMIT_AS, (address_space, address_space))
        while True:
            done, status, usage = os.wait4(pid, os.WNOHANG)
            if done:
                break
            if time.monotonic() - start > seconds:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.002)
        elapsed = time.monotonic() - start
        err.seek(0)
        lines = err.read().decode(errors="replace").strip().splitlines()
    return [os.waitstatus_to_exitcode(status), lines[-1] if lines else "", elapsed,
            usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        print(json.dumps(measure(*json.loads(line))), flush=True)

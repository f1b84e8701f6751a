"""Runs every bench and writes the tables under bench/results/. About a quarter of an hour on two cores."""

import argparse
import pathlib
import subprocess
import sys

import common


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    args = parser.parse_args()
    build = (common.TOP / args.build).resolve()
    for script in ("start", "pipeline_cost", "rows", "memory", "folder", "loading"):
        subprocess.run([sys.executable, pathlib.Path(__file__).parent / f"{script}.py", "--build",
                        build], check=True)


if __name__ == "__main__":
    main()

"""Index a million image files in 100 class folders, then split them without the search for duplicates.

    python benchmarks/million_files.py [--files 1000000]

The files are empty (sparse): only names are read. Indexing must take at most 20 s and 350 MB at its peak, the split
at most 20 s, on 2 cores. The named baseline is a bare `os.walk` over the same tree, in the same run.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLASSES = 100


def make(root: Path, files: int) -> None:
    """Make empty files in class folders, of the names that cameras give."""
    for code in range(CLASSES):
        folder = root / f"class_{code:03}"
        folder.mkdir(parents=True)
        for index in range(files // CLASSES):
            os.close(os.open(folder / f"photo_{index:07}.jpg", os.O_CREAT | os.O_WRONLY))


def measure(root: Path, what: str) -> None:
    """Do one thing in this process and print its seconds and its peak memory."""
    peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000  # noqa: E731
    if what == "walk":
        start = time.perf_counter()
        found = sum(len(files) for _, _, files in os.walk(root))
        print(f"| os.walk, names counted | {found:,} | {time.perf_counter() - start:.1f} s | {peak():.0f} MB |")
        return
    from imgcls.datasets import Dataset

    start = time.perf_counter()
    data = Dataset.from_folder(root)
    seconds = time.perf_counter() - start
    print(f"| Dataset.from_folder | {len(data):,} | {seconds:.1f} s | {peak():.0f} MB |", flush=True)
    start = time.perf_counter()
    parts = data.split((0.7, 0.15, 0.15), duplicates=None)
    sizes = " / ".join(f"{len(part):,}" for part in parts)
    print(f"| split, no duplicate search | {sizes} | {time.perf_counter() - start:.1f} s | {peak():.0f} MB |")


def main() -> None:
    """Make the tree, measure each thing in a process of its own, remove the tree."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--measure", nargs=2)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(Path(arguments.measure[0]), arguments.measure[1])
        return
    scratch = Path(tempfile.mkdtemp())
    try:
        make(scratch / "files", arguments.files)
        print("| what | images | time | peak memory of the process |\n|---|---|---|---|", flush=True)
        for what in ("walk", "index"):
            command = [sys.executable, __file__, "--measure", str(scratch / "files"), what]
            subprocess.run(command, check=True)  # noqa: S603 - this file itself
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()

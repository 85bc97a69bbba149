"""Mutated files of every format: no death of the process, bounded memory and time, one verdict.

A child process decodes, under a limit of its address space, so that a crash or a bomb fails a test and not the run.
Each mutant is read whole, then at 32 x 32, then whole again: all three must agree.
"""

import io
import json
import os
import random
import re
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

MAX_PIXELS = 2_000_000
MEMORY = 3 * 2**30  # address space of the child, most of it for libraries
RESIDENT = 400 * 2**20
SECONDS = 5.0  # of the processor, for one mutant
LARGEST = 60_000  # bytes of a corpus file that is mutated


def seeds():
    """Return small files of every format that is read."""
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, (24, 31, 3), dtype=np.uint8)
    smooth = Image.fromarray(noise[:5, :6]).resize((80, 70), Image.Resampling.BICUBIC)
    pages = {"save_all": True, "append_images": [Image.fromarray(255 - noise)]}
    exif = Image.Exif()
    exif[0x0112] = 6
    wanted = [
        (smooth, "JPEG", {"exif": exif}),
        (smooth, "JPEG", {"progressive": True}),
        (smooth.convert("L"), "JPEG", {}),
        (smooth.convert("CMYK"), "JPEG", {}),
        (smooth, "MPO", {"save_all": True, "append_images": [smooth]}),
        (noise, "PNG", {"exif": exif}),
        (np.dstack([noise, noise[..., 0]]), "PNG", {}),
        (Image.fromarray(noise).quantize(16), "PNG", {"transparency": 3}),
        (noise[..., 0].astype(np.uint16) * 257, "PNG", {}),
        (noise, "PNG", pages),
        (noise, "GIF", pages),
        (noise, "WEBP", {}),
        (noise, "WEBP", {"lossless": True, **pages}),
        (smooth, "AVIF", {}),
        (noise, "BMP", {}),
        (Image.fromarray(noise[..., 0]), "BMP", {}),
        (noise, "PPM", {}),
        (noise, "TIFF", pages),
        (noise, "TIFF", {"compression": "tiff_lzw"}),
        (noise, "TIFF", {"compression": "tiff_adobe_deflate"}),
        (smooth, "TIFF", {"compression": "jpeg"}),
        (Image.fromarray(noise[..., 0] > 99), "TIFF", {"compression": "group4"}),
    ]
    files = []
    for image, kind, options in wanted:
        buffer = io.BytesIO()
        (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, kind, **options)
        files.append(buffer.getvalue())
    return files


def mutated(data, dice):
    """Change a few bytes, cut, repeat or splice; headers more often than pixels."""
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 4, 16))):
        at = dice.randrange(min(len(changed), dice.choice((32, 200, len(changed)))))
        match dice.randrange(6):
            case 0:
                changed[at] ^= 1 << dice.randrange(8)
            case 1:
                changed[at] = dice.choice((0, 1, 127, 128, 255))
            case 2:
                changed[at : at + 4] = dice.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\0\1\0\0"))
            case 3:
                changed[at:] = changed[at : at + dice.randrange(1, len(changed) + 1)]
            case 4:
                changed[at:at] = changed[at : at + dice.randrange(1, 64)]
            case 5:
                del changed[at : at + dice.randrange(1, 9)]
        if not changed:
            return b"\0"
    return bytes(changed)


def verdict(data, size=None):
    from imgcls.datasets import read
    from imgcls.errors import UnreadableImageError

    try:
        return read(data, size=size)
    except UnreadableImageError as error:
        assert "cannot be read as an image" in str(error)  # noqa: PT017 - both outcomes are right
        return None


def glanced(data):
    from imgcls import images
    from imgcls.errors import UnreadableImageError

    try:
        return images.glance(data, 96, "mutant")
    except UnreadableImageError:
        return None


def attack(seed, count, folder):
    """Decode `count` mutants; the child's whole work. What is printed last is its report."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")  # Pillow's own, about tags
    files = seeds()
    if folder:
        found = sorted(path for path in Path(folder).rglob("*") if path.is_file() and path.stat().st_size <= LARGEST)
        files += [path.read_bytes() for path in found]
    dice = random.Random(seed)
    report = {"read": 0, "refused": 0, "slowest": 0.0, "files": len(files)}
    for index in range(count):
        data = mutated(files[index % len(files)], dice)
        Path("mutant").write_bytes(data)  # for whoever looks after a death
        start = time.process_time()
        whole, small, again = verdict(data), verdict(data, (32, 32)), verdict(data)
        report["slowest"] = max(report["slowest"], time.process_time() - start)
        seen = glanced(data)  # what the scan says
        verdicts = {one is None for one in (whole, small, again, seen)}
        assert len(verdicts) == 1, f"mutant {index} of seed {seed} has two verdicts"
        if whole is None:
            report["refused"] += 1
            continue
        report["read"] += 1
        assert whole.dtype == small.dtype == np.uint8
        assert whole.shape[0] * whole.shape[1] <= MAX_PIXELS
        assert small.shape == (32, 32, whole.shape[2])
        assert seen[1] == whole.shape[:2]
        assert np.array_equal(whole, again), f"mutant {index} of seed {seed} reads differently twice"
    report["resident"] = peak_memory()
    sys.stdout.write(json.dumps(report))


def peak_memory():
    """Return the largest resident size of this process in bytes."""
    import resource

    status = Path("/proc/self/status")
    if status.exists():  # Linux passes ru_maxrss on from the process that started this one
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def in_a_child(tmp_path, seed, count, folder=""):
    pytest.importorskip("resource")
    done = subprocess.run(
        [sys.executable, __file__, str(seed), str(count), str(folder)],
        cwd=tmp_path,
        env={**os.environ, "IMGCLS_MAX_PIXELS": str(MAX_PIXELS), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        timeout=60 + count / 5,
        check=False,
    )
    kept = f"the last mutant is {tmp_path / 'mutant'}"
    assert done.returncode == 0, f"{kept}\n{done.stderr[-3000:].decode(errors='replace')}"
    report = json.loads(done.stdout)
    assert report["slowest"] < SECONDS
    assert report["resident"] < RESIDENT
    assert min(report["read"], report["refused"]) > count / 20  # else the mutations are too mild or too coarse
    return report


def test_mutants_of_every_format(tmp_path):
    in_a_child(tmp_path, seed=0, count=600)


def test_mutants_of_odd_files(tmp_path, shared_data):
    report = in_a_child(tmp_path, seed=1, count=600, folder=shared_data / "weird")
    assert report["files"] > 250


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_thousands_of_mutants_of_every_format(seed, tmp_path):
    in_a_child(tmp_path, seed=seed, count=5000)


@pytest.mark.slow
@pytest.mark.parametrize("room", ["weird", "dicom", "geotiff"])
def test_thousands_of_mutants_of_odd_files(room, tmp_path, shared_data):
    in_a_child(tmp_path, seed=9, count=5000, folder=shared_data / room)


if __name__ == "__main__":
    attack(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])

"""Bundles made by hand: right ones, and whatever an attacker can make. Independent of the room that reads them.

An attacker knows the format, so that seals, hashes and checksums are right unless a test says otherwise.
"""

import hashlib
import io
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import safetensors.numpy

CORPUS = Path(__file__).parent / "bundles"
MEMBERS = ("manifest.json", "classifier.json", "weights.safetensors")


def description(**changes):
    """Return a description that is accepted, of a classifier for 2 classes of 4 x 5 images of 3 channels."""
    return {
        "imgcls": "0.1.0",
        "license": "Apache-2.0",
        "architecture": "small_cnn",
        "blueprint": {
            "input_shape": [4, 5, 3],
            "num_classes": 2,
            "head": "softmax",
            "pooling": "average",
            "dropout": 0.2,
            "grayscale": False,
            "mean": [0.5],
            "std": [2.0],
        },
        "classes": ["Kätzchen", "dog"],
        "multi_label": False,
        "temperature": 1.5,
        "thresholds": None,
        "parameters": {"architecture": "small_cnn", "image_size": [4, 5], "weights": None},
        "choices": {"temperature": [1.5, "measured"], "devices": [["CPU:0"], "there is no GPU"]},
        "history": {
            "columns": {"loss": [1.5, None]},
            "seconds": 3.5,
            "best_epoch": None,
            "interrupted": False,
            "advice": ["rest more"],
        },
        "evaluation": {
            "images": 3,
            "figures": [{"name": "accuracy", "value": 0.5, "lower": 0.1, "upper": None, "method": "Wilson"}],
            "per_class": [
                {"support": 1, "precision": [0.5, 0.1, 0.9], "recall": [None, None, None], "f1": [0, 0, 1]},
                {"support": 2, "precision": [1, 0, 1], "recall": [1, 0, 1], "f1": [1, 0, 1]},
            ],
        },
        "data": {"training": {"images": 7, "sha256": "0" * 64}, "validation": None},
        "golden": "drawn",
        "environment": {"imgcls": "0.1.0", "python": "3.13.1"},
        **changes,
    }


def weights():
    return [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7, np.int32), np.array([0.5], np.float32)]


def named(**changes):
    """Return every named array that there may be."""
    random = np.random.default_rng(0)
    arrays = {
        "golden/images": random.integers(0, 256, (2, 4, 5, 3), dtype=np.uint8),
        "golden/probabilities": np.array([[0.25, 0.75], [1, 0]], np.float32),
        "held_out/labels": np.array([0, 1, 1]),
        "held_out/probabilities": np.array([[0.5, 0.5], [0.25, 0.75], [1, 0]], np.float32),
        "familiarity/known": random.normal(size=(5, 7)).astype(np.float16),
        "familiarity/distances": np.array([0, 0.5, 0.5], np.float32),
        "familiarity/energies": np.array([-3, -2, 8], np.float32),
        "training/contents": random.integers(0, 256, (7, 16), dtype=np.uint8),
        "training/pixels": random.integers(0, 256, (6, 16), dtype=np.uint8),
        "training/hashes": np.array([1, 2**63], np.uint64),
        "training/mosaics": random.integers(0, 256, (2, 4, 4, 3), dtype=np.uint8),
    }
    return arrays | {name.replace("__", "/"): array for name, array in changes.items()}


GOLDEN = {name: array for name, array in named().items() if name.startswith("golden/")}

# --- layers --------------------------------------------------------------------------------------------------------


def members_of(data):
    """Return the members of a bundle, as Python's own zipfile reads them."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def with_manifest(members):
    """Return members with a manifest that lists them."""
    rest = {name: data for name, data in members.items() if name != "manifest.json"}
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in rest.items()}
    return {"manifest.json": json.dumps({"format": 1, "sha256": hashes}).encode(), **rest}


def zipped(members, **options):
    """Return a zip archive as Python's zipfile writes it, with room for a seal.

    Args:
        members: Pairs of name and bytes.
        options: Attributes of every ZipInfo.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o100644 << 16
            for option, value in options.items():
                setattr(info, option, value)
            archive.writestr(info, data)
        archive.comment = b"0" * 64
    return buffer.getvalue()


def sealed(data):
    """Return an archive with the right seal."""
    return data[:-64] + hashlib.sha256(data[:-64]).hexdigest().encode()


def forged(members):
    """Return a bundle of any members, with everything around them right."""
    return sealed(zipped(with_manifest(members).items()))


def changed(data, **changes):
    """Return a bundle with other members: `classifier_json=...` and so on; None leaves one out."""
    members = members_of(data) | {name.replace("_", "."): value for name, value in changes.items()}
    return forged({name: value for name, value in members.items() if value is not None})


def described(data, change):
    """Return a bundle whose description a function has changed in place."""
    value = json.loads(members_of(data)["classifier.json"])
    change(value)
    return changed(data, classifier_json=json.dumps(value).encode())


# --- arrays --------------------------------------------------------------------------------------------------------


def arrays_of(data):
    return safetensors.numpy.load(members_of(data)["weights.safetensors"])


def rearranged(data, change):
    """Return a bundle whose arrays a function has changed in place."""
    arrays = arrays_of(data)
    change(arrays)
    return changed(data, weights_safetensors=safetensors.numpy.save(arrays))


def header_of(data):
    """Return the header of the arrays, and their bytes."""
    tensors = members_of(data)["weights.safetensors"]
    length = struct.unpack("<Q", tensors[:8])[0]
    return json.loads(tensors[8 : 8 + length]), tensors[8 + length :]


def with_header(data, header, numbers):
    """Return a bundle with another header of its arrays: an object, or its bytes."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return changed(data, weights_safetensors=struct.pack("<Q", len(text)) + text + numbers)


def reheaded(data, change):
    """Return a bundle in whose header of arrays a function has changed something."""
    header, numbers = header_of(data)
    change(header)
    return with_header(data, header, numbers)

"""The sealed model file: data only, checked before anything is built from it, written in one piece.

A bundle is a zip archive of up to five members, stored as they are:

    manifest.json          {"format": 1, "sha256": {"classifier.json": ..., "weights.safetensors": ...}}
    classifier.json        what the classifier is, by the schema that lies beside this file as `schema.json`
    card.md                a model card, where images were held out to measure on
    keras.json             Keras' config of a model of the user's own; used with `trust=True` alone
    weights.safetensors    the model's weights, and further arrays by name

The archive's comment holds the sha256 of every byte before it, so that one altered or missing byte anywhere is found
before anything is parsed. Nothing in the file names code, and nothing in it is executed: a hash protects from damage,
not from a stranger, and the contents are read as untrusted data all the same. `docs/concepts/bundle.md` is the
specification.

Needs NumPy and Pillow; neither Keras nor TensorFlow.
"""

from imgcls.bundle._contents import FORMAT, Contents, check_classes, check_config, load, save
from imgcls.bundle._verification import MOST_GOLDEN, TOLERANCE, Verification, golden_images

__all__ = [
    "FORMAT",
    "MOST_GOLDEN",
    "TOLERANCE",
    "Contents",
    "Verification",
    "check_classes",
    "check_config",
    "golden_images",
    "load",
    "save",
]

"""SavedModel: what TensorFlow Serving loads. A folder; TensorFlow runs it."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgcls import images
from imgcls._runtimes import Run
from imgcls.bundle import TOLERANCE
from imgcls.errors import ExportError
from imgcls.export._facts import LABELS, MEMBER, Facts
from imgcls.export._source import Source, Wanted

_FEW = 16_000_000  # parameters: 64 MB; as constants, some 3 GB while they are written
_EXTRA = "assets.extra"  # TensorFlow's own place for what is not part of the graph


def write(source: Source, path: Path, wanted: Wanted) -> None:
    """Write a folder with the signatures "serving_default", from pixels, and "bytes", from JPEG or PNG files.

    Few weights are constants: MobileNetV2 was loaded in 0.5 s, with variables in 2.2 s, and TensorFlow folds
    normalisations into convolutions. Many are variables: as constants, TensorFlow has up to fifty copies of them.
    """
    import tensorflow as tf

    from imgcls import _backend

    constants = source.facts.parameters <= _FEW
    serve = source.function(constants=constants)
    signatures = {"serving_default": _resized(source, serve) if wanted.any_size else serve}
    if source.facts.input_shape[2] in {1, 3}:
        signatures["bytes"] = _from_files(source, serve)
    with _backend.quiet():
        tf.saved_model.save(tf.Module() if constants else source.module(), str(path), signatures=signatures)
    if "bytes" in signatures:
        _check_files(source, path)
    extra = path / _EXTRA
    extra.mkdir()
    (extra / MEMBER).write_text(source.facts.to_json(), encoding="utf-8")
    (extra / LABELS).write_text(source.facts.labels(), encoding="utf-8")


def read(path: Path) -> tuple[Facts, Run]:
    """Open a folder."""
    notes = path / _EXTRA / MEMBER  # first of all: a folder of another program is not opened
    facts = Facts.from_json(notes.read_bytes() if notes.is_file() else None)
    import tensorflow as tf

    from imgcls import _backend

    with _backend.quiet():
        loaded = tf.saved_model.load(str(path))

    def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:  # keeps alive what a signature alone would not
        return np.asarray(loaded.signatures["serving_default"](images=tf.constant(images))["probabilities"])

    return facts, run


def _check_files(source: Source, path: Path) -> None:
    """Let the folder read pictures from files, and compare what it says with what it says of their pixels.

    Whether that is what the model says, is asked of files of every format.

    Raises:
        ExportError: It says something else.
    """
    import tensorflow as tf

    from imgcls import _backend

    pictures = images.drawn(8, source.facts.input_shape)
    files = tf.stack([tf.io.encode_png(picture) for picture in pictures])
    with _backend.quiet():
        loaded = tf.saved_model.load(str(path))
    found = loaded.signatures["bytes"](images=files)["probabilities"]
    same = loaded.signatures["serving_default"](images=tf.constant(pictures))["probabilities"]
    apart = float(np.abs(found - same).max())
    if not apart <= TOLERANCE:
        message = f"what is read from files differs by {apart:.1e} of a probability, and {TOLERANCE:g} is accepted."
        raise ExportError(message)


def _resize(pixels: Any, size: tuple[int, int]) -> Any:
    """Resize as imgcls does: bilinear, antialiased, rounded to whole numbers."""
    import tensorflow as tf

    resized = tf.image.resize(pixels, size, "bilinear", antialias=True)
    return tf.cast(tf.round(tf.clip_by_value(resized, 0, 255)), tf.uint8)


def _resized(source: Source, serve: Any) -> Any:
    """Return a signature for pixels of any size."""
    import tensorflow as tf

    height, width, channels = source.facts.input_shape
    signature = [tf.TensorSpec((None, None, None, channels), tf.uint8, name="images")]

    def resize_and_serve(images: Any) -> Any:
        return serve(_resize(images, (height, width)))

    return tf.function(resize_and_serve, input_signature=signature, autograph=False)


def _from_files(source: Source, serve: Any) -> Any:
    """Return a signature for the bytes of JPEG and PNG files."""
    import tensorflow as tf

    height, width, channels = source.facts.input_shape
    one = tf.TensorSpec((height, width, channels), tf.uint8)

    def read_one(file: Any) -> Any:
        # The exact cosine transform is the one that Pillow takes. The kernel reads PNG files too.
        pixels = tf.io.decode_jpeg(file, channels=channels, dct_method="INTEGER_ACCURATE")
        return _resize(pixels, (height, width))

    def read_and_serve(images: Any) -> Any:
        return serve(tf.map_fn(read_one, images, fn_output_signature=one))

    signature = [tf.TensorSpec((None,), tf.string, name="images")]
    return tf.function(read_and_serve, input_signature=signature, autograph=False)

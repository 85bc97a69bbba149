"""SavedModel: what TensorFlow Serving loads. A folder; TensorFlow runs it."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgcls._runtimes import Run
from imgcls.export._facts import LABELS, MEMBER, MOST_BYTES
from imgcls.export._source import Source, Wanted

_EXTRA = "assets.extra"  # TensorFlow's own place for what is not part of the graph


def write(source: Source, path: Path, wanted: Wanted) -> None:
    """Write a folder with the signatures "serving_default", from pixels, and "bytes", from JPEG or PNG files.

    Weights are constants: a model loads four times as fast as with variables, and TensorFlow folds normalisations into
    convolutions.
    """
    import tensorflow as tf

    from imgcls import _backend

    serve = source.function()
    signatures = {"serving_default": _resized(source, serve) if wanted.any_size else serve}
    if source.facts.input_shape[2] in {1, 3}:
        signatures["bytes"] = _from_files(source, serve)
    with _backend.quiet():
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)  # nobody trains it
        tf.saved_model.save(tf.Module(), str(path), signatures=signatures, options=options)
    extra = path / _EXTRA
    extra.mkdir()
    (extra / MEMBER).write_text(source.facts.to_json(), encoding="utf-8")
    (extra / LABELS).write_text(source.facts.labels(), encoding="utf-8")


def read(path: Path) -> tuple[str | bytes | None, Run]:
    """Open a folder."""
    import tensorflow as tf

    from imgcls import _backend

    notes = path / _EXTRA / MEMBER
    facts = None
    if notes.is_file():
        with notes.open("rb") as file:
            facts = file.read(MOST_BYTES)
    with _backend.quiet():
        loaded = tf.saved_model.load(str(path))
    serve = loaded.signatures["serving_default"]

    def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(serve(images=tf.constant(images))["probabilities"])

    run.loaded = loaded  # type: ignore[attr-defined] # a signature does not keep what it needs alive
    return facts, run


def _resize(pixels: Any, size: tuple[int, int]) -> Any:
    """Resize as imgcls does: bilinear, antialiased, rounded to whole numbers."""
    import tensorflow as tf

    resized = tf.image.resize(pixels, size, "bilinear", antialias=True)
    return tf.cast(tf.round(tf.clip_by_value(resized, 0, 255)), tf.uint8)


def _resized(source: Source, serve: Any) -> Any:
    import tensorflow as tf

    height, width, channels = source.facts.input_shape

    @tf.function(
        input_signature=[tf.TensorSpec((None, None, None, channels), tf.uint8, name="images")], autograph=False
    )
    def resize_and_serve(images: Any) -> dict[str, Any]:
        answers: dict[str, Any] = serve(_resize(images, (height, width)))
        return answers

    return resize_and_serve


def _from_files(source: Source, serve: Any) -> Any:
    import tensorflow as tf

    height, width, channels = source.facts.input_shape

    def read_one(file: Any) -> Any:
        # The slow, exact cosine transform is the one that Pillow takes. The kernel reads PNG files too.
        pixels = tf.io.decode_jpeg(file, channels=channels, dct_method="INTEGER_ACCURATE")
        return _resize(pixels, (height, width))

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="images")], autograph=False)
    def read_and_serve(images: Any) -> dict[str, Any]:
        pixels = tf.map_fn(read_one, images, fn_output_signature=tf.TensorSpec((height, width, channels), tf.uint8))
        answers: dict[str, Any] = serve(pixels)
        return answers

    return read_and_serve

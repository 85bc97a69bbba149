"""`Predictor`: what a classifier, an exported file and a server answer with."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import compress
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from imgcls import images as _images
from imgcls._progress import PATIENCE, ProgressReport
from imgcls._runtimes import Run
from imgcls._warnings import warn
from imgcls.datasets import Batches, Dataset, Sample, as_dataset, is_one_image
from imgcls.errors import ConfigurationError, DataWarning, UnreadableImageError
from imgcls.inference._outputs import PIXELS, in_passes, outputs
from imgcls.inference._stream import stream
from imgcls.predictions import Answers, Prediction, Predictions

_BATCH = 32  # images that are read together; large ones go through in parts
# Small images go through in larger batches, of as many pixels as a batch of photos: small_cnn at 32 x 32 answered 1.4
# times as many a second. No larger ones, so that a long run shows how far it is.
_LARGEST_BATCH = 128
_NUMBER = re.compile("([12]/)*(0|[1-9][0-9]*)")  # the id of an image that was given none, also in a sum of datasets

Decide = Callable[[NDArray[np.float32]], dict[str, Any]]


@final
class Predictor:
    """Answers images of any kind by a compiled model. Threads may use one at once.

    Args:
        run: The model: pixels `uint8 (n, H, W, C)`, 0-255, to `float32 (n, ...)`.
        input_shape: (H, W, C) of the model's images.
        classes: K classes, in the order of probabilities.
        multi_label: Whether an image may have several labels.
        thresholds: As `imgcls.Predictions` takes them.
        run_for: From a number of images to what runs that many; None for `run`.
        decide: From what the model gives to the arguments of `Predictions`: `probabilities`, and perhaps `sets` and
            `unknown`. None where it gives probabilities `(n, K)`.

    Attributes:
        run: As given.
        input_shape: As given.
        classes: As given.
        multi_label: As given.
        thresholds: As given.
        abstaining: Whether it has a `decide`: an answer may then be several classes, or "unknown".

    Examples:
        >>> import numpy as np
        >>> from imgcls.inference import Predictor
        >>> def bright(pixels):  # a model of two classes
        ...     light = pixels.mean(axis=(1, 2, 3), dtype=np.float32)[:, None] / 255
        ...     return np.concatenate([1 - light, light], axis=1)
        >>> predictor = Predictor(bright, input_shape=(8, 8, 1), classes=["night", "day"])
        >>> print(predictor.predict(np.full((20, 30), 230, np.uint8)))
        day 0.90
    """

    def __init__(
        self,
        run: Run,
        *,
        input_shape: Sequence[int],
        classes: Sequence[Any],
        multi_label: bool = False,
        thresholds: Mapping[Any, float] | None = None,
        run_for: Callable[[int], Run] | None = None,
        decide: Decide | None = None,
    ) -> None:
        height, width, channels = input_shape
        self.run, self.input_shape = run, (height, width, channels)
        self.classes, self.multi_label, self.thresholds = list(classes), multi_label, thresholds
        self._run_for = run_for or (lambda _: run)
        self._decide = decide or (lambda found: {"probabilities": found})
        self.abstaining = decide is not None

    def predict(self, images: Any, *, bgr: bool = False, verbose: Any = "auto") -> Any:
        """Say what is in one image, in many, or in a stream.

        Args:
            images: One: a path, the bytes of a file, a PIL image, an array `uint8 (H, W)` or `(H, W, C)`. Many: a
                list of these, a folder, a glob, an array `(N, H, W[, C])`, a Dataset. A stream: an iterator of such
                images, which may be endless.
            bgr: Whether colours of arrays are in the order of OpenCV: blue, green, red.
            verbose: 0 for nothing, 1 for a live bar, "auto" for a bar where one can be drawn and it takes long.

        Returns:
            A `Prediction`, or `Predictions`. For a stream an iterator, in order, with an `UnreadableImageError` in
            place of an image that cannot be read, or for which the model gives no number.

        Raises:
            UnreadableImageError: The image cannot be read, or one of many, or the model gives no number for it; the
                message names it.
            ConfigurationError: An argument is not accepted.
        """
        if is_stream(images):
            return self._stream(((None, item) for item in _checked(images, bgr=bgr)), self.run)
        if is_one_image(images, channels=self.input_shape[2]):
            image = _rgb(images) if bgr else images
            name = str(image) if isinstance(image, str | Path) else "image"
            found = self.run(self.read(image, name)[None])
            return self.as_predictions(found, [name], read=lambda _: _images.read(image))[0]
        dataset = self.many(images, bgr=bgr)
        return self.as_predictions(self.outputs(dataset, verbose=verbose), dataset.ids, read=dataset.read)

    def predict_proba(self, images: Any, *, verbose: Any = "auto") -> NDArray[np.float32]:
        """Return the probabilities `float32 (N, K)` of many images, in the order of `classes`; of one image, a row."""
        dataset = self.many(images)
        found = self.outputs(dataset, verbose=verbose)
        check_numbers(found, dataset.ids)
        probabilities: NDArray[np.float32] = self._decide(found)["probabilities"]
        return probabilities

    def predict_to(
        self, path: str | Path, images: Any, *, bgr: bool = False, model: str = "", verbose: Any = "auto"
    ) -> Answers:
        """Write what is in many images into a table, a row for each, and go on where an earlier run was stopped.

        Args:
            path: A `.csv`, `.jsonl` or `.parquet` file. Images that it answers already, by their ids, are left out, and
                so is an image that comes again. A `DataWarning` says how many of them have no name, and are known by
                their number alone.
            images: What `predict` takes for many, or an iterator, whose images are named by their number, but for a
                `Sample`, which has an id.
            bgr: As in `predict`.
            model: What names the model in a column of its own; an existing file of another model is refused.
            verbose: As in `predict`.

        Returns:
            The finished file: `path`, `ids`, and `refused`, the number of images now that cannot be read. They have a
            row with the reason, and so are left out of a later run: take it out of the table once the image is mended.

        Raises:
            DataError: The file holds something else, is being written already, or cannot be written.
        """
        dataset = None if is_stream(images) else self.many(images, bgr=bgr)
        named = _numbered(_checked(images, bgr=bgr)) if dataset is None else _named(dataset)
        # The file comes last: images that do not exist leave none behind.
        answers = Answers(path, self.classes, abstaining=self.abstaining, model=model)
        with answers, ProgressReport(verbose, after=PATIENCE) as report:
            run = self.run
            if dataset is not None:
                names = set(dataset.ids)  # an image may come twice
                report.begin("answering", len(names))
                run = self._run_for(len(names - answers.ids))
            new = _New(named, answers.ids.copy(), answers.path)
            for answer in self._stream(iter(new), run):
                answers.add([answer])
                report.done(len(answers.ids))
                new.warn()
            new.warn()
        return answers

    def read(self, image: Any, name: str | None = None) -> NDArray[np.uint8]:
        """Return one image as the model takes it, `uint8 (H, W, C)`, by the one decoder and the one resize.

        Args:
            image: A path, the bytes of a file, a PIL image, or an array.
            name: What to call it in an error.
        """
        height, width, channels = self.input_shape
        return _images.read(image, size=(height, width), channels=channels, name=name)

    def outputs(self, dataset: Dataset, *, verbose: Any = 0) -> NDArray[np.float32]:
        """Return what the model gives for all images, or refuse at the first that cannot be read."""
        with ProgressReport(verbose, after=PATIENCE) as report:
            report.begin("answering", len(dataset))
            return outputs(self._run_for(len(dataset)), self.batches(dataset), report.done)[0]

    def batches(self, dataset: Dataset, *, on_error: str = "raise") -> Batches:
        """Return images in batches as the model takes them.

        Args:
            dataset: The images.
            on_error: As in `imgcls.datasets.Batches`: "raise", or "skip" to leave out images that cannot be read.

        Examples:
            >>> import numpy as np
            >>> from imgcls import Dataset
            >>> from imgcls.inference import Predictor
            >>> def run(pixels):
            ...     return np.tile(np.float32([0.9, 0.1]), (len(pixels), 1))
            >>> predictor = Predictor(run, input_shape=(8, 8, 1), classes=["night", "day"])
            >>> photos = Dataset.from_arrays(np.zeros((200, 20, 30, 3), np.uint8))
            >>> [images.shape for images, positions in predictor.batches(photos).in_order()]
            [(100, 8, 8, 1), (100, 8, 8, 1)]
        """
        height, width, channels = self.input_shape
        return Batches(
            dataset,
            image_size=(height, width),
            channels=channels,
            batch_size=max(_BATCH, min(_LARGEST_BATCH, PIXELS // (height * width))),
            keep="stream",
            on_error=on_error,
        )

    def as_predictions(
        self, found: NDArray[np.float32], ids: Sequence[str], *, read: Callable[[int], NDArray[np.uint8]] | None = None
    ) -> Predictions:
        """Return what the model gave, `float32 (n, ...)`, as predictions of n named images.

        Args:
            found: What the model gave.
            ids: N names of the images.
            read: A function from a position to the image there; needed to show images.

        Raises:
            UnreadableImageError: What the model gave for an image is not a number.

        Examples:
            >>> import numpy as np
            >>> from imgcls.inference import Predictor
            >>> def run(pixels):
            ...     light = pixels.mean(axis=(1, 2, 3), dtype=np.float32)[:, None] / 255
            ...     return np.concatenate([1 - light, light], axis=1)
            >>> predictor = Predictor(run, input_shape=(8, 8, 1), classes=["night", "day"])
            >>> pixels = np.stack([np.full((8, 8, 1), gray, np.uint8) for gray in (20, 230)])
            >>> for one in predictor.as_predictions(predictor.run(pixels), ["a.jpg", "b.jpg"]):
            ...     print(one.id, one)
            a.jpg night 0.92
            b.jpg day 0.90
        """
        check_numbers(found, ids)
        return Predictions(
            classes=self.classes,
            ids=ids,
            multi_label=self.multi_label,
            read=read,
            thresholds=self.thresholds,
            **self._decide(found),
        )

    def many(self, images: Any, *, bgr: bool = False) -> Dataset:
        """Return images of any kind as a Dataset; an array that is one image as a Dataset of one.

        Examples:
            >>> import numpy as np
            >>> from imgcls.inference import Predictor
            >>> def zeros(pixels):
            ...     return np.zeros((len(pixels), 2), np.float32)
            >>> predictor = Predictor(zeros, input_shape=(8, 8, 3), classes=["cat", "dog"])
            >>> len(predictor.many(np.zeros((20, 30, 3), np.uint8)))
            1
        """
        several = as_several(images, channels=self.input_shape[2])
        return as_dataset(_rgb_of_many(several) if bgr else several, labelled=False)

    def _stream(self, named: Iterator[tuple[str | None, Any]], run: Run) -> Iterator[Prediction | UnreadableImageError]:
        """Yield an answer for each pair of a name, None for one of its own, and an image."""

        def prepare(number: int, pair: tuple[str | None, Any]) -> tuple[str, NDArray[np.uint8]]:
            name, item = pair
            if isinstance(item, Sample):
                name, item = name or item.id, item.image
            name = name or (str(item) if isinstance(item, str | Path) else str(number))
            try:
                return name, self.read(item, f"image {name!r}")
            except UnreadableImageError as error:
                error.id = name
                raise

        def answer(pixels: NDArray[np.uint8], ids: Sequence[str]) -> list[Prediction | UnreadableImageError]:
            found = in_passes(run, pixels)
            numbers = are_numbers(found)
            said = iter(self.as_predictions(found[numbers], list(compress(ids, numbers))) if numbers.any() else ())
            return [next(said) if there else _no_number(name) for there, name in zip(numbers, ids, strict=True)]

        return stream(named, prepare, answer, batch_size=_BATCH)


@final
class _New:
    """The images that have no row yet: iterate over them once, in any thread.

    Args:
        named: Names, images, and whether the name is the image's own.
        done: Names that have a row. Those that are iterated over are added, so that an image comes once.
        path: The file of rows.
    """

    def __init__(self, named: Iterable[tuple[str, Any, bool]], done: set[str], path: Path) -> None:
        self._named, self._done, self._path = named, done, path
        self._unnamed, self._warned = 0, False

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        for name, item, is_own in self._named:
            if name not in self._done:
                self._done.add(name)
                yield name, item
            elif not is_own:
                self._unnamed += 1

    def warn(self) -> None:
        """Warn, once, of images left out for their number alone: the file may have the rows of others."""
        if self._unnamed and not self._warned:
            self._warned = True
            message = (
                f"images left out: {self._unnamed:,}. {str(self._path)!r} has rows of their numbers already, and an "
                "image without a name is known by its number. That is right where the same images come again. Write "
                "others to another file, or name them: Sample(image, None, name) in an iterator, and in memory "
                "Dataset.from_arrays(images, ids=names)."
            )
            warn(message, DataWarning)


def are_numbers(found: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return for each image whether all that the model gave for it are numbers, `(n,)`."""
    return np.asarray(np.isfinite(found).all(axis=tuple(range(1, found.ndim))))


def check_numbers(found: NDArray[np.float32], ids: Sequence[str]) -> None:
    """Refuse what a model gives for images, `(n, ...)`, where that is NaN or infinite for one of them.

    Raises:
        UnreadableImageError: It is; the message names the first such image.
    """
    missing = np.flatnonzero(~are_numbers(found))
    if missing.size:
        raise _no_number(ids[int(missing[0])])


def _no_number(name: str) -> UnreadableImageError:
    """Return what there is to say of an image whose answer is NaN: it is not that of any class."""
    message = (
        f"image {name!r}: what the model gives for it is NaN or infinite, so there is no answer. Look at the image, "
        "and at what the model does with it, such as a division by the deviation of pixels that are all alike."
    )
    error = UnreadableImageError(message)
    error.id = name
    return error


def _numbered(items: Iterable[Any]) -> Iterator[tuple[str, Any, bool]]:
    """Name the items of a stream, as `_New` takes them."""
    for number, item in enumerate(items):
        yield (item.id, item, True) if isinstance(item, Sample) else (str(number), item, False)


def _named(dataset: Dataset) -> Iterator[tuple[str, Any, bool]]:
    """Name the images of a dataset in the same way. Where all are called by numbers, they were given no names."""
    is_own = not all(map(_NUMBER.fullmatch, dataset.ids))
    for index, name in enumerate(dataset.ids):
        yield name, dataset.source(index), is_own


def is_stream(images: Any) -> bool:
    """Say whether images come one after the other, from an iterator."""
    return isinstance(images, Iterator)


def as_several(images: Any, *, channels: int) -> Any:
    """Return an array that is one image as `(1, ...)`, for what takes many, and anything else as it is.

    Args:
        images: As for `Predictor.predict`.
        channels: Of the model.

    Examples:
        >>> import numpy as np
        >>> from imgcls.inference._predictor import as_several
        >>> photo, gray = np.zeros((20, 30, 3), np.uint8), np.zeros((20, 30), np.uint8)
        >>> as_several(photo, channels=3).shape, as_several(gray, channels=3).shape
        ((1, 20, 30, 3), (1, 20, 30))
        >>> as_several([photo, photo], channels=3) == [photo, photo]
        True
    """
    one = isinstance(images, np.ndarray) and is_one_image(images, channels=channels)
    return images[None] if one else images


def _checked(images: Any, *, bgr: bool = False) -> Iterator[Any]:
    if hasattr(images, "read"):
        message = f"a {type(images).__name__} is an open file, not images. Give its bytes: predict(file.read())."
        raise ConfigurationError(message)
    return map(_rgb, images) if bgr else images


def _rgb_of_many(images: Any) -> Any:
    if isinstance(images, np.ndarray) and images.ndim == 4 and images.shape[3] == 3:
        return images[..., ::-1]
    return [_rgb(image) for image in images]


def _rgb(image: Any) -> NDArray[np.uint8]:
    """Turn the colours of an OpenCV frame round."""
    if not (isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 3):
        message = (
            "bgr=True is for arrays (H, W, 3) whose colours are blue, green, red, as OpenCV reads them. Leave it out "
            "for files, PIL images and grayscale: those know their order."
        )
        raise ConfigurationError(message)
    return image[..., ::-1]

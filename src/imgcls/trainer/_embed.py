"""Features of images, computed once: a backbone sees every image a single time, whatever is learnt from it later.

Features are kept on disk under the hash of the pixels that the model sees, in one file for each backbone. So decoder,
size, colours, preprocessing and weights need no rules: whatever changes one of them changes the pixels or the file.
"""

import contextlib
import os
import time
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from imgcls import _backend, _checks, architectures
from imgcls._progress import ProgressReport
from imgcls.datasets import Batches, Dataset
from imgcls.datasets._store import Store, key
from imgcls.errors import ConfigurationError
from imgcls.trainer._backbone import UnknownCodeError, hash_of_backbone

_BATCH = 32  # images that go through the backbone at once; what is computed is kept after each
_FILES = 32  # backbones whose features are kept; those that were used last
_JUDGED = 4  # batches after the first, before it is said how long all will take
_MINUTES = 120.0  # seconds from which on a time is told in minutes


class Embedder(NamedTuple):
    """What has embedded images and may embed others, for as long as the backbone is the same."""

    run: _backend.Engine
    backbone: str  # a hash of its layers and weights


class Embedded(NamedTuple):
    """What `embed` returns.

    Examples:
        >>> import numpy as np
        >>> from imgcls import Dataset, architectures, trainer
        >>> model = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10)
        >>> twice = Dataset.builtin("digits")[[0, 1, 0]]
        >>> found = trainer.embed(architectures.cut(model), twice, engine="tensorflow", cache=False)
        >>> found.features.shape, found.positions.tolist(), found.computed  # copies are computed once
        ((3, 64), [0, 1, 2], 2)
        >>> bool((found.features[0] == found.features[2]).all())
        True
    """

    features: NDArray[np.float32]  # (n, D)
    positions: NDArray[np.int64]  # (n,): the images they belong to, in the order of the dataset
    quarantined: dict[str, str]  # the ids of images that cannot be read, and why
    computed: int  # images that went through the backbone; the others were found
    engine: str  # what computed them, or "cache" where nothing was computed
    reason: str  # why that engine
    by: Embedder | None  # what may embed others; None where nothing was computed, or the model cannot be told by a hash


def embed(
    model: Any,
    data: Dataset | Batches,
    *,
    engine: str | _backend.Engine = "auto",
    cache: bool = True,
    on_error: str = "skip",
    report: ProgressReport | None = None,
) -> Embedded:
    """Return the features of every image. Images seen before, and copies of one image, are not computed again.

    Where the process ends early, what was computed is kept, and the next call goes on from there.

    Args:
        model: A `keras.Model` from `(N, H, W, C)` pixels 0-255 to `(N, D)` features, as `architectures.cut` returns it.
        data: The images; or batches of them, where they are in memory already.
        engine: "tensorflow", "openvino", "onnxruntime", or "auto" for the quickest that is installed, agrees with
            TensorFlow and pays for its conversion; or the `by.run` of what was embedded before by the same model.
        cache: Whether features, and the pixels of images from files, are kept on disk: where `IMGCLS_CACHE` says.
        on_error: "skip" leaves out images that cannot be read; "raise" refuses them.
        report: Shows how far it is; it must be open. None for silence.

    Raises:
        ConfigurationError: The engine is not known or not installed, or model and batches are of different sizes.
        UnreadableImageError: Images cannot be read, and `on_error` is "raise" or there are no others.

    Examples:
        >>> from imgcls import Dataset, architectures
        >>> from imgcls.trainer._embed import embed
        >>> model = architectures.build("small_cnn", input_shape=(16, 16, 1), num_classes=10)
        >>> embedded = embed(architectures.cut(model), Dataset.builtin("digits")[:50], cache=False)
        >>> embedded.features.shape, embedded.computed
        ((50, 64), 50)
    """
    return embed_until(None, model, data, engine=engine, cache=cache, on_error=on_error, report=report)


def embed_until(
    ends: float | None,
    model: Any,
    data: Dataset | Batches,
    *,
    engine: str | _backend.Engine = "auto",
    cache: bool = True,
    on_error: str = "skip",
    report: ProgressReport | None = None,
) -> Embedded:
    """Do as `embed` does, and say so as soon as it is seen that there is not time enough. Nothing is left out for that.

    Args:
        ends: When the time is over, by `time.monotonic`; None for no limit.
        model: As for `embed`, and so are the others.
        data: As there.
        engine: As there.
        cache: As there.
        on_error: As there.
        report: As there.
    """
    if isinstance(engine, str):
        _checks.refuse([_checks.unknown_name("engine", engine, _backend.ENGINES)])
    report = ProgressReport(0) if report is None else report
    batches = data if isinstance(data, Batches) else _read(model, data, cache, on_error, report)
    _check_sizes(model, batches)
    count = len(batches.dataset)
    backbone = _hashed(model, report) if cache else None
    store = None if backbone is None else _open_store(model, backbone, count)
    pending = _Pending(model, engine, store, count, report)
    clock = _Clock(ends, count, report)
    report.begin(f"embedding {count:,} images", count)
    positions = []
    for images, places in batches.in_order():
        pending.take(images, places)
        positions.append(places)
        report.done(pending.taken)
        if pending.engine is not None:
            clock.look(pending.taken)
    pending.compute()
    if store is not None:
        store.close()
        if store.trouble is not None:
            report.say(f"{store.path} takes no more features ({store.trouble}): those it lacks are computed anew")
    readable = np.concatenate(positions)
    return Embedded(
        pending.features[pending.first[readable]],
        batches.used[readable],
        batches.quarantined,
        pending.computed,
        "cache" if pending.engine is None else pending.engine.name,
        "all features were computed before" if pending.engine is None else pending.engine.reason,
        None if pending.engine is None or backbone is None else Embedder(pending.engine, backbone),
    )


@final
class _Pending:
    """Finds the features of images, and gathers those without into batches for the backbone.

    Attributes:
        features: `float32 (N, D)`; rows of copies, of what is not yet computed and of what is unreadable are undefined.
        first: For each image the first one with its pixels, `int64 (N,)`.
        taken: How many images came so far.
        computed: How many of them went through the backbone.
        engine: What computes; None before there is anything to compute.
    """

    def __init__(
        self, model: Any, engine: str | _backend.Engine, store: Store | None, count: int, report: ProgressReport
    ) -> None:
        self.features = np.empty((count, model.output_shape[-1]), np.float32)
        self.first = np.arange(count)
        self.taken = self.computed = 0
        self.engine: _backend.Engine | None = None
        self._model, self._engine, self._store, self._report = model, engine, store, report
        self._known: dict[bytes, int] = {}
        self._images = np.empty((_BATCH, *model.input_shape[1:]), np.uint8)
        self._waiting: list[tuple[bytes, int]] = []  # the key and the position of each

    def take(self, images: NDArray[np.uint8], positions: NDArray[np.int64]) -> None:
        """Take in a batch."""
        for image, position in zip(np.ascontiguousarray(images), positions.tolist(), strict=True):
            name = key(image.data)
            self.first[position] = self._known.setdefault(name, position)
            self.taken += 1
            if self.first[position] != position or self._is_kept(name, position):
                continue
            self._images[len(self._waiting)] = image
            self._waiting.append((name, position))
            if len(self._waiting) == _BATCH:
                self.compute()

    def compute(self) -> None:
        """Send what waits through the backbone, and keep it."""
        if not self._waiting:
            return
        names, positions = zip(*self._waiting, strict=True)
        self.computed += len(names)
        if self.engine is None:
            self.engine = self._made(self._engine) if isinstance(self._engine, str) else self._engine
        features = np.ascontiguousarray(self.engine(self._images[: len(names)]), np.float32)
        self.features[list(positions)] = features
        self._waiting.clear()
        if self._store is not None:
            self._store.add(zip(names, features.view(np.uint8), strict=True))

    def _made(self, name: str) -> _backend.Engine:
        """Make an engine for what is to come: the share of images without features so far is the best guess for it."""
        expected = len(self.first) * self.computed / self.taken
        work = expected * architectures.measure(self._model).multiply_adds if name == "auto" else 0.0
        return _backend.engine(self._model, name, work=work, say=self._report.say)

    def _is_kept(self, name: bytes, position: int) -> bool:
        return self._store is not None and self._store.read(name, self.features[position].view(np.uint8))


@final
class _Clock:
    """Says, once, where embedding will take longer than there is time for.

    The first batch is not counted: what compiles the backbone is no measure of what is to come.
    """

    def __init__(self, ends: float | None, count: int, report: ProgressReport) -> None:
        self._ends, self._count, self._report = ends, count, report
        self._looks: list[tuple[float, int]] = []  # the time, and how many images were taken

    def look(self, taken: int) -> None:
        """Look at the clock after a batch, from the first on that went through the backbone."""
        if self._ends is None:
            return
        self._looks.append((time.monotonic(), taken))
        (begun, first), (now, _) = self._looks[0], self._looks[-1]
        if len(self._looks) <= _JUDGED or taken == self._count:
            return
        needed, left = (now - begun) / max(taken - first, 1) * (self._count - taken), self._ends - now
        if needed > left:
            words = (
                f"embedding takes some {_in_words(needed)} more, and {_in_words(max(left, 0))} of the budget are left: "
                "the head needs the features of all images, so none is left out"
            )
            self._report.say(words)
            self._ends = None


def _in_words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < _MINUTES else f"{seconds / 60:.0f} min"


def _read(model: Any, dataset: Dataset, cache: bool, on_error: str, report: ProgressReport) -> Batches:
    height, width, channels = model.input_shape[1:]
    report.begin(f"reading {len(dataset):,} images", len(dataset))
    return Batches(
        dataset,
        image_size=(height, width),
        channels=channels,
        batch_size=_BATCH,
        keep="store" if cache else "stream",
        on_error=on_error,
        on_progress=report.done,
        say=report.say,
    )


def _check_sizes(model: Any, batches: Batches) -> None:
    given = (*batches.image_size, batches.channels)
    if given != tuple(model.input_shape[1:]):
        message = (
            f"the batches have images of {given} and the model takes {tuple(model.input_shape[1:])}. "
            "Make batches of the model's size, or give the dataset itself."
        )
        raise ConfigurationError(message)


def _hashed(model: Any, report: ProgressReport) -> str | None:
    try:
        return hash_of_backbone(model)
    except UnknownCodeError as error:
        report.say(f"features are not kept: the model has code of its own, {error}, whose changes cannot be seen")
        return None


def _open_store(model: Any, backbone: str, count: int) -> Store | None:
    """Open the features of this backbone; None where the cache is off or full."""
    store = Store.named(f"features-{backbone}", 4 * model.output_shape[-1], count=count)
    if store is not None:
        with contextlib.suppress(OSError):  # another process may do the same
            os.utime(store.path)
            for path in sorted(store.path.parent.glob("features-*.sqlite"), key=_last_used)[:-_FILES]:
                path.unlink()
    return store


def _last_used(path: Path) -> float:
    return path.stat().st_mtime

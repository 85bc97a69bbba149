"""A trained model as functions from pixels to numbers, each compiled when it is first asked for."""

import threading
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from imgcls import _backend, architectures
from imgcls._runtimes import Run
from imgcls.trainer._backbone import hash_of_backbone
from imgcls.trainer._embed import Embedder

_FROZEN = ("openvino", "onnxruntime")  # engines that keep the weights that a model had when it was converted


@final
class Ways:
    """The ways through one model, by the weights that it has when they are asked for. Threads may ask and call at once.

    Args:
        model: A classifier.
        engine: As `ImageClassifier` takes it. "auto" is decided by the number of images of each call: many pay for the
            conversion to a quicker engine, and few are answered by TensorFlow.
        num_classes: K.
        embedder: What gave the features of the training images. It is used again while the backbone is the same.
    """

    def __init__(self, model: Any, *, engine: str, num_classes: int, embedder: Embedder | None = None) -> None:
        self._model, self.engine, self._num_classes, self._embedder = model, engine, num_classes, embedder
        self._lock = threading.RLock()
        self._made: dict[str, _Made] = {}

    def run_for(self, count: int) -> Run:
        """Return what gives probabilities `float32 (n, K)` quickest, where `count` images will come."""
        work = count * self._multiply_adds if self.engine == "auto" else 0.0
        if not _backend.pays(self.engine, work):
            return self.run
        return self._as_now("many", lambda: self._probabilities(work=np.inf), is_frozen=True)

    @property
    def run(self) -> Run:
        """Gives probabilities of few images."""
        return self._as_now("few", lambda: self._probabilities(work=0.0), is_frozen=self.engine in _FROZEN)

    @cached_property
    def look(self) -> "Look":
        """Gives features beside the model's own outputs."""
        with self._lock:
            featured = architectures.head_of(self._model) is not None
            model = architectures.with_features(self._model) if featured else self._model
            width = model.output_shape[1] - self._model.output_shape[1]
            return Look(_backend.compiled(model), width, self._num_classes)

    @property
    def features(self) -> Run:
        """Gives the features of few images."""
        cut = architectures.cut
        return self._as_now(
            "features", lambda: _backend.engine(cut(self._model), self.engine), is_frozen=self.engine in _FROZEN
        )

    @cached_property
    def weights(self) -> Callable[[], bytes]:
        """Tells the model's weights now: equal bytes for equal weights."""
        with self._lock:
            return _backend.weights_digest(self._model)

    def _as_now(self, name: str, make: Callable[[], Run], *, is_frozen: bool) -> Run:
        """Return a way, made anew where it is frozen and Keras has trained the model further since."""
        with self._lock:
            weights = self.weights() if is_frozen else b""
            made = self._made.get(name)
            if made is None or made.weights != weights:
                made = self._made[name] = _Made(make(), weights)
            return made.run

    @cached_property
    def _multiply_adds(self) -> int:
        return int(architectures.measure(self._model).multiply_adds)

    def _probabilities(self, *, work: float) -> Run:
        run = self._by_head(work) or _backend.engine(self._model, self.engine, work=work)
        return lambda pixels: architectures.probabilities(run(pixels), self._num_classes)

    def _by_head(self, work: float) -> Run | None:
        """Return the head on top of what embedded the training images, where that spares a conversion."""
        head = architectures.head_of(self._model)
        if head is None or self._embedder is None:
            return None
        embed, backbone = self._embedder
        wanted = embed.name != "tensorflow" and (work > 0 or self.engine == embed.name)
        if not wanted or hash_of_backbone(architectures.cut(self._model)) != backbone:
            return None  # Keras may have trained the model further
        return lambda pixels: head(embed(pixels))


class _Made(NamedTuple):
    run: Run
    weights: bytes  # that the model had then; b"" where it goes on with those that it has


class Look(NamedTuple):
    """One pass that gives features too.

    Attributes:
        run: From pixels `uint8 (n, H, W, C)` to `float32 (n, D + O)`: features, then outputs.
        width: D; 0 where the model has no head of its own.
        num_classes: K.
    """

    run: Run
    width: int
    num_classes: int

    def features(self, found: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Return the features `(n, D)` of what `run` gave, or None."""
        return found[:, : self.width] if self.width else None

    def probabilities(self, found: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probabilities `(n, K)` of what `run` gave."""
        return architectures.probabilities(found[:, self.width :], self.num_classes)

"""What the server counts, in Prometheus' text format 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/ is the specification. Everything is counted in one thread,
that of the event loop.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import final

TEXT = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # as Prometheus' own libraries have it


@final
class Counter:
    """A number that only grows, one for each combination of labels."""

    def __init__(self, name: str, meaning: str, labels: Sequence[str] = ()) -> None:
        self._head, self._name, self._labels = _head(name, meaning, "counter"), name, labels
        self._counts: defaultdict[tuple[str, ...], int] = defaultdict(int)
        if not labels:
            self._counts[()] = 0  # what never happened is 0, and not unknown

    def add(self, *values: object, count: int = 1) -> None:
        self._counts[tuple(map(str, values))] += count

    def lines(self) -> Iterator[str]:
        yield from self._head
        for values, count in sorted(self._counts.items()):
            pairs = ",".join(f'{label}="{value}"' for label, value in zip(self._labels, values, strict=True))
            yield f"{self._name}{{{pairs}}} {count}" if pairs else f"{self._name} {count}"


@final
class Gauge:
    """A number that moves, read when it is asked for."""

    def __init__(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        self._head, self._name, self._read = _head(name, meaning, "gauge"), name, read

    def lines(self) -> Iterator[str]:
        yield from self._head
        yield f"{self._name} {self._read():g}"


@final
class Histogram:
    """How many measurements were at most as large as each bound, and their sum."""

    def __init__(self, name: str, meaning: str, bounds: Sequence[float]) -> None:
        self._head, self._name, self._bounds = _head(name, meaning, "histogram"), name, bounds
        self._counts, self._sum = [0] * (len(bounds) + 1), 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self) -> Iterator[str]:
        yield from self._head
        total = 0
        for bound, count in zip((*self._bounds, "+Inf"), self._counts, strict=True):
            total += count
            yield f'{self._name}_bucket{{le="{bound}"}} {total}'
        yield f"{self._name}_sum {self._sum!r}"
        yield f"{self._name}_count {total}"


@final
class Measures:
    """All that one server counts.

    Args:
        batch_size: The most images that go through the model at once.
        queue: How many images are accepted and not answered.
        ready: Whether the model is warm.
    """

    def __init__(self, batch_size: int, *, queue: Callable[[], int], ready: Callable[[], bool]) -> None:
        self.requests = Counter("imgcls_requests_total", "Requests by path and status.", ("path", "status"))
        self.seconds = Histogram(
            "imgcls_predict_seconds", "From a request's head to its answer, of /predict.", _SECONDS
        )
        self.answered = Counter("imgcls_images_total", "Images that the model answered.")
        self.refused = Counter("imgcls_images_refused_total", "Images that could not be read.")
        sizes = [1 << power for power in range(batch_size.bit_length())]
        self.batches = Histogram("imgcls_batch_images", "Images that went through the model at once.", sizes)
        self._gauges = (
            Gauge("imgcls_queue_images", "Images that are accepted and not answered.", queue),
            Gauge("imgcls_ready", "1 once the model is warm.", ready),
        )

    def text(self) -> str:
        counted = (self.requests, self.seconds, self.answered, self.refused, self.batches, *self._gauges)
        return "".join(f"{line}\n" for one in counted for line in one.lines())


def _head(name: str, meaning: str, kind: str) -> tuple[str, str]:
    return f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"

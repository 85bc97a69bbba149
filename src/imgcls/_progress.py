"""Progress: a live bar in a terminal or notebook, plain lines in a log, nothing with verbose=0. Always on stderr."""

import time
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self, final

from imgcls import _checks

VERBOSE = ("auto", 0, 1, 2)
PATIENCE = 2.0  # seconds without a bar, where most calls are shorter


@final
class ProgressReport:
    """Shows how far long work is.

    Args:
        verbose: 0 for nothing, 1 for a live bar, 2 for one line an epoch; "auto" for a bar where one can be drawn,
            else lines. In Jupyter a bar takes `pip install ipywidgets`.
        after: The seconds before a bar is drawn: shorter work needs none.

    Examples:
        >>> import io
        >>> from contextlib import redirect_stderr
        >>> from imgcls.trainer import ProgressReport
        >>> with redirect_stderr(io.StringIO()) as shown, ProgressReport(2) as report:
        ...     report.begin("reading images", 3)  # a bar, where one can be drawn
        ...     for count in range(3):
        ...         report.done(count + 1)
        ...     report.say("3 images are read")
        >>> print(shown.getvalue(), end="")
        3 images are read
    """

    def __init__(self, verbose: Any = "auto", *, after: float = 0.0) -> None:
        from rich.console import Console  # which takes longer to import than most images take to be answered
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        _checks.refuse([_checks.unknown_name("verbose", verbose, VERBOSE)])
        forced = True if verbose == 1 else None
        self._console = Console(stderr=True, quiet=verbose == 0, force_terminal=forced, highlight=False, soft_wrap=True)
        can = find_spec("ipywidgets") is not None if self._console.is_jupyter else self._console.is_terminal
        live = can and verbose in {1, "auto"}
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=self._console, transient=True, refresh_per_second=4) if live else None
        self._task: Any = None
        self._drawn_at = time.monotonic() + after

    def __enter__(self) -> Self:
        self._draw()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin(self, what: str, total: int) -> None:
        """Start a bar for `total` things of a kind."""
        if self._bar is not None:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(what, total=total)

    def done(self, count: int) -> None:
        """Say that `count` things are done so far."""
        if self._bar is not None and self._task is not None:
            self._draw()
            self._bar.update(self._task, completed=count)

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._console.print(line, markup=False)

    def _draw(self) -> None:
        if self._bar is not None and not self._bar.live.is_started and time.monotonic() >= self._drawn_at:
            self._bar.start()

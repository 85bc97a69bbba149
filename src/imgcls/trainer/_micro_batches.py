"""A batch that does not fit into memory goes through the model in parts."""

from collections.abc import Callable
from typing import Any

from imgcls import _backend
from imgcls.errors import TrainingError


def halve(step: _backend.TrainingStep, model: Any, count: int, error: Exception, *, say: Callable[[str], None]) -> None:
    """Let a step go on with micro-batches of half the size.

    Args:
        step: It has raised `OutOfMemory`.
        model: What it trains.
        count: How many images the batch has.
        error: What it has raised.
        say: Called with a line about it.

    Raises:
        TrainingError: One image alone does not fit.
    """
    if step.micro_batches >= count:
        message = (
            f"one image of {model.input_shape[1]} x {model.input_shape[2]} pixels does not fit into the memory of the "
            "device. Give a smaller image_size or architecture."
        )
        raise TrainingError(message) from error
    step.micro_batches *= 2
    say(
        f"out of memory: a batch of {count} goes through the model in {step.micro_batches} parts from now on, their "
        "gradients accumulated"
    )

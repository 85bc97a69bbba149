"""The speed of a model, by a clock that tells what is quicker than a step of Windows' coarse one."""

import time
from types import SimpleNamespace

from imgcls import architectures
from imgcls.trainer import _speed


def test_a_model_that_is_quicker_than_a_step_of_a_coarse_clock_takes_time(monkeypatch):
    """`time.monotonic` moves every 15.6 ms on Windows: here it stands still meanwhile."""
    monkeypatch.setattr(_speed, "time", SimpleNamespace(perf_counter=time.perf_counter, monotonic=lambda: 100.0))
    model = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10)
    begin = time.perf_counter()
    found = _speed.speed(model, batch_size=4)
    assert found.image > 0
    assert found.starting + 2 * 4 * found.image <= time.perf_counter() - begin  # four images, twice

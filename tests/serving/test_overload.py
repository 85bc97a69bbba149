"""More requests than can be answered: some are refused soon, none that was accepted is lost, and it recovers.

The model takes a known time and no processor, so that what is expected does not depend on the machine. The client is
that of `benchmarks/serving.py`.
"""

import asyncio
import sys
from pathlib import Path

import numpy as np
import pytest
from lights import png
from process import lights

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import serving as benchmark

pytestmark = pytest.mark.slow  # some seconds of traffic
EACH = 0.02  # seconds that the model takes for an image: 50 images a second
IMAGES = [png(255)]


@pytest.fixture(scope="module")
def server():
    with lights(seconds=EACH, queue_size=16) as one:
        asyncio.run(benchmark.first_answer(one.port, IMAGES[0]))
        yield one


def storm(server, rate, seconds, **how):
    return asyncio.run(benchmark.at_rate(server.port, IMAGES, rate, seconds, seed=0, **how))


def single(server):
    return float(np.median(asyncio.run(benchmark.alone(server.port, IMAGES, 20))))


def test_at_80_percent_of_its_capacity_nobody_is_refused_and_99_percent_wait_less_than_five_times_as_long(server):
    alone = single(server)
    assert EACH < alone < 2 * EACH
    found = storm(server, 0.8 / EACH, 6, steady=True)
    assert [one.status for one in found] == [200] * len(found)
    assert np.percentile([one.seconds for one in found], 99) < 5 * alone


def test_at_three_times_its_capacity_it_refuses_soon_loses_nothing_and_recovers(server):
    alone = single(server)
    found = storm(server, 3 / EACH, 4)
    accepted = [one.seconds for one in found if one.status == 200]
    refused = [one.seconds for one in found if one.status == 503]
    assert len(accepted) + len(refused) == len(found)  # an answer for each
    assert len(accepted) >= 0.9 * 4 / EACH  # as much as it can
    assert np.median(refused) < alone
    assert max(accepted) < 20 * EACH + 1  # the queue bounds how long an accepted one waits
    assert single(server) < 2 * alone
    text = server.ask("GET", "/metrics").body.decode()
    assert f'imgcls_requests_total{{path="/predict",status="503"}} {len(refused)}\n' in text
    assert "\nimgcls_queue_images 0\n" in text

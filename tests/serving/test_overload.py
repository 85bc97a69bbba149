"""More requests than can be answered: the queue stays as long as it may be, none is lost, and it recovers.

No clock is asked, since a busy machine may stand still for a second: how long requests wait and how soon they are
refused is measured by `benchmarks/serving.py`, whose client this is, and that a refusal waits for nobody is shown with a
model that stands still, in `test_app.py`.
"""

import asyncio
import re
import sys
from pathlib import Path

import pytest
from lights import png
from process import lights

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import serving as benchmark

pytestmark = pytest.mark.slow  # some seconds of traffic
EACH = 0.02  # seconds that the model takes for an image: 50 images a second
PLACES = benchmark.CLIENTS  # in the queue
IMAGES = [png(255)]


@pytest.fixture(scope="module")
def server():
    with lights(seconds=EACH, queue_size=PLACES, timeout=60) as one:
        asyncio.run(benchmark.first_answer(one.port, IMAGES[0]))
        yield one


def waiting(server):
    """Return how many images wait at this moment."""
    text = server.ask("GET", "/metrics").body.decode()
    return int(re.search(r"^imgcls_queue_images (\d+)$", text, re.MULTILINE)[1])


def refusals(server):
    """Return how many requests were refused since the start."""
    text = server.ask("GET", "/metrics").body.decode()
    found = re.search(r'^imgcls_requests_total{path="/predict",status="503"} (\d+)$', text, re.MULTILINE)
    return int(found[1]) if found else 0


def test_as_many_clients_as_there_are_places_are_all_answered_without_a_pause(server):
    assert asyncio.run(benchmark.capacity(server.port, IMAGES, 4)) > 0  # each answer was 200
    assert refusals(server) == 0


def test_at_three_times_its_capacity_the_queue_stays_bounded_nothing_is_lost_and_it_recovers(server):
    async def storm():
        requests = asyncio.create_task(benchmark.at_rate(server.port, IMAGES, 3 / EACH, 4, seed=0))
        lengths = []
        while not requests.done():
            lengths.append(await asyncio.to_thread(waiting, server))
            await asyncio.sleep(0.02)
        return await requests, lengths

    found, lengths = asyncio.run(storm())
    answered = [one.status for one in found].count(200)
    refused = [one.status for one in found].count(503)
    assert answered + refused == len(found)  # an answer for each
    assert refused == refusals(server) > 0
    assert answered > PLACES  # places are taken anew
    assert PLACES // 2 < max(lengths) <= PLACES
    assert waiting(server) == 0
    assert len(asyncio.run(benchmark.alone(server.port, IMAGES, 20))) == 20  # each of them 200

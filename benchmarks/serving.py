"""`imgcls serve` on an exported file: its start, its latency, its capacity, and what it does at three times that.

    python benchmarks/serving.py [--format onnx] [--architecture mobilenet_v2] [--side 224] [--rounds 5] [--seconds 8]

An untrained classifier is exported, and served by a process of its own; JPEGs of 500 x 375 are sent to it by this one,
over kept-alive connections on loopback. Both share the cores of the machine, so that what the client uses is missing
to the server; its share of the processor is printed. Each round asks, in this order:

1. start: from starting the process to the first answer of /predict.
2. alone: one request after the other.
3. capacity: answers a second while 16 clients each send the next request as soon as the last is answered.
4. 80 %, steady: 0.8 times the capacity of this round, one at a time at an even pace, whether or not earlier ones are
   answered, as wrk2 does. Latency counts from the moment at which a request was due.
5. 80 %, random: the same, but at random moments (Poisson), as strangers come. Requests then wait for each other in any
   server with one queue, however good it is: at 80 % of what a server of constant speed can do, one in a hundred waits
   for ten others (the queue M/D/1).
6. 300 %: random moments at three times the capacity. How soon is a refusal there, is every accepted request answered?
7. after: one request after the other again.

In the end it is looked up which libraries the server's process has mapped: no TensorFlow is among them.
"""

import argparse
import asyncio
import os
import random
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

ENDINGS = {"onnx": "onnx", "litert": "tflite"}
CLIENTS = 16
ALONE = 100  # requests, one after the other


class Answer(NamedTuple):
    """What came back, and after how many seconds."""

    status: int
    seconds: float


class Connection:
    """One kept-alive connection. Nothing but asyncio, so that the client takes little of the processor."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> "Connection":
        """Connect, and try again until there is a server."""
        while True:
            try:
                return cls(*await asyncio.open_connection("127.0.0.1", port))
            except ConnectionRefusedError:
                await asyncio.sleep(0.002)

    async def ask(self, image: bytes) -> int:
        """Send an image to /predict and return the status of the answer, which is read to its end."""
        head = f"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: image/jpeg\r\ncontent-length: {len(image)}\r\n\r\n"
        self._writer.write(head.encode() + image)
        lines = (await self._reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))
        await self._reader.readexactly(length)
        return int(lines[0].split()[1])

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


def photos(count: int = 32) -> list[bytes]:
    """Return JPEGs of smooth random pictures, 500 x 375."""
    import io

    from PIL import Image

    generator = np.random.default_rng(0)
    found = []
    for _ in range(count):
        picture = Image.fromarray(generator.integers(0, 256, (28, 37, 3), dtype=np.uint8)).resize((500, 375))
        file = io.BytesIO()
        picture.save(file, format="JPEG", quality=90)
        found.append(file.getvalue())
    return found


EXPORT = """
import sys
from imgcls import architectures, export, images
architecture, side, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
shape = (side, side, 3)
model = architectures.build(architecture, input_shape=shape, num_classes=10)
drawn = images.drawn(4, shape)
facts = export.Facts(architecture, tuple(f"class {number}" for number in range(10)), shape, model.count_params())
export.export(model, path, facts=facts, golden=(drawn, model.predict(drawn, verbose=0)))
"""


def exported(folder: Path, architecture: str, side: int, ending: str) -> Path:
    """Export an untrained model, in a process that ends: no thread of TensorFlow's stays beside the server's."""
    path = folder / f"model.{ending}"
    subprocess.run([sys.executable, "-c", EXPORT, architecture, str(side), path], check=True)  # noqa: S603 - the Python that runs this
    return path


class Server:
    """A process of `imgcls serve` on a free port."""

    def __init__(self, model: Path) -> None:
        self.port = free_port()
        command = [sys.executable, "-m", "imgcls", "serve", str(model), "--port", str(self.port)]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603 - the same

    def libraries(self) -> set[str]:
        """Return the names of the compiled libraries in the process."""
        text = Path(f"/proc/{self.process.pid}/maps").read_text()
        return {line.split("/", 1)[1] for line in text.splitlines() if "/" in line}

    def stop(self) -> None:
        """End it as a supervisor would."""
        self.process.terminate()
        self.process.wait()


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as place:
        return place.getsockname()[1]


async def alone(port: int, images: list[bytes], count: int = ALONE) -> list[float]:
    """Ask one after the other, and return the seconds of each."""
    connection = await Connection.open(port)
    seconds = []
    for number in range(count):
        start = time.perf_counter()
        assert await connection.ask(images[number % len(images)]) == 200  # noqa: S101 - it must be served
        seconds.append(time.perf_counter() - start)
    connection.close()
    return seconds


async def capacity(port: int, images: list[bytes], seconds: float) -> float:
    """Return the answers a second of many clients without a pause."""
    ends = time.perf_counter() + seconds
    answered = 0

    async def client(number: int) -> None:
        nonlocal answered
        connection = await Connection.open(port)
        while time.perf_counter() < ends:
            assert await connection.ask(images[number % len(images)]) == 200  # noqa: S101 - it must be served
            answered += 1
            number += 1
        connection.close()

    start = time.perf_counter()
    await asyncio.gather(*map(client, range(CLIENTS)))
    return answered / (time.perf_counter() - start)


async def at_rate(
    port: int, images: list[bytes], rate: float, seconds: float, seed: int, *, steady: bool = False
) -> list[Answer]:
    """Send `rate` requests a second, at random moments or at a steady pace, and return what came back of each."""
    moments = random.Random(seed)  # noqa: S311 - no secret
    idle: list[Connection] = []

    async def one(number: int, due: float) -> Answer:
        connection = idle.pop() if idle else await Connection.open(port)
        try:
            status = await connection.ask(images[number % len(images)])
        except (ConnectionError, asyncio.IncompleteReadError):
            status = 0
        else:
            idle.append(connection)
        return Answer(status, time.perf_counter() - due)

    tasks, due, ends = [], time.perf_counter(), time.perf_counter() + seconds
    while due < ends:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(len(tasks), due)))
        due += 1 / rate if steady else moments.expovariate(rate)
    found = await asyncio.gather(*tasks)
    for connection in idle:
        connection.close()
    return found


async def first_answer(port: int, image: bytes) -> None:
    """Wait for the first answer."""
    connection = await Connection.open(port)
    assert await connection.ask(image) == 200  # noqa: S101 - it must be served
    connection.close()


def measured(model: Path, images: list[bytes], seconds: float, seed: int) -> tuple[dict[str, float], set[str]]:
    """Return the figures of one round, and the libraries in the server's process."""
    start = time.perf_counter()
    server = Server(model)

    def run(work: Callable[..., Awaitable], *arguments: object) -> object:
        return asyncio.run(work(server.port, *arguments))

    try:
        run(first_answer, images[0])
        figures = {"start, s": time.perf_counter() - start}
        single = float(np.median(run(alone, images)))
        most = run(capacity, images, seconds)
        figures |= {"alone: median, ms": 1000 * single, "capacity, answers/s": most}
        for name, steady in (("80 %, steady", True), ("80 %, random", False)):
            busy, began = processor(), time.perf_counter()
            found = run(partial(at_rate, steady=steady), images, 0.8 * most, seconds, seed)
            share = (processor() - busy) / (time.perf_counter() - began)
            latencies = [one.seconds for one in found if one.status == 200]
            most_of_them = float(np.percentile(latencies, 99))
            figures |= {
                f"{name}: median, ms": 1000 * float(np.median(latencies)),
                f"{name}: 99 % within, ms": 1000 * most_of_them,
                f"{name}: 99 % within, times alone (wanted 5)": most_of_them / single,
                f"{name}: refused, %": 100 * (1 - len(latencies) / len(found)),
            }
        figures["80 %: the client's share of one core, %"] = 100 * share
        storm = run(at_rate, images, 3 * most, seconds, seed)
        accepted = [one.seconds for one in storm if one.status == 200]
        refused = [one.seconds for one in storm if one.status == 503]
        after = float(np.median(run(alone, images)))
        libraries = server.libraries()
    finally:
        server.stop()
    return figures | {
        "300 %: answers, of the capacity": len(accepted) / seconds / most,
        "300 %: accepted, 99 % within, ms": 1000 * float(np.percentile(accepted, 99)),
        "300 %: refused, median, ms": 1000 * float(np.median(refused)),
        "300 %: refused, 99 % within, ms": 1000 * float(np.percentile(refused, 99)),
        "300 %: neither answered nor refused": len(storm) - len(accepted) - len(refused),
        "after: median, times alone": after / single,
    }, libraries


def processor() -> float:
    """Return the seconds of processor that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--format", default="onnx", choices=ENDINGS)
    parser.add_argument("--architecture", default="mobilenet_v2")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0)
    arguments = parser.parse_args()
    images = photos()
    with tempfile.TemporaryDirectory() as folder:
        model = exported(Path(folder), arguments.architecture, arguments.side, ENDINGS[arguments.format])
        rounds = [measured(model, images, arguments.seconds, seed) for seed in range(arguments.rounds)]

    size = sum(map(len, images)) / len(images) / 1000
    print(
        f"{arguments.architecture} at {arguments.side} pixels as {arguments.format}; JPEGs of 500 x 375 ({size:.0f} "
        f"kB); {os.cpu_count()} cores for server and client; {arguments.seconds:g} s for each question\n"
    )
    print("| | median | min | max | n |")
    print("|---|---|---|---|---|")
    for name in rounds[0][0]:
        values = [figures[name] for figures, _ in rounds]
        print(f"| {name} | {np.median(values):.3g} | {min(values):.3g} | {max(values):.3g} | {len(values)} |")
    heavy = {path for _, libraries in rounds for path in libraries if "/tensorflow/" in path}
    print(f"\nLibraries of TensorFlow in the server's process: {len(heavy)}.")


if __name__ == "__main__":
    main()

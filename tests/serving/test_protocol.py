"""A real server and raw bytes: slow, endless, malformed, half-open, pipelined, too many. It outlives all of them."""

import asyncio
import re
import signal
import socket
import sys
import threading
import time
from contextlib import ExitStack, suppress

import numpy as np
import pytest
from lights import png
from process import Connection, lights, request

JPEG = {"content_type": "image/jpeg"}


@pytest.fixture(scope="module")
def server():
    with lights(timeout=1.0, max_bytes=100_000) as one:
        yield one


@pytest.fixture
def patient():
    """A server that closes no connection while a test lasts, on however busy a machine."""
    with lights(timeout=60.0) as one:
        yield one


@pytest.fixture(autouse=True)
def it_lives_on(server):
    yield
    answer = server.ask("GET", "/health")
    assert (answer.status, answer.told["model"]) == (200, "lights")
    assert server.ask("POST", "/predict", png(255), **JPEG).told["label"] == "day"
    assert server.process.poll() is None


def test_one_connection_serves_many(server):
    with server.connect() as connection:
        for level, label in ((0, "night"), (255, "day")) * 20:
            connection.send(request("POST", "/predict", png(level), **JPEG))
            assert connection.answer().told["label"] == label


def test_pipelined_requests_are_answered_in_order(server):
    levels = [0, 255, 255, 0, 255] * 4
    with server.connect() as connection:
        connection.send(b"".join(request("POST", "/predict", png(level), **JPEG) for level in levels))
        labels = [connection.answer().told["label"] for _ in levels]
    assert labels == ["day" if level else "night" for level in levels]


def test_a_body_in_chunks(server):
    data = png(255)
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (data[:7], data[7:])) + b"0\r\n\r\n"
    answer = server.ask("POST", "/predict", chunks, transfer_encoding="chunked", **JPEG)
    assert answer.told["label"] == "day"


def test_who_asks_before_sending_is_told_to_go_on_or_refused_before_it(server):
    with server.connect() as connection:
        head = {"expect": "100-continue", **JPEG}
        connection.send(request("POST", "/predict", content_length="200000", **head))
        assert connection.answer().status == 413
    data = png(255)
    with server.connect() as connection:
        connection.send(request("POST", "/predict", content_length=str(len(data)), **head))
        assert connection.socket.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(data)
        assert connection.answer().told["label"] == "day"


def test_head_has_no_body(server):
    with server.connect() as connection:
        connection.send(request("HEAD", "/") + request("GET", "/health"))
        assert int(connection.answer(head=True).headers["content-length"]) > 1000
        assert connection.answer().status == 200


# --- slow and half-open --------------------------------------------------------------------------------------------


def test_a_head_that_does_not_end_in_time_is_408(server):
    with server.connect() as connection:
        start = time.perf_counter()
        connection.send(b"GET /health HTTP/1.1\r\nhost: ")
        answer = connection.answer()
        assert answer.status == 408
        assert 0.8 < time.perf_counter() - start < 5
        assert connection.answer() is None


def test_a_head_that_comes_byte_by_byte_gains_no_time(server):
    with server.connect() as connection:
        connection.send(b"GET / HTTP/1.1\r\nx: ")
        start = time.perf_counter()
        with suppress(OSError):  # hung up
            while time.perf_counter() - start < 10:
                connection.send(b"x")
                time.sleep(0.05)
        assert 0.8 < time.perf_counter() - start < 5


@pytest.mark.parametrize("sent", [request("POST", "/predict", content_length="100", **JPEG), None])
def test_a_body_that_does_not_end_in_time_is_408(server, sent):
    chunked = request("POST", "/predict", b"5\r\nhel", transfer_encoding="chunked", **JPEG)
    with server.connect() as connection:
        connection.send(sent or chunked)
        answer = connection.answer()
        assert answer.status == 408
        assert answer.told["error"]["what"] == "the request was not complete after 1 seconds."
        assert connection.answer() is None


def test_a_silent_connection_is_closed(server):
    with server.connect() as connection:
        assert connection.answer() is None


def test_a_client_that_leaves_within_its_request_harms_nothing(server):
    for part in (b"", b"POST /pre", request("POST", "/predict", content_length="100", **JPEG) + b"x"):
        with server.connect() as connection:
            connection.send(part)
    with server.connect() as connection:
        connection.send(request("POST", "/predict", png(255), **JPEG))  # leaves before the answer


def test_many_half_open_connections_keep_nobody_out(patient):
    with ExitStack() as stack:
        open_ = [stack.enter_context(patient.connect()) for _ in range(300)]
        for connection in open_[::2]:
            connection.send(b"POST /predict HTTP/1.1\r\n")
        assert patient.ask("POST", "/predict", png(255), **JPEG).told["label"] == "day"
        for connection in open_:  # none of them was closed to make room
            connection.socket.setblocking(False)
            with pytest.raises(BlockingIOError):
                connection.socket.recv(1)


def test_too_many_connections_are_refused(patient):
    with ExitStack() as stack:
        for _ in range(512):
            stack.enter_context(patient.connect())
        with patient.connect() as connection:
            answer = connection.answer()
            assert answer.status == 503
            assert answer.headers["retry-after"] == "1"
            assert answer.told["error"]["what"] == "512 connections are open already."
    until = time.perf_counter() + 20
    while patient.ask("GET", "/health").status == 503:  # until it has noticed that they left
        assert time.perf_counter() < until


def test_what_is_refused_in_place_of_the_application_is_counted():
    """Too many connections, a head that does not end, one that is too large, and what is no HTTP."""
    with lights(timeout=1.0) as server:
        for sent in (b"GARBAGE\r\n\r\n", b"\0" * 100, b"GET / HTTP/1.1\r\nhost: "):
            with server.connect() as connection:
                connection.send(sent)
                assert connection.answer().status in {400, 408}
        with server.connect() as connection:
            connection.send(b"GET / HTTP/1.1\r\n")
            for _ in range(66):
                connection.send(b"x: " + b"y" * 1000 + b"\r\n")
                time.sleep(0.002)
            assert connection.answer().status == 431
        assert told_by(server) == {400: 2, 408: 1, 431: 1}
    with lights(timeout=60.0) as server:
        with ExitStack() as stack:
            for _ in range(512):
                stack.enter_context(server.connect())
            for _ in range(3):
                with server.connect() as connection:
                    assert connection.answer().status == 503
        until = time.perf_counter() + 20
        refused = 3
        while server.ask("GET", "/metrics").status == 503:  # until it has noticed that they left
            refused += 1
            assert time.perf_counter() < until
        assert told_by(server) == {503: refused}


def told_by(server):
    """Return how often each status was answered at no path of the application, by /metrics."""
    text = server.ask("GET", "/metrics").body.decode()
    rows = re.findall(r'^imgcls_requests_total\{path="other",status="(\d+)"\} (\d+)$', text, re.MULTILINE)
    return {int(status): int(count) for status, count in rows}


# --- oversized and malformed ---------------------------------------------------------------------------------------


def test_an_oversized_body_is_413_and_the_connection_lives_on(server):
    with server.connect() as connection:
        connection.send(request("POST", "/predict", bytes(300_000), **JPEG))
        assert connection.answer().status == 413
        connection.send(request("POST", "/predict", png(255), **JPEG))
        assert connection.answer().told["label"] == "day"


def test_an_endless_body_is_413_and_ends(server):
    with server.connect() as connection:
        connection.send(request("POST", "/predict", b"1000\r\n" + bytes(4096), transfer_encoding="chunked", **JPEG))
        start = time.perf_counter()
        with suppress(OSError):  # hung up
            while time.perf_counter() - start < 10:
                connection.send(b"\r\n1000\r\n" + bytes(4096))
                time.sleep(0.001)
        assert time.perf_counter() - start < 5


def test_an_oversized_head_is_431(server):
    with server.connect() as connection:
        with suppress(OSError):  # hung up while it is still being sent, which may take the answer with it
            connection.send(b"GET / HTTP/1.1\r\nx: " + b"y" * 1_000_000)
        answer = connection.answer()
        assert answer is None or answer.status == 431


def test_an_oversized_head_in_small_parts_is_431_and_says_so(server):
    with server.connect() as connection:
        connection.send(b"GET / HTTP/1.1\r\n")
        for _ in range(66):
            connection.send(b"x: " + b"y" * 1000 + b"\r\n")
            time.sleep(0.002)
        answer = connection.answer()
        assert answer.status == 431
        assert answer.told["error"]["accepted"] == "at most 65,536 bytes of path and headers"


@pytest.mark.parametrize(
    "sent",
    [
        b"GARBAGE\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad name: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\0b\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: many\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999999999\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
        b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n0\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),  # the first bytes of TLS
        b"\0" * 100,
    ],
)
def test_what_is_no_http_is_400_in_json(server, sent):
    with server.connect() as connection:
        connection.send(sent)
        answer = connection.answer()
        assert answer.status == 400
        assert answer.headers["content-type"] == "application/json"
        assert answer.told["error"]["what"] == "this is not HTTP/1.1 or 1.0."


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/",
        "/predict%00",
        "/%00",
        "/%zz",
        "/%ff%fe",
        "/predict/..",
        "//predict",
        "http://elsewhere.example/predict",
        "/" + "a" * 50_000,
        "/;/predict",
    ],
)
def test_tricks_with_paths_are_404(server, path):
    answer = server.ask("GET", path)
    assert answer.status == (405 if path.startswith("http:") else 404)  # a proxy's form of the address
    assert "Traceback" not in answer.body.decode()
    assert "passwd" not in answer.told["error"]["accepted"]


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "OPTIONS", "PROPFIND", "PATCH"])
def test_odd_methods_are_refused(server, method):
    for path in ("/", "*"):
        answer = server.ask(method, path)
        assert answer.status in {400, 404, 405}
        assert "error" in answer.told


@pytest.mark.parametrize("upgrade", ["websocket", "h2c"])
def test_another_protocol_is_not_taken_up(server, upgrade):
    answer = server.ask("GET", "/health", connection="Upgrade", upgrade=upgrade, sec_websocket_version="13")
    assert answer.status == 200


def test_random_bytes_harm_nothing(server):
    random = np.random.default_rng(0)
    starts = (b"", b"GET / HTTP/1.1\r\n", b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n")
    for number in range(300):
        with server.connect() as connection:
            connection.send(starts[number % 3] + random.bytes(int(random.integers(1, 400))) + b"\r\n\r\n")
            answer = connection.answer()
            assert answer is None or 400 <= answer.status < 500
            if answer is not None:
                assert {"what", "accepted", "do"} <= set(answer.told["error"])


def test_refusals_leave_nothing_in_the_log_and_ctrl_c_ends_it():
    with lights(timeout=1.0) as server:
        for sent in (b"GARBAGE\r\n\r\n", request("POST", "/predict", b"x", **JPEG), request("GET", "/x")):
            with server.connect() as connection:
                connection.send(sent)
                assert connection.answer().status >= 400
        server.process.send_signal(signal.SIGINT)
        assert server.ended() == (130, "")


# --- start and end -------------------------------------------------------------------------------------------------


def test_accepted_requests_are_answered_before_the_end():
    with lights(seconds=0.1, batch_size=1) as server, ExitStack() as stack:
        connections = [stack.enter_context(server.connect()) for _ in range(10)]
        for connection in connections:
            connection.send(request("POST", "/predict", png(255), **JPEG))
        while b"imgcls_queue_images 10\n" not in server.ask("GET", "/metrics").body:
            time.sleep(0.001)
        server.process.send_signal(signal.SIGTERM)
        answers = [connection.answer() for connection in connections]
        assert [answer.told["label"] for answer in answers] == ["day"] * 10
        assert server.ended() == (-signal.SIGTERM, "")


def test_a_place_that_is_taken_is_said_in_words():
    from imgcls import ConfigurationError
    from imgcls.serving._serve import listening

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError) as refused:
            listening("127.0.0.1", port)
    assert str(refused.value) == (
        f"host='127.0.0.1', port={port} cannot be listened at: Address already in use. Accepted: an address of this "
        "machine and a free port. Give another port, 0 for any free one, or end the program that holds it."
    )
    for host in ("no such host", "203.0.113.1", "127.0.0..1"):
        with pytest.raises(ConfigurationError, match=f"^host='{host}', port=0 cannot be listened at: "):
            listening(host, 0)
    with pytest.raises(ConfigurationError, match=r"^port=70000 is not accepted\. Accepted: a whole number from 0"):
        listening("127.0.0.1", 70_000)


def test_beside_an_event_loop_nothing_is_served_or_said(capsys):
    """In a notebook one runs."""
    from imgcls import ConfigurationError
    from imgcls.serving import serve

    async def cell():
        with pytest.raises(ConfigurationError) as refused:
            serve("a model", port=-1)
        return str(refused.value)

    assert asyncio.run(cell()) == (
        "serve needs an event loop of its own, and one runs here already, as in a notebook. Start it in a thread: "
        "threading.Thread(target=serve, args=[model], daemon=True).start(); or run `imgcls serve` in a terminal."
    )
    assert capsys.readouterr().err == ""


def test_what_is_advised_in_a_notebook_answers(capfd):
    from lights import predictor

    from imgcls.serving import serve

    async def cell():
        threading.Thread(target=serve, args=[predictor()], kwargs={"port": 0}, daemon=True).start()
        said = ""
        for _ in range(400):
            await asyncio.sleep(0.05)
            said += capfd.readouterr().err
            if (found := re.search(r"http://127\.0\.0\.1:(\d+)/", said)) is not None:
                with Connection("127.0.0.1", int(found[1]), 20) as connection:
                    connection.send(request("POST", "/predict", png(255), **JPEG))
                    return connection.answer().told["label"]
        return said

    assert asyncio.run(cell()) == "day"


def test_without_a_stderr_it_is_served_in_silence(monkeypatch):
    """As Python without a window, pythonw, runs a program."""
    import uvicorn
    from lights import predictor

    from imgcls.serving import serve

    served = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, places: served.extend(places))
    monkeypatch.setattr(sys, "stderr", None)
    serve(predictor(), port=0)
    assert len(served) == 1


def test_its_end_waits_for_what_was_accepted_and_without_a_limit_for_ever(monkeypatch):
    import uvicorn
    from lights import predictor

    from imgcls.serving import serve

    waits = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, _: waits.append(self.config.timeout_graceful_shutdown))
    for timeout in (30.0, float("inf")):
        serve(predictor(), port=0, timeout=timeout)
    assert waits == [61, None]


@pytest.mark.parametrize(
    ("host", "loud"),
    [
        ("0.0.0.0", True),  # noqa: S104 - the point of this test
        ("127.0.0.1", False),
        ("localhost", False),
    ],
)
def test_an_open_host_is_said_loudly(host, loud):
    with lights(host=host) as server:
        server.host = "127.0.0.1"
        assert server.ask("GET", "/health").status in {200, 503}
        server.process.kill()
        said = server.ended()[1]
    assert said.startswith("imgcls: WARNING: host='0.0.0.0' lets everyone who reaches this machine") is loud


def test_bodies_are_not_held_back_by_nagle(server):
    """Head and body of an answer are two writes: with Nagle's algorithm the second would wait 40 ms for the client.

    Most of them at that; a few are quicker than that even on a busy machine, so these are looked at.
    """
    with server.connect() as connection:
        seconds = []
        for _ in range(100):
            start = time.perf_counter()
            connection.send(request("GET", "/health"))
            connection.answer()
            seconds.append(time.perf_counter() - start)
    assert np.percentile(seconds, 20) < 0.03


def test_many_threads_get_their_own_answers(server):
    found = {}

    def client(number):
        with server.connect() as connection:
            labels = []
            for level in (0, 255, 0) if number % 2 else (255, 0, 255):
                connection.send(request("POST", "/predict", png(level), **JPEG))
                labels.append(connection.answer().told["label"])
            found[number] = labels

    threads = [threading.Thread(target=client, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {
        number: ["night", "day", "night"] if number % 2 else ["day", "night", "day"] for number in range(24)
    }

"""A client without a network: it speaks ASGI to an application, in one event loop."""

import asyncio
import json
from typing import NamedTuple


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def told(self):
        return json.loads(self.body)


class Client:
    """Asks an application, as a server would that has started it."""

    def __init__(self, app):
        self._app, self._runner = app, asyncio.Runner()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        async def end():
            messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
            told = []

            async def receive():
                return next(messages)

            async def send(message):
                told.append(message["type"])

            await self._app({"type": "lifespan"}, receive, send)
            assert told == ["lifespan.startup.complete", "lifespan.shutdown.complete"]

        self._runner.run(end())
        self._runner.close()

    def run(self, work):
        return self._runner.run(work)

    def ask(self, method, path, body=b"", headers=None, **scope):
        return self.run(self.asked(method, path, body, headers, **scope))

    async def asked(self, method, path, body=b"", headers=None, **scope):
        """Send a request whose body is bytes, or a list of parts; a number among them waits for so many seconds."""
        parts = [body] if isinstance(body, bytes) else list(body)
        sent = []

        async def receive():
            if parts and isinstance(parts[0], float):
                await asyncio.sleep(parts.pop(0))
            if not parts:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

        async def send(message):
            sent.append(message)

        pairs = [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
        scope |= {"type": "http", "method": method, "path": path, "headers": pairs}
        await self._app(scope, receive, send)
        if not sent:
            return None
        start, end = sent
        names = {name.decode(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], names, end["body"])

    def predict(self, body, kind="image/png", **headers):
        return self.ask("POST", "/predict", body, {"content-type": kind, **headers})

    def warm(self):
        """Wait until the model is warm."""

        self.ask("GET", "/health")  # it begins with the first request
        self.run(until(lambda: self._app._state != "warming"))
        assert self.ask("GET", "/health").status == 200


async def until(condition):
    """Wait until something is so; the test fails where it never is."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for knows no event
            await asyncio.sleep(0.001)


def form(*files, boundary="xyz"):
    """Return the body and the content type of a form of (name, data) files."""
    parts = [
        b'--%b\r\ncontent-disposition: form-data; name="image"; filename="%b"\r\n'
        b"content-type: application/octet-stream\r\n\r\n%b\r\n" % (boundary.encode(), name.encode(), data)
        for name, data in files
    ]
    return b"".join(parts) + b"--%b--\r\n" % boundary.encode(), f"multipart/form-data; boundary={boundary}"

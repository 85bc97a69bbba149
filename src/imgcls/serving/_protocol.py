"""uvicorn's HTTP/1.1 protocol, and what it leaves open: heads without end, connections without number, its own words.

It is the one on httptools, which is Node's parser: a refusal costs a third of what it costs on h11, and the less the
refusals of an overload cost, the more of the processor is left for what was accepted.
"""

import asyncio
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from imgcls.serving import _refusals
from imgcls.serving._refusals import Refusal

MOST_CONNECTIONS = 512  # half of the files that a process may usually have open
MOST_HEAD = 64 * 1024  # bytes


class Protocol(HttpToolsProtocol):
    """One connection.

    Args:
        head_timeout: Seconds within which the head of a request must be complete.
        count: Told of each status that is answered here, in place of the application.
        uvicorn: What uvicorn gives.
    """

    def __init__(self, *, head_timeout: float, count: Callable[[HTTPStatus], None], **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._head_timeout, self._count = head_timeout, count
        self._timer: asyncio.TimerHandle | None = None
        self._head, self._in_body = 0, False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            self._refuse(_refusals.no_connection(MOST_CONNECTIONS))
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        self._head += 0 if self._in_body else len(data)
        super().data_received(data)
        if not self._in_body and self._head > MOST_HEAD and not self.transport.is_closing():
            self._refuse(_refusals.head_too_large(MOST_HEAD))
        self._watch()

    def on_headers_complete(self) -> None:
        self._head, self._in_body = 0, True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._head, self._in_body = 0, False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the words are ours
        self._refuse(_refusals.no_http())

    def _watch(self) -> None:
        """Let the timer run while a head is awaited; the body of a request has one of its own.

        What is left of a refused body is read and dropped meanwhile: to hang up would take the refusal from a client
        that is still sending.
        """
        if self.transport.is_closing() or not (self.cycle is None or self.cycle.response_complete):
            self._stop_watching()
        elif self._timer is None:
            self._timer = self.loop.call_later(self._head_timeout, self._too_slow)

    def _stop_watching(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if self._head:
            self._refuse(_refusals.too_slow(self._head_timeout))
        else:
            self.transport.close()  # nothing was asked, or it is answered

    def _refuse(self, refusal: Refusal) -> None:
        """Answer in place of the application, and hang up."""
        self._count(refusal.status)
        body = json.dumps(refusal.to_json()).encode()
        headers = {
            "content-type": "application/json",
            "content-length": len(body),
            **refusal.headers,
            "connection": "close",
        }
        lines = [
            f"HTTP/1.1 {int(refusal.status)} {refusal.status.phrase}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        self.transport.write("".join(f"{line}\r\n" for line in (*lines, "")).encode() + body)
        self.transport.close()

"""`create_app`: the ASGI application. Routes, and what each answers."""

import asyncio
import json
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar, final
from urllib.parse import quote

from imgcls import _checks
from imgcls.errors import ConfigurationError, UnreadableImageError
from imgcls.inference import Predictor
from imgcls.predictions import Rows
from imgcls.serving import _refusals
from imgcls.serving._batcher import Batcher
from imgcls.serving._measures import TEXT, Measures
from imgcls.serving._refusals import Refusal
from imgcls.serving._uploads import ClientLeft, Receive, Upload, Uploads

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = Mapping[bytes, bytes]
_T = TypeVar("_T")

QUEUE_SIZE, MAX_BYTES, TIMEOUT = 32, 16 * 2**20, 30.0
_BATCH_SIZE = 8  # small networks gain by half from 1 to 8, and nothing beyond; large ones neither gain nor lose
_LOG = logging.getLogger("imgcls.serving")
_ALWAYS = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}


class _Answer(NamedTuple):
    status: HTTPStatus
    body: bytes
    headers: Mapping[str, str]


_Route = Callable[[Headers, Receive], Awaitable[_Answer]]


def create_app(
    model: Any,
    *,
    name: str = "model",
    batch_size: Any = "auto",
    queue_size: int = QUEUE_SIZE,
    max_bytes: int = MAX_BYTES,
    timeout: float = TIMEOUT,
) -> "App":
    """Return an ASGI application that predicts. Any ASGI server runs it; `serve` and `imgcls serve` run it on uvicorn.

    Args:
        model: An `ImageClassifier`, an `ExportedModel`, or an `imgcls.inference.Predictor`.
        name: What answers call the model.
        batch_size: The most images that go through the model at once, rounded down to a power of two. "auto" is 8,
            and 1 for a LiteRT file, which is made for one image at a time.
        queue_size: The most images that are accepted and not answered yet. Beyond them a request is answered 503 at
            once. It bounds how long an accepted one waits.
        max_bytes: The most bytes of a request's body. Pixels are bounded by the variable IMGCLS_MAX_PIXELS.
        timeout: Seconds within which a request must have arrived, and again those within which it is answered.

    Returns:
        The application: `POST /predict`, `GET /health`, `GET /metrics`, `GET /`, and of a bundle `POST /explain`.

    Raises:
        ConfigurationError: Arguments are not accepted; the message lists all of them.

    Examples:
        >>> import numpy as np
        >>> from imgcls.inference import Predictor
        >>> from imgcls.serving import create_app
        >>> def run(pixels):  # uint8 (n, H, W, C) -> float32 (n, K)
        ...     return np.tile(np.float32([0.9, 0.1]), (len(pixels), 1))
        >>> app = create_app(Predictor(run, input_shape=(8, 8, 3), classes=["cat", "dog"]), name="constant")
    """
    _checks.refuse(
        [
            _checks.not_whole("batch_size", batch_size, names=("auto",)),
            _checks.not_whole("queue_size", queue_size),
            _checks.not_whole("max_bytes", max_bytes),
            _checks.not_positive("timeout", timeout, finite=False),
        ]
    )
    if batch_size == "auto":
        batch_size = 1 if getattr(model, "format", None) == "litert" else _BATCH_SIZE
    return App(model, name, batch_size=batch_size, queue_size=queue_size, max_bytes=max_bytes, timeout=timeout)


@final
class App:
    """The ASGI application that `create_app` returns."""

    def __init__(
        self, model: Any, name: str, *, batch_size: int, queue_size: int, max_bytes: int, timeout: float
    ) -> None:
        self._predictor = model if isinstance(model, Predictor) else _predictor_of(model)
        self._explain = getattr(model, "explain", None)
        self._rows = Rows(self._predictor.classes, self._predictor.abstaining)
        self._name = name.encode(errors="replace").decode()  # a file's name may be no UTF-8, and answers are
        self._max_bytes, self._timeout = max_bytes, timeout
        batch_size = 1 << (batch_size.bit_length() - 1)
        self._measures = Measures(
            batch_size, queue=lambda: self._batcher.accepted, ready=lambda: self._state == "ready"
        )
        self._batcher = Batcher(
            self._predictor.read,
            self._predictor.run,
            batch_size=batch_size,
            queue_size=queue_size,
            threads=os.cpu_count() or 1,
            observe=self._measures.batches.observe,
        )
        self._uploads = Uploads(max_bytes=max_bytes, most_files=queue_size, timeout=timeout)
        self._state = "warming"
        self._warming: asyncio.Task[None] | None = None
        self._routes: dict[str, tuple[tuple[str, ...], _Route]] = {
            "/": (("GET", "HEAD"), self._page),
            "/health": (("GET", "HEAD"), self._health),
            "/metrics": (("GET", "HEAD"), self._metrics),
            "/predict": (("POST",), self._predict),
            "/explain": (("POST",), self._explained),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or the server's own start and end."""
        self._warming = self._warming or asyncio.create_task(self._warm())
        if scope["type"] == "lifespan":
            await self._live(self._warming, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    def count(self, status: HTTPStatus, path: str = "other") -> None:
        """Count a request that was answered; without a path, in place of this application, before one was known."""
        self._measures.requests.add(path if path in self._routes else "other", int(status))

    async def _live(self, warming: asyncio.Task[None], receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        warming.cancel()
        self._batcher.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _warm(self) -> None:
        try:
            await self._batcher.warm(self._predictor.input_shape)
            self._state = "ready"
        except Exception:  # noqa: BLE001 - a runtime may raise anything; /health tells, and the log says why
            self._state = "failed"
            _LOG.exception("the model failed on an empty image; nothing can be predicted")

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, path = time.perf_counter(), _path(scope)
        try:
            answer = await self._answer(path, scope, receive)
        except ClientLeft:
            return
        body = b"" if scope["method"] == "HEAD" else answer.body
        headers = {"content-length": str(len(answer.body)), **_ALWAYS, **answer.headers}
        pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        self.count(answer.status, path)
        if path == "/predict" and answer.status is HTTPStatus.OK:
            self._measures.seconds.observe(time.perf_counter() - started)
        await send({"type": "http.response.start", "status": int(answer.status), "headers": pairs})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, path: str, scope: Scope, receive: Receive) -> _Answer:
        try:
            route = self._route(scope["method"], path)
            return _onwards(scope) or await route(dict(scope["headers"]), receive)
        except ClientLeft:
            raise
        except Refusal as error:
            refusal = error
        except Exception:  # noqa: BLE001 - whatever it is, the client gets words and the server goes on
            _LOG.exception("%s failed", path)
            refusal = _refusals.failed()
        return _json(refusal.to_json(), refusal.status, **refusal.headers)

    def _route(self, method: str, path: str) -> _Route:
        if path not in self._routes:
            raise _refusals.no_such_path(path, self._routes)
        methods, route = self._routes[path]
        if method not in methods:
            raise _refusals.wrong_method(method, path, methods)
        return route

    # --- routes --------------------------------------------------------------------------------------------------

    async def _health(self, _: Headers, __: Receive) -> _Answer:
        status = HTTPStatus.OK if self._state == "ready" else HTTPStatus.SERVICE_UNAVAILABLE
        return _json({"status": self._state, "model": self._name}, status)

    async def _metrics(self, _: Headers, __: Receive) -> _Answer:
        return _Answer(HTTPStatus.OK, self._measures.text().encode(), {"content-type": TEXT})

    async def _page(self, _: Headers, __: Receive) -> _Answer:
        from imgcls.serving._page import page

        text, policy = page(
            name=self._name,
            classes=len(self._predictor.classes),
            explains=self._explain is not None,
            max_bytes=self._max_bytes,
        )
        headers = {"content-type": "text/html; charset=utf-8", "content-security-policy": policy}
        return _Answer(HTTPStatus.OK, text.encode(), headers)

    async def _predict(self, headers: Headers, receive: Receive) -> _Answer:
        self._batcher.check_room()  # before the image is read: who has to come again loses no time
        async with self._uploads.received(headers, receive) as uploads:
            with self._batcher.accept(len(uploads)):
                found = await self._in_time(asyncio.gather(*map(self._predicted, uploads)))
        if len(found) == 1:
            if isinstance(found[0], Refusal):
                raise found[0]
            return _json({**found[0], "model": self._name})
        told = [
            one.to_json(id=upload.id) if isinstance(one, Refusal) else one
            for upload, one in zip(uploads, found, strict=True)
        ]
        refused = all(isinstance(one, Refusal) for one in found)
        status = HTTPStatus.UNPROCESSABLE_ENTITY if refused else HTTPStatus.OK
        return _json({"predictions": told, "model": self._name}, status)

    async def _explained(self, headers: Headers, receive: Receive) -> _Answer:
        if self._explain is None:
            raise _refusals.no_explanation()
        self._batcher.check_room()
        async with self._uploads.received(headers, receive) as uploads:
            if len(uploads) > 1:
                raise _refusals.too_many(len(uploads), 1)
            with self._batcher.accept(1):
                try:
                    label, picture = await self._in_time(self._explanation(uploads[0]))
                except UnreadableImageError as error:
                    self._measures.refused.add()
                    raise _refusals.unreadable(error) from error
        return _json({"label": label, "picture": picture, "model": self._name})

    # --- work ----------------------------------------------------------------------------------------------------

    async def _predicted(self, upload: Upload) -> dict[str, Any] | Refusal:
        """Return what is said of one image, or why it is refused: its neighbours are answered all the same."""
        try:
            found = await self._batcher.answer(upload.data, upload.called)
            answer = self._predictor.as_predictions(found[None], [upload.id])[0]
        except UnreadableImageError as error:
            self._measures.refused.add()
            return _refusals.unreadable(error)
        self._measures.answered.add()
        return self._rows.object(answer)

    async def _explanation(self, upload: Upload) -> tuple[Any, str]:
        """Return what is said of one image, and a picture of why. Others decode and draw than the model's thread."""
        from imgcls.serving import _heat

        pixels = await self._batcher.beside(self._predictor.read, upload.data, upload.called)
        label, heat = await self._batcher.alone(_heat.heat, self._explain, pixels)
        return label, await self._batcher.beside(_heat.picture, upload.data, upload.called, heat)

    async def _in_time(self, work: Awaitable[_T]) -> _T:
        try:
            async with asyncio.timeout(self._timeout):
                return await work
        except TimeoutError:
            raise _refusals.too_late(self._timeout) from None


def _path(scope: Scope) -> str:
    """Return the path below the prefix that another application may have given this one."""
    path, prefix = str(scope["path"]), str(scope.get("root_path", ""))
    return (path.removeprefix(prefix) or "/") if prefix else path


def _onwards(scope: Scope) -> _Answer | None:
    """Send who asks for the prefix itself to the page below it: from "/flowers", a browser would ask "/predict".

    The address is a relative one: what a proxy has taken off its beginning is not known here.
    """
    path = str(scope["path"])
    if path != scope.get("root_path") or path.endswith("/"):
        return None
    return _Answer(HTTPStatus.TEMPORARY_REDIRECT, b"", {"location": f"./{quote(path.rpartition('/')[2])}/"})


def _predictor_of(model: Any) -> Predictor:
    found = getattr(model, "predictor", None)
    if not isinstance(found, Predictor):
        is_path = isinstance(model, str | os.PathLike)
        hint = " Open it first, with ImageClassifier.load or ExportedModel.open." if is_path else ""
        message = (
            f"model is a {type(model).__name__} that predicts nothing.{hint} Accepted: an ImageClassifier that has "
            "learnt, an ExportedModel, or an imgcls.inference.Predictor."
        )
        raise ConfigurationError(message)
    return found


def _json(value: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK, **headers: str) -> _Answer:
    body = json.dumps(value, ensure_ascii=False, allow_nan=False, default=str).encode()
    return _Answer(status, body, {"content-type": "application/json", "cache-control": "no-store", **headers})

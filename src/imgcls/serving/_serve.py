"""`serve`: a model on a port of this machine, until it is stopped."""

import asyncio
import ipaddress
import math
import os
import socket
import sys
from functools import partial
from typing import Any

from imgcls import _checks
from imgcls.errors import ConfigurationError
from imgcls.serving._app import MAX_BYTES, QUEUE_SIZE, TIMEOUT, create_app

_BACKLOG = 2048


def serve(
    model: Any,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    name: str = "model",
    batch_size: Any = "auto",
    queue_size: int = QUEUE_SIZE,
    max_bytes: int = MAX_BYTES,
    timeout: float = TIMEOUT,
) -> None:
    """Answer HTTP requests until the process is interrupted or told to end. Accepted requests are answered first.

    There is no password and no encryption: a host other than this machine is said loudly on stderr.

    Args:
        model: As for `create_app`.
        host: The address to listen at. "0.0.0.0" and "::" are all of this machine's.
        port: From 0, for a free one, to 65535.
        name: As for `create_app`.
        batch_size: The same.
        queue_size: The same.
        max_bytes: The same.
        timeout: The same.

    Raises:
        ConfigurationError: Arguments are not accepted, the place is taken, a library is not installed, or an event loop
            runs already, as in a notebook.
        KeyboardInterrupt: You pressed Ctrl-C, and the requests that were accepted have been answered.

    Examples:
        `serve(ExportedModel.open("flowers.onnx"))` answers until you press Ctrl-C. What cannot be served, such as a
        path in place of a model, is refused at once:

        >>> from imgcls.serving import serve
        >>> serve("flowers.onnx", port=0)  # doctest: +NORMALIZE_WHITESPACE
        Traceback (most recent call last):
        imgcls.errors.ConfigurationError: model is a str that predicts nothing. Open it first, with
            ImageClassifier.load or ExportedModel.open. Accepted: an ImageClassifier that has learnt, an
            ExportedModel, or an imgcls.inference.Predictor.
    """
    _refuse_beside_a_loop()
    with listening(host, port) as place:
        run(
            model,
            place,
            name=name,
            batch_size=batch_size,
            queue_size=queue_size,
            max_bytes=max_bytes,
            timeout=timeout,
        )


def _refuse_beside_a_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:  # none runs in this thread
        return
    message = (
        "serve needs an event loop of its own, and one runs here already, as in a notebook. Start it in a thread: "
        "threading.Thread(target=serve, args=[model], daemon=True).start(); or run `imgcls serve` in a terminal."
    )
    raise ConfigurationError(message)


def listening(host: str, port: int) -> socket.socket:
    """Take a place before a model is loaded: who connects meanwhile waits, and who cannot have it knows at once.

    Raises:
        ConfigurationError: There is no such place, or it is taken.
    """
    _checks.refuse(
        [
            None
            if isinstance(port, int) and 0 <= port <= 65535
            else f"port={port!r} is not accepted. Accepted: a whole number from 0, for a free one, to 65535."
        ]
    )
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # With its protocol named, which socket.create_server does not: else asyncio takes it for no TCP and leaves
        # Nagle's algorithm on, which holds the body of every answer back for 40 ms.
        place = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":  # elsewhere two programs could share a port
                place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            place.bind(address)
            place.listen(_BACKLOG)
        except BaseException:
            place.close()
            raise
        else:
            return place
    except (OSError, UnicodeError) as error:  # the latter of a name with nothing between two dots
        reason = getattr(error, "strerror", None) or error
        message = (
            f"host={host!r}, port={port} cannot be listened at: {reason}. Accepted: an address of "
            "this machine and a free port. Give another port, 0 for any free one, or end the program that holds it."
        )
        raise ConfigurationError(message) from error


def run(model: Any, place: socket.socket, *, name: str, timeout: float, **limits: Any) -> None:
    """Serve a model at a place that is taken, as `serve` does."""
    app = create_app(model, name=name, timeout=timeout, **limits)
    try:
        import python_multipart  # noqa: F401 - which the first request would miss
        import uvicorn

        from imgcls.serving._protocol import Protocol
    except ImportError as error:
        message = f'serving needs {error.name}. Install it: pip install "imgcls[serve]".'
        raise ConfigurationError(message) from error

    patience = 2 * timeout + 1  # for what still arrives, and what is computed then
    config = uvicorn.Config(
        app,
        http=partial(Protocol, head_timeout=timeout, count=app.count),  # type: ignore[arg-type]  # or what makes one
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=math.ceil(patience) if math.isfinite(patience) else None,
    )
    _announce(place, name)
    uvicorn.Server(config).run([place])


def _announce(place: socket.socket, name: str) -> None:
    if sys.stderr is None:  # as where pythonw runs a program without a window
        return
    host, port = place.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    sys.stderr.write(f"serving {name} on http://{shown}:{port}/ - Ctrl-C stops\n")
    if not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
        sys.stderr.write(
            f"imgcls: WARNING: host={host!r} lets everyone who reaches this machine send images and read answers. "
            "There is no password and no encryption here: put a proxy in front that has both, or leave the host out.\n"
        )
    sys.stderr.flush()

"""Refusals: how a request is answered that cannot be answered as asked.

Each has a status, and says what is wrong, what is accepted and what to do, as JSON:

    {"error": {"status": 413, "what": "...", "accepted": "...", "do": "..."}}
"""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from imgcls.errors import UnreadableImageError

_NONE: Mapping[str, str] = MappingProxyType({})
_HTML = "See GET / for a page, or the documentation of imgcls serve."
_WORDS = re.compile(r"(?P<what>.*?) Accepted: (?P<accepted>.*?)\. (?P<do>.*)", re.DOTALL)
_TYPES = "an image type such as image/jpeg, application/octet-stream, or multipart/form-data with files"
_CURL = "With curl: -H 'Content-Type: image/jpeg' --data-binary @photo.jpg, or -F image=@photo.jpg."


class Refusal(Exception):  # noqa: N818 - most are no error of the server's
    """A request that is not answered as asked.

    Args:
        status: Of HTTP.
        what: What is wrong.
        accepted: What would have been right.
        do: What to do next.
        headers: More headers of the answer.
    """

    def __init__(
        self, status: HTTPStatus, what: str, *, accepted: str, do: str, headers: Mapping[str, str] = _NONE
    ) -> None:
        super().__init__(what)
        self.status, self.what, self.accepted, self.do, self.headers = status, what, accepted, do, headers

    def to_json(self, **more: Any) -> dict[str, Any]:
        """Return what the answer says, after `more` of it."""
        words = {"status": int(self.status), "what": self.what, "accepted": self.accepted, "do": self.do}
        return {**more, "error": words}


def unreadable(error: UnreadableImageError) -> Refusal:
    """Refuse an image in the words of the decoder."""
    match = _WORDS.fullmatch(str(error))
    words = match.groupdict() if match else {"what": str(error), "accepted": "an image file", "do": "Send another one."}
    return Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, **words)


def too_large(limit: int) -> Refusal:
    return Refusal(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the request is larger than {limit:,} bytes.",
        accepted=f"at most {limit:,} bytes",
        do="Send a smaller image, or let the server accept more: imgcls serve --max-bytes.",
    )


def too_many(count: int, limit: int) -> Refusal:
    return Refusal(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"there are {count:,} files or more in one request.",
        accepted=f"at most {limit:,} files",
        do="Send them in several requests.",
    )


def too_slow(seconds: float) -> Refusal:
    return Refusal(
        HTTPStatus.REQUEST_TIMEOUT,
        f"the request was not complete after {seconds:g} seconds.",
        accepted=f"requests that arrive within {seconds:g} seconds",
        do="Send a smaller image, or let the server wait longer: imgcls serve --timeout.",
        headers={"connection": "close"},
    )


def busy(waiting: int, seconds: int) -> Refusal:
    return Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"{waiting:,} images are waiting already.",
        accepted="images, as fast as the model answers them",
        do=f"Try again in {seconds:,} s, and wait longer after each refusal.",
        headers={"retry-after": str(seconds)},
    )


def no_room() -> Refusal:
    return Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the images that are being sent fill the memory meant for them.",
        accepted="fewer or smaller images at a time",
        do="Try again in 1 s, and wait longer after each refusal.",
        headers={"retry-after": "1"},
    )


def too_late(seconds: float) -> Refusal:
    return Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"the model did not answer within {seconds:g} seconds.",
        accepted="images, as fast as the model answers them",
        do="Try again later. If it lasts, look at the server's log and load.",
        headers={"retry-after": "1"},
    )


def no_connection(limit: int) -> Refusal:
    return Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"{limit:,} connections are open already.",
        accepted=f"at most {limit:,} connections",
        do="Use one connection for several requests, and try again in 1 s.",
        headers={"retry-after": "1"},
    )


def no_http() -> Refusal:
    return Refusal(
        HTTPStatus.BAD_REQUEST,
        "this is not HTTP/1.1 or 1.0.",
        accepted=_TYPES,
        do=f"Let a library write the request. {_CURL}",
    )


def head_too_large(limit: int) -> Refusal:
    return Refusal(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        f"the head of the request is larger than {limit:,} bytes.",
        accepted=f"at most {limit:,} bytes of path and headers",
        do="Send the image in the body.",
    )


def wrong_type(found: str) -> Refusal:
    return Refusal(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the content type is {found!r}.", accepted=_TYPES, do=f"Set it. {_CURL}"
    )


def malformed(what: str) -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, what, accepted=_TYPES, do=f"Let a library write the request. {_CURL}")


def no_such_path(path: str, paths: Iterable[str]) -> Refusal:
    return Refusal(HTTPStatus.NOT_FOUND, f"there is nothing at {path[:200]!r}.", accepted=", ".join(paths), do=_HTML)


def no_explanation() -> Refusal:
    return Refusal(
        HTTPStatus.NOT_FOUND,
        "this server runs an exported file, which can predict and not explain.",
        accepted="/explain where a bundle is served",
        do="Serve the bundle: imgcls serve model.imgcls.",
    )


def wrong_method(method: str, path: str, accepted: Iterable[str]) -> Refusal:
    allowed = ", ".join(accepted)
    return Refusal(
        HTTPStatus.METHOD_NOT_ALLOWED,
        f"{path} is not asked by {method[:20]}.",
        accepted=allowed,
        do=_HTML,
        headers={"allow": allowed},
    )


def failed() -> Refusal:
    return Refusal(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "the server failed to answer this request; its log says why.",
        accepted="any image that imgcls reads",
        do="Try another image. If it lasts, tell whoever runs the server.",
    )

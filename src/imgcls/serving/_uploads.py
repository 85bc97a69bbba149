"""Uploads: from the body of a request to the bytes of images, within limits on bytes, files, time and memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, final

from imgcls.serving import _refusals

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_DICOM = "application/dicom"
_RAW = ("image/", "application/octet-stream", _DICOM)
_FORM = "multipart/form-data"
_AT_ONCE = 16  # largest requests that memory is meant to hold together
_LONGEST, _ENDING = 200, 20  # letters of the name of a file, and of its end, which is kept


class Upload(NamedTuple):
    """The bytes of what should be an image, its id, and what to call it in a refusal."""

    id: str
    called: str
    data: bytes


class ClientLeft(Exception):  # noqa: N818 - no error of anyone's
    """The client closed the connection before its request was complete."""


@final
class Uploads:
    """Receives the images of all requests.

    Args:
        max_bytes: The most bytes of one request's body.
        most_files: The most files of one form.
        timeout: The seconds within which a body must be complete.
    """

    def __init__(self, *, max_bytes: int, most_files: int, timeout: float) -> None:
        self._max_bytes, self._most_files, self._timeout = max_bytes, most_files, timeout
        self._held = 0

    @asynccontextmanager
    async def received(self, headers: Mapping[bytes, bytes], receive: Receive) -> AsyncIterator[list[Upload]]:
        """Give the images of a request; their bytes count as held until the block ends.

        Raises:
            Refusal: The request is too large, too slow, of another type, or not what its type says.
            ClientLeft: There is nobody left to answer.
        """
        kind, parameters = _content_type(headers)
        if int(headers.get(b"content-length", b"0")) > self._max_bytes:
            raise _refusals.too_large(self._max_bytes)
        body = _Form(parameters.get(b"boundary", b""), self._most_files) if kind == _FORM else _Raw(kind)
        size = 0
        try:
            try:
                async with asyncio.timeout(self._timeout):
                    async for part in _parts(receive):
                        size += len(part)
                        self._held += len(part)
                        if size > self._max_bytes:
                            raise _refusals.too_large(self._max_bytes)
                        if self._held > _AT_ONCE * self._max_bytes:
                            raise _refusals.no_room()
                        body.write(part)
            except TimeoutError:
                raise _refusals.too_slow(self._timeout) from None
            yield body.uploads()
        finally:
            self._held -= size


def _content_type(headers: Mapping[bytes, bytes]) -> tuple[str, dict[bytes, bytes]]:
    from python_multipart.multipart import parse_options_header

    given = headers.get(b"content-type", b"application/octet-stream").decode("latin-1")
    kind, parameters = parse_options_header(given)
    name = kind.decode("latin-1")
    if name != _FORM and not name.startswith(_RAW):
        raise _refusals.wrong_type(given[:_LONGEST])
    return name, parameters


async def _parts(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        yield message.get("body", b"")
        more = message.get("more_body", False)


@final
class _Raw:
    """A body that is one image. DICOM may have no mark of its own: the decoder knows it by its name."""

    def __init__(self, kind: str) -> None:
        self._data, self._called = bytearray(), "image 'body.dcm'" if kind == _DICOM else "image in the body"

    def write(self, part: bytes) -> None:
        self._data += part

    def uploads(self) -> list[Upload]:
        return [Upload("image", self._called, bytes(self._data))]


@final
class _Form:
    """A body that is a form: its files are images, its other fields are left out."""

    def __init__(self, boundary: bytes, most: int) -> None:
        from python_multipart.exceptions import FormParserError
        from python_multipart.multipart import MultipartParser, parse_options_header

        self._error, self._options = FormParserError, parse_options_header
        self._most, self._uploads, self._ended = most, list[Upload](), False
        self._field, self._value = bytearray(), bytearray()
        self._name: str | None = None
        self._data = bytearray()
        if not boundary:
            raise _refusals.malformed("the form's content type names no boundary.")
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
                    "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                    "on_header_end": self._end_header,
                    "on_part_data": self._extend,
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise _refusals.malformed(f"the form cannot be read: {error}.") from error

    def write(self, part: bytes) -> None:
        try:
            self._parser.write(part)
        except self._error as error:
            raise _refusals.malformed(f"the form cannot be read: {error}.") from error

    def uploads(self) -> list[Upload]:
        if not self._ended:
            raise _refusals.malformed("the form ends before its last boundary.")
        if not self._uploads:
            raise _refusals.malformed("the form holds no file.")
        return self._uploads

    def _begin_part(self) -> None:
        self._name, self._data = None, bytearray()

    def _end_header(self) -> None:
        if self._field.lower() == b"content-disposition":
            name = self._options(self._value.decode("latin-1"))[1].get(b"filename")
            if name is not None and len(self._uploads) == self._most:
                raise _refusals.too_many(self._most + 1, self._most)
            self._name = None if name is None else _shortened(name.decode(errors="replace")) or "image"
        self._field, self._value = bytearray(), bytearray()

    def _extend(self, data: bytes, start: int, end: int) -> None:
        if self._name is not None:
            self._data += memoryview(data)[start:end]

    def _end_part(self) -> None:
        if self._name is not None:
            self._uploads.append(Upload(self._name, f"image {self._name!r}", bytes(self._data)))

    def _end(self) -> None:
        self._ended = True


def _shortened(name: str) -> str:
    """Return the name of a file within bounds, with the ending by which the decoder may know what it is."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - _ENDING - 3]}...{name[-_ENDING:]}"

"""A form with files (multipart/form-data, RFC 7578), part by part as it comes in."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final, TypeAlias

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from pacs_cloud.errors import InvalidRequest

_FORM: Final = b"multipart/form-data"
_PATIENCE_S: Final = 60.0
"""How long a sender may pause."""
_LONGEST_S: Final = 3600.0
_MOST_PARTS: Final = 1010
_LONGEST_NAME: Final = 255


@dataclass(frozen=True, slots=True)
class FormPart:
    """A part begins.

    Attributes:
        name: the field's.
        filename: the file's, as its sender calls it; "" of a field that is none.
    """

    name: str
    filename: str


@dataclass(frozen=True, slots=True)
class PartData:
    """The next bytes of the part; none of them: it ends."""

    data: bytes


Event: TypeAlias = FormPart | PartData


class _Events:
    """What the parser calls becomes events."""

    def __init__(self) -> None:
        self.found: list[Event] = []
        self.parts = 0
        self.is_whole = False
        self._headers: dict[bytes, bytes] = {}
        self._field, self._value = b"", b""

    def on_part_begin(self) -> None:
        self.parts += 1
        if self.parts > _MOST_PARTS:
            raise InvalidRequest("The form has too many parts.")
        self._headers = {}

    def on_header_begin(self) -> None:
        self._field, self._value = b"", b""

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        self._headers[self._field.lower()] = self._value

    def on_headers_finished(self) -> None:
        kind, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if kind != b"form-data":
            raise InvalidRequest("A part of the form has no name.")
        self.found.append(FormPart(_text(options.get(b"name")), _text(options.get(b"filename"))))

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if end > start:
            self.found.append(PartData(bytes(data[start:end])))

    def on_part_end(self) -> None:
        self.found.append(PartData(b""))

    def on_end(self) -> None:
        self.is_whole = True


async def form_parts(request: Request, *, max_bytes: int) -> AsyncGenerator[Event]:
    """Yield the parts of a form, each as its beginning and its bytes.

    Raises:
        InvalidRequest: it is no such form, is longer than `max_bytes`, or stops coming.
        ClientDisconnect: the sender is gone.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if kind != _FORM or not 1 <= len(boundary) <= 70:
        raise InvalidRequest("Files are sent as multipart/form-data.")
    events = _Events()
    # The parser asks for each callback by its name.
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": events.on_part_begin,
            "on_part_data": events.on_part_data,
            "on_part_end": events.on_part_end,
            "on_header_begin": events.on_header_begin,
            "on_header_field": events.on_header_field,
            "on_header_value": events.on_header_value,
            "on_header_end": events.on_header_end,
            "on_headers_finished": events.on_headers_finished,
            "on_end": events.on_end,
        },
    )
    async for chunk in _chunks(request, max_bytes):
        try:
            parser.write(chunk)
        except FormParserError as error:
            raise InvalidRequest("The form cannot be read.") from error
        found, events.found = events.found, []
        for event in found:
            yield event
    if not events.is_whole:
        raise InvalidRequest("The form ends in the middle.")


async def _chunks(request: Request, max_bytes: int) -> AsyncGenerator[bytes]:
    clock = asyncio.get_running_loop().time
    until_s = clock() + _LONGEST_S
    received = 0
    while True:
        try:
            async with asyncio.timeout(min(_PATIENCE_S, until_s - clock())):
                message = await request.receive()
        except TimeoutError as error:
            raise InvalidRequest("The form stopped coming.") from error
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        received += len(chunk)
        if received > max_bytes:
            raise InvalidRequest("The files are too long to be sent at once.")
        if chunk:
            yield chunk
        if not message.get("more_body", False):
            return


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")[:_LONGEST_NAME]

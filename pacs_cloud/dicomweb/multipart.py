"""Multipart bodies, read and written incrementally (RFC 2046 5.1)."""

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from pacs_cloud.errors import InvalidRequest

_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")
_HEADER: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t]*+:[ \t]*+([^\r\n\0]*)")
MAX_PREAMBLE_BYTES: Final = 64 << 10
MAX_PART_HEADER_BYTES: Final = 8 << 10
_PADDING: Final = re.compile(rb"[ \t]{1,%d}" % MAX_PART_HEADER_BYTES)
_TOO_FEW: Final = -1


@dataclass(frozen=True, slots=True)
class PartBegins:
    """A part's header fields, names in lower case, a repeated one's first value."""

    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class PartBytes:
    """Some of a part's content; the view is valid until the next `feed`."""

    view: memoryview


@dataclass(frozen=True, slots=True)
class PartEnds:
    """The part is complete."""


PartEvent: TypeAlias = PartBegins | PartBytes | PartEnds


class MultipartReader:
    """Cuts a multipart body into parts as it arrives, at constant memory.

    Lines end with CRLF, as RFC 2046 5.1.1 says; a body with bare LF is refused by
    name. A delimiter-like line that goes on with other characters is content.
    """

    def __init__(self, boundary: str, *, max_parts: int = 20_000) -> None:
        """Start before the preamble.

        Args:
            boundary: the Content-Type's parameter, 1 to 70 characters.
            max_parts: of one body.

        Raises:
            InvalidRequest: not a boundary.
        """
        if _BOUNDARY.fullmatch(boundary) is None:
            raise InvalidRequest("The multipart boundary is missing or malformed.")
        self._dashes = b"--" + boundary.encode("ascii")
        self._delimiter = b"\r\n" + self._dashes
        # As if a line ended before the body: the first delimiter needs no CRLF.
        self._rest = b"\r\n"
        self._state = self._read_preamble
        self._preamble_bytes = 0
        self._has_bare_lf = False
        self._parts_left = max_parts
        self._is_complete = False

    def feed(self, data: bytes) -> Iterator[PartEvent]:
        """Yield what `data`, the body's next bytes, completes.

        Raises:
            InvalidRequest: the body is not what its Content-Type says.
        """
        buffer = self._rest + data
        position = 0
        while not self._is_complete:
            event, position, is_stuck = self._state(buffer, position)
            if event is not None:
                yield event
            if is_stuck:
                break
        self._rest = b"" if self._is_complete else buffer[position:]

    def finish(self) -> None:
        """Return if the body ended with its closing delimiter.

        Raises:
            InvalidRequest: it was cut off.
        """
        if self._is_complete:
            return
        if self._has_bare_lf and self._state == self._read_preamble:
            raise _bare_lf()
        raise InvalidRequest(
            "The multipart body ends before its closing delimiter: it was cut off, "
            "or its boundary is not the one in Content-Type."
        )

    def _read_preamble(self, buffer: bytes, start: int) -> tuple[PartEvent | None, int, bool]:
        found, after = self._find_delimiter(buffer, start)
        seen, passed = (len(buffer), after) if found == _TOO_FEW else (found, found)
        self._has_bare_lf |= self._dashes + b"\n" in buffer[start:seen]
        self._preamble_bytes += passed - start
        if self._preamble_bytes > MAX_PREAMBLE_BYTES:
            if self._has_bare_lf:
                raise _bare_lf()
            raise InvalidRequest("The multipart body does not begin with its boundary.")
        if found == _TOO_FEW:
            return None, after, True
        self._delimiter_read(buffer, after)
        return None, after, False

    def _read_headers(self, buffer: bytes, start: int) -> tuple[PartEvent | None, int, bool]:
        # The delimiter's own CRLF is still in front: "CRLF CRLF" is a part without headers.
        end = buffer.find(b"\r\n\r\n", start)
        if (len(buffer) if end < 0 else end) - start > MAX_PART_HEADER_BYTES:
            raise InvalidRequest("A part's header is longer than 8 KiB.")
        content = buffer[end + 4 : end + 4 + len(self._dashes)]
        if end < 0 or (self._dashes.startswith(content) and content != self._dashes):
            return None, start, True
        headers: dict[str, str] = {}
        for line in buffer[start + 2 : end].split(b"\r\n") if end > start else ():
            matched = _HEADER.fullmatch(line)
            if matched is None:
                raise InvalidRequest("A part's header has a line that is not `Name: value`.")
            name, value = matched.groups()
            headers.setdefault(name.decode("ascii").lower(), value.decode("latin-1").strip())
        self._state = self._read_content
        # Without any content, the blank line's CRLF is already the delimiter's.
        return PartBegins(headers), end + (2 if content == self._dashes else 4), False

    def _read_content(self, buffer: bytes, start: int) -> tuple[PartEvent | None, int, bool]:
        found, after = self._find_delimiter(buffer, start)
        if found == _TOO_FEW:
            event = PartBytes(memoryview(buffer)[start:after]) if after > start else None
            return event, after, True
        if found > start:
            return PartBytes(memoryview(buffer)[start:found]), found, False
        self._delimiter_read(buffer, after)
        return PartEnds(), after, False

    def _find_delimiter(self, buffer: bytes, start: int) -> tuple[int, int]:
        """Return where the next delimiter begins and ends.

        Without one that is whole: `_TOO_FEW`, and up to where it is surely content.
        """
        position = start
        while True:
            position = buffer.find(self._delimiter, position)
            if position < 0:
                return _TOO_FEW, max(start, len(buffer) - len(self._delimiter) + 1)
            after = position + len(self._delimiter)
            padding = _PADDING.match(buffer, after)
            end = padding.end() if padding is not None else after
            mark = buffer[end : end + 2]
            if buffer[after : after + 2] == b"--":
                return position, after
            if mark == b"\r\n":
                return position, end
            if mark[:1] == b"\n":
                raise _bare_lf()
            if len(mark) < 2 and mark in (b"", b"\r", b"-"):
                return _TOO_FEW, position
            position += 1

    def _delimiter_read(self, buffer: bytes, after: int) -> None:
        if buffer.startswith(b"--", after):
            self._is_complete = True
            return
        self._parts_left -= 1
        if self._parts_left < 0:
            raise InvalidRequest("The multipart body has too many parts for one request.")
        self._state = self._read_headers


def _bare_lf() -> InvalidRequest:
    return InvalidRequest("Lines of a multipart body must end with CRLF, not LF alone.")


class MultipartWriter:
    """Makes the pieces of a multipart/related response around the parts' own bytes."""

    def __init__(self, content: str, boundary: str | None = None) -> None:
        """Start a response of parts of the media type `content`."""
        self.boundary = boundary or secrets.token_hex(16)
        self.content_type = f'multipart/related; type="{content}"; boundary={self.boundary}'
        self._dashes = f"--{self.boundary}\r\nContent-Type: ".encode()
        self._is_first = True

    def begin(
        self, content_type: str, *, location: str = "", length_bytes: int | None = None
    ) -> bytes:
        """Return what stands before a part's content.

        Args:
            content_type: the part's own, with its transfer syntax.
            location: its URL, when it has one.
            length_bytes: of its content, when it is known.
        """
        lines = [content_type]
        if length_bytes is not None:
            lines.append(f"Content-Length: {length_bytes}")
        if location:
            lines.append(f"Content-Location: {location}")
        opening = b"" if self._is_first else b"\r\n"
        self._is_first = False
        return opening + self._dashes + "\r\n".join(lines).encode() + b"\r\n\r\n"

    def end(self) -> bytes:
        """Return what stands behind the last part."""
        return f"\r\n--{self.boundary}--\r\n".encode()

"""One line of the audit trail: JSON that ends in the hash of all its bytes before.

    {"seq":7,"at":1790…,"prev":"<hash of line 6>","event":{…},"hash":"<SHA-256>"}

The hash is over the bytes as they stand, up to `,"hash"`: no byte of a line can be another
one (nor a blank, an order of keys, a line's end), and each line names the one before it.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, cast

import orjson

from pacs_cloud.errors import Corrupt

FIRST_PREV: Final = "0" * 64
"""What the first line of a chain names."""
_TAIL: Final = re.compile(rb',"hash":"([0-9a-f]{64})"}\n')
TAIL_BYTES: Final = 76
"""What is behind the bytes that the hash is over."""
_HASH: Final = re.compile(r"[0-9a-f]{64}")


class What(StrEnum):
    """What a line holds."""

    PART = "part"
    """The head of a part: whose chain, and which part of it."""
    EVENT = "event"
    END = "end"
    """The end of a part, and what ends of other chains its writer knew of."""
    SEALED = "sealed"
    """Not of the chain: what its writer keeps of it once its last part is sealed."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a chain is.

    Attributes:
        seq: of its last line, -1 before the first.
        hash: of that line, "" where it cannot be read and states none.
        at_us: when it was written, by its writer's clock that never goes back.
    """

    seq: int = -1
    hash: str = FIRST_PREV
    at_us: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """A line that was read, and holds its hash.

    Attributes:
        position: its own.
        prev: the hash of the one before.
        what: it holds.
        body: that.
    """

    position: Position
    prev: str
    what: What
    body: Mapping[str, Any]


def encode_line(
    before: Position, what: What, body: Mapping[str, object], now_us: int
) -> tuple[bytes, Position]:
    """Return the line that follows `before`, and its position."""
    seq, at_us = before.seq + 1, max(before.at_us, now_us)
    said = {"seq": seq, "at": at_us, "prev": before.hash, what.value: body}
    covered = orjson.dumps(said)[:-1]
    digest = hashlib.sha256(covered).hexdigest()
    return b'%b,"hash":"%b"}\n' % (covered, digest.encode()), Position(seq, digest, at_us)


def read_line(line: bytes) -> Line:
    """Return what a line says.

    Raises:
        Corrupt: it is not as it was written.
    """
    digest = stated_hash(line)
    covered = line[:-TAIL_BYTES]
    if digest is None:
        raise Corrupt("does not end in a hash")
    if hashlib.sha256(covered).hexdigest() != digest:
        raise Corrupt("its hash is another one")
    try:
        said: Any = orjson.loads(covered + b"}")
        seq, at_us, prev = said.pop("seq"), said.pop("at"), said.pop("prev")
        ((what, body),) = said.items()
        is_plain = isinstance(seq, int) and isinstance(at_us, int) and isinstance(body, dict)
        if not is_plain or not _HASH.fullmatch(prev):
            raise Corrupt("is no record of an audit trail")
        named = What(what)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise Corrupt("is no record of an audit trail") from error
    position = Position(seq, digest, at_us)
    return Line(position, prev, named, cast("dict[str, Any]", body))


def stated_hash(line: bytes) -> str | None:
    """Return the hash at the end of a line, whether right or wrong; None without one."""
    match = _TAIL.fullmatch(line[-TAIL_BYTES:])
    return match[1].decode() if match else None


class Follow:
    """Follows a chain line by line, and says where one is not what must come next."""

    def __init__(self, after: Position | None = None) -> None:
        """Begin behind `after`; None: wherever the first line stands."""
        self.after = self._read = after

    def line(self, raw: bytes) -> tuple[Line | None, str]:
        """Return a line, None where it cannot be read, and what is wrong with it, else "".

        Behind one that is wrong it goes on from what that says it is. Lines that cannot be read
        may stand in the place of as many of the chain, of fewer, or of none: what follows them is
        wrong only where it fits none of these.
        """
        expected, read = self.after, self._read
        try:
            line = read_line(raw)
        except Corrupt as error:
            # What follows names the hash that this one had: often it still states it.
            if expected is not None:
                at_us = expected.at_us
                self.after = Position(expected.seq + 1, stated_hash(raw) or "", at_us)
            return None, str(error)
        self.after = self._read = line.position
        if expected is None or read is None:
            return line, ""
        seq = line.position.seq
        if not read.seq < seq <= expected.seq + 1:
            return line, f"is number {seq} where {expected.seq + 1} must come"
        before = read.hash if seq == read.seq + 1 else expected.hash
        if before and line.prev != before:
            return line, "does not name the line before it"
        if line.position.at_us < expected.at_us:
            return line, "is older than the line before it"
        return line, ""

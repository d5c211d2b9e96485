"""Where the audit trail lies: in objects once it is sealed, before that in journals on disk."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pacs_cloud.security.audit_line import FIRST_PREV, Line, What

AUDIT: Final = "audit/"
"""What the keys of all of it begin with."""
VERSION: Final = 1
LATE_US: Final = 300_000_000
"""So much later than it happened an event is written; what waits for a full disk, later still."""
_KEY: Final = re.compile(
    r"audit/([a-z0-9_-]{1,63})/(\d{8})/([0-9a-f]{16})/([0-9a-f]{8})-([0-9a-f]{16})\.jsonl"
)
_FILE: Final = re.compile(r"(\d{8})-([0-9a-f]{16})-([0-9a-f]{8})-([0-9a-f]{16})\.jsonl")


@dataclass(frozen=True, slots=True, order=True)
class PartName:
    """One part of one chain: a file of a journal first, then an object with the same bytes.

    Attributes:
        tenant: whose data its events are about.
        writer: which chain, 16 hex digits made up once.
        number: of the part, 0 for the chain's first.
        day: on which it was begun, `yyyymmdd`, UTC.
        tag: made up, so that no two parts ever have one key.
    """

    tenant: str
    writer: str
    number: int
    day: str
    tag: str

    @property
    def key(self) -> str:
        """`audit/{tenant}/{yyyymmdd}/{writer}/{number}-{tag}.jsonl`."""
        return (
            f"{day_prefix(self.tenant, self.day)}{self.writer}/{self.number:08x}-{self.tag}.jsonl"
        )

    @property
    def file(self) -> str:
        """The name of its file, in its tenant's folder."""
        return f"{self.day}-{self.writer}-{self.number:08x}-{self.tag}.jsonl"

    def body(self) -> dict[str, object]:
        """Return what the part's first line says."""
        return {
            "version": VERSION,
            "tenant": self.tenant,
            "writer": self.writer,
            "part": self.number,
            "day": self.day,
            "tag": self.tag,
        }


def day_prefix(tenant: str, day: str) -> str:
    """Return what the keys of a tenant's parts of one day begin with."""
    return f"{AUDIT}{tenant}/{day}/"


def part_of_key(key: str) -> PartName | None:
    """Return the part whose object has this key, None for any other key."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    return PartName(match[1], match[3], int(match[4], 16), match[2], match[5])


def part_of_file(tenant: str, name: str) -> PartName | None:
    """Return the part whose file in a tenant's folder has this name, None for any other."""
    match = _FILE.fullmatch(name)
    if match is None:
        return None
    return PartName(tenant, match[2], int(match[3], 16), match[1], match[4])


def is_head_of(line: Line, part: PartName) -> bool:
    """Return whether a line is the first one of a part."""
    begins = part.number > 0 or line.prev == FIRST_PREV
    return line.what is What.PART and dict(line.body) == part.body() and begins


def day_of(time_us: int) -> str:
    """Return the day of a time, `yyyymmdd`, UTC."""
    return datetime.fromtimestamp(time_us / 1e6, UTC).strftime("%Y%m%d")


@dataclass(frozen=True, slots=True)
class Head:
    """The end of another chain, as somebody saw it."""

    writer: str
    part: int
    day: str
    hash: str

    def body(self) -> dict[str, object]:
        """Return it as JSON's values."""
        return {"writer": self.writer, "part": self.part, "day": self.day, "hash": self.hash}


def head_from(said: Mapping[str, Any]) -> Head:
    """Return what `Head.body` said; raises KeyError, TypeError or ValueError."""
    return Head(str(said["writer"]), int(said["part"]), str(said["day"]), str(said["hash"]))

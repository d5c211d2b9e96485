"""Tables E.1-1 and E.3.10-1 of PS3.15, read from the files beside this module."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Final

from pacs_cloud.dicom.deid.option import Option

EDITION: Final = "2026c"
"""Of PS3.15 Table E.1-1."""

_COLUMNS: Final = {
    "safe-private": Option.SAFE_PRIVATE,
    "uids": Option.UIDS,
    "device": Option.DEVICE_IDENTITY,
    "institution": Option.INSTITUTION_IDENTITY,
    "patient": Option.PATIENT_CHARACTERISTICS,
    "full-dates": Option.FULL_DATES,
    "modified-dates": Option.MODIFIED_DATES,
    "descriptors": Option.CLEAN_DESCRIPTORS,
    "structured": Option.CLEAN_STRUCTURED_CONTENT,
    "graphics": Option.CLEAN_GRAPHICS,
}
_PRIVATE: Final = "private"
_CURVES: Final = 0x5000
_OVERLAYS: Final = 0x6000


@dataclass(frozen=True, slots=True)
class Row:
    """One row of Table E.1-1.

    Attributes:
        tag: eight hex digits, `x` for any; `private` for all private attributes.
        vr: as the dictionary has it, "" where several or none.
        basic: the action of the Basic Profile: `X`, `Z/D` and so on.
        options: the action of each option that has one.
        name: of the attribute.
    """

    tag: str
    vr: str
    basic: str
    options: Mapping[Option, str]
    name: str


def lines_of(name: str) -> Iterator[list[str]]:
    """Yield the fields of each line of one of the files beside this module, comments left out."""
    text = (files(__package__ or "") / name).read_text(encoding="utf-8")
    for line in text.splitlines():
        if not line.startswith("#"):
            yield line.split("\t")


@lru_cache(1)
def rows() -> Mapping[str, Row]:
    """Return Table E.1-1 by tag, as `Row.tag` has it."""
    lines = lines_of("attributes.tsv")
    heads = next(lines)
    found: dict[str, Row] = {}
    for fields in lines:
        line = dict(zip(heads, fields, strict=True))
        options = {option: line[column] for column, option in _COLUMNS.items() if line[column]}
        found[line["tag"]] = Row(line["tag"], line["vr"], line["basic"], options, line["name"])
    return found


@lru_cache(4096)
def row_of(tag: int) -> Row | None:
    """Return the row of an attribute, private ones and repeating groups included."""
    table = rows()
    group = tag >> 16
    if group & 1 and group > 7 and tag != 0xFFFCFFFC:
        found = table.get(f"{tag:08X}")
        return found or table[_PRIVATE]
    if group & 0xFF00 == _CURVES:
        return table["50xxxxxx"]
    if group & 0xFF00 == _OVERLAYS:
        return table.get(f"60xx{tag & 0xFFFF:04X}")
    return table.get(f"{tag:08X}")


PrivateName = tuple[str, int, int]
"""An attribute of a private creator: its name, the group, the last two digits of the element."""


@lru_cache(1)
def safe_private() -> Mapping[PrivateName, str]:
    """Return Table E.3.10-1: the VR of each attribute."""
    lines = lines_of("safe_private.tsv")
    next(lines)
    return {(creator, int(group, 16), int(low, 16)): vr for creator, group, low, vr, _ in lines}

"""Values that stand where one has to, and say nothing (action D of PS3.15 E.1)."""

from typing import Final

from pacs_cloud.dicom.deid.dates import DUMMIES
from pacs_cloud.dicom.deid.tree import DataSet

WITHHELD: Final = "WITHHELD"
_NUMBERS: Final = {"US": 2, "SS": 2, "UL": 4, "SL": 4, "FL": 4, "FD": 8, "UV": 8, "SV": 8, "AT": 4}
_TEXTS: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"})

CODE_VALUE, CODING_SCHEME, CODE_MEANING = 0x00080100, 0x00080102, 0x00080104
CONCEPT_NAME = 0x0040A043


def dummy(vr: str) -> bytes:
    """Return a value of `vr`, which is no UI and no SQ."""
    if vr in DUMMIES:
        return DUMMIES[vr].encode("ascii")
    if vr in _TEXTS:
        return WITHHELD.encode("ascii")
    if vr in {"DS", "IS"}:
        return b"0"
    if vr == "UR":
        return b"urn:withheld"
    return bytes(_NUMBERS.get(vr, 2))


def dummy_code(charset: bytes) -> DataSet:
    """Return a code that means nothing, as the item of a code sequence."""
    return coded("WITHHELD", "99PACSCLOUD", WITHHELD, charset)


def coded(value: str, scheme: str, meaning: str, charset: bytes) -> DataSet:
    """Return a code as the item of a code sequence (PS3.3 8.8)."""
    item = DataSet({}, charset)
    item.put_text(CODE_VALUE, "SH", value)
    item.put_text(CODING_SCHEME, "SH", scheme)
    item.put_text(CODE_MEANING, "LO", meaning)
    return item


def dummy_content(charset: bytes) -> list[DataSet]:
    """Return the items of a Content Sequence that says nothing (PS3.3 C.17.3)."""
    item = DataSet({}, charset)
    item.put_text(0x0040A010, "CS", "CONTAINS")
    item.put_text(0x0040A040, "CS", "TEXT")
    item.put(CONCEPT_NAME, "SQ", [coded("121106", "DCM", "Comment", charset)])
    item.put_text(0x0040A160, "UT", WITHHELD)
    return [item]


def dummy_annotations(items: list[DataSet]) -> list[DataSet]:
    """Return the items of a Graphic Annotation Sequence, cleaned ones, with nothing to read.

    Args:
        items: layers and references stay; what is drawn goes (PS3.3 C.10.5).
    """
    for item in items:
        for tag in (0x00700008, 0x00700009, 0x00700209):
            item.elements.pop(tag, None)
        text = DataSet({}, item.charset)
        text.put_text(0x00700004, "CS", "DISPLAY")
        text.put_text(0x00700006, "ST", WITHHELD)
        text.put(0x00700014, "FL", bytes(8))
        text.put_text(0x00700015, "CS", "N")
        item.put(0x00700008, "SQ", [text])
    return items

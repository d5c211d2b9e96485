"""The four UIDs without which no instance has a place: class, instance, study, series."""

from functools import lru_cache
from typing import Final, TypeAlias

from pacs_cloud.dicom.records import Record, View
from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.dicom.walk import find
from pacs_cloud.errors import InvalidInstance, InvalidUid, Refusal

Uids: TypeAlias = tuple[str, str, str, str]
"""SOP Class, SOP Instance, Study Instance, Series Instance UID."""

SOP_CLASS_UID: Final = 0x00080016
SOP_INSTANCE_UID: Final = 0x00080018
STUDY_UID: Final = 0x0020000D
SERIES_UID: Final = 0x0020000E
UID_TAGS: Final = (SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_UID, SERIES_UID)
"""In the order of `Uids`."""

_NAMES: Final = ("SOP Class UID", "SOP Instance UID", "Study Instance UID", "Series Instance UID")
_MAX_VALUE_BYTES: Final = 1024

_parse_known = lru_cache(4096)(parse_uid)  # a class's, a study's, a series' come again
_PARSERS: Final = (_parse_known, parse_uid, _parse_known, _parse_known)


def required_uids(view: View, records: list[Record]) -> Uids:
    """Return the UIDs of a data set.

    Args:
        view: the data set.
        records: of its top level, ascending.

    Raises:
        InvalidInstance: MISSING_UID.
        InvalidUid: one is malformed.
    """
    uids: list[str] = []
    for tag, name, parse in zip(UID_TAGS, _NAMES, _PARSERS, strict=True):
        found = find(records, tag)
        raw = uid_value(view, found[4], found[5]) if found else b""
        try:
            uids.append(parse(raw))
        except InvalidUid:
            if raw.rstrip(b"\0 "):
                raise
            raise InvalidInstance(f"The {name} is missing.", Refusal.MISSING_UID) from None
    sop_class_uid, sop_instance_uid, study_instance_uid, series_instance_uid = uids
    return sop_class_uid, sop_instance_uid, study_instance_uid, series_instance_uid


def uid_value(view: View, value: int, stop: int) -> bytes:
    """Return the bytes of a UID, of an absurdly long one as many as tell that it is none."""
    return bytes(view[value : min(stop, value + _MAX_VALUE_BYTES)])


def readable_uid(view: View, records: list[Record], tag: int) -> str:
    """Return the UID, or "" where it is absent or malformed; the records may be in disorder."""
    for record in records:
        if record[0] == tag:
            try:
                return parse_uid(bytes(view[record[4] : record[4] + 66])[: record[5] - record[4]])
            except InvalidUid:
                return ""
    return ""

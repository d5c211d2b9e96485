"""A rejection note of our own."""

from collections.abc import Sequence
from typing import Final

from pacs_cloud.custody.rejections.note import Why
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.key_selection import Document, KeySelection, Reference, document_of

_UNSPECIFIED: Final = ("111220", "Other failure")
"""PS3.16 CID 7011: a note about quality must say what is wrong (TID 2010, row 3)."""


def make_note(
    study_instance_uid: str,
    header: Elements,
    evidence: Sequence[Reference],
    why: Why,
    *,
    words: str,
    now_us: int,
) -> Document:
    """Return a note that rejects `evidence`.

    Args:
        study_instance_uid: of all of `evidence`, and of the note.
        header: of one of its instances, DICOM JSON: patient and study are taken from there.
        evidence: what it names, at least one.
        why: its title.
        words: what else there is to say; "" for nothing.
        now_us: when, microseconds since 1970 UTC.

    Raises:
        InvalidInstance: what the header says cannot be written.
    """
    modifier = _UNSPECIFIED if why is Why.QUALITY else None
    selection = KeySelection((why, why.meaning), evidence, words, modifier)
    return document_of(selection, study_instance_uid, header, at_us=now_us)

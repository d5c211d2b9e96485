"""Which UIDs are replaced: all that name something of this patient, no registered ones."""

import re
from functools import lru_cache
from typing import Final

from pydicom.datadict import dictionary_keyword

_REGISTERED: Final = "1.2.840.10008."
"""What DICOM itself has named."""
_FORM: Final = re.compile(r"[0-9.]+")
_MOST_CHARACTERS: Final = 64
_OF_KINDS: Final = (
    "SOPClassUID",
    "SOPClassesInStudy",
    "SOPClassesSupported",
    "TransferSyntaxUID",
    "CodingSchemeUID",
    "ContextUID",
    "ContextGroupExtensionCreatorUID",
    "MappingResourceUID",
    "ImplementationClassUID",
)
"""Endings of the keywords of UIDs that name kinds of things."""


def is_replaced(tag: int, uid: str) -> bool:
    """Return whether a UID in the element `tag` is one that is replaced."""
    if not uid:
        return False
    return not is_uid(uid) or not (uid.startswith(_REGISTERED) or _names_a_kind(tag))


def is_uid(text: str) -> bool:
    """Return whether a text has the form of a UID, and so says nothing in words."""
    return len(text) <= _MOST_CHARACTERS and _FORM.fullmatch(text) is not None


@lru_cache(1024)
def _names_a_kind(tag: int) -> bool:
    try:
        return dictionary_keyword(tag).endswith(_OF_KINDS)
    except KeyError:
        return False

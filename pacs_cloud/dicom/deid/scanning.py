"""The last look at what is kept: nothing of the patient's may stand in it, wherever it is."""

import re
from typing import Final

from pacs_cloud.dicom.deid.dummies import CODE_MEANING, CODE_VALUE, CODING_SCHEME, WITHHELD
from pacs_cloud.dicom.deid.needles import Matcher
from pacs_cloud.dicom.deid.tree import DataSet, Element, Span, span_parts, text_of
from pacs_cloud.dicom.pixel_tags import FRAGMENT_TAGS, PIXEL_TAGS
from pacs_cloud.dicom.records import View
from pacs_cloud.dicom.walk import CHARSET

PIXELS: Final = frozenset({*PIXEL_TAGS, *FRAGMENT_TAGS})
"""Looked at for themselves."""
_TEXTS: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT", "UR"})
_LONG_TEXTS: Final = _TEXTS | {"AS", "DA", "DT", "TM", "UI"}
_BYTES: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_NUMBERS: Final = frozenset({"AT", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"})
_LEAST_BYTES: Final = 6
"""Of numbers in which somebody could have written a name."""
_NUMBER: Final = re.compile(r"[\d.+\-eE \\\0]*")
_CODED: Final = frozenset({CODE_MEANING, CODE_VALUE, CODING_SCHEME})
_VOCABULARY: Final = frozenset(
    {
        *("ORIGINAL", "DERIVED", "PRIMARY", "SECONDARY", "AXIAL", "LOCALIZER", "OTHER", "MIXED"),
        *("MONOCHROME1", "MONOCHROME2", "RGB", "PALETTE COLOR", "YBR_FULL", "YBR_FULL_422"),
        *("YBR_RCT", "YBR_ICT", "YBR_PARTIAL_420", "YES", "NO", "CONTAINS", "CONTAINER"),
        *("TEXT", "CODE", "NUM", "IMAGE", "COMPOSITE", "WAVEFORM", "PNAME", "UIDREF", "DATE"),
        *("TIME", "DATETIME", "SCOORD", "TCOORD", "SEPARATE", "CONTINUOUS", "HAS OBS CONTEXT"),
        *("HAS PROPERTIES", "HAS CONCEPT MOD", "HAS ACQ CONTEXT", "INFERRED FROM"),
        *("SELECTED FROM", "COMPLETE", "PARTIAL", "VERIFIED", "UNVERIFIED", "FINAL"),
        *("CT", "MR", "PT", "NM", "US", "CR", "DX", "MG", "XA", "RF", "OT", "SC", "ECG", "HD"),
        *("SEG", "REG", "SR", "PR", "KO", "DOC", "RTDOSE", "RTPLAN", "RTSTRUCT", "RTIMAGE"),
    }
)
"""Defined terms of DICOM: a patient of such a name is not meant by them."""


def is_too_long(element: Element) -> bool:
    """Return whether a text is longer than what describes something; numbers in text are none."""
    return isinstance(element.value, Span) and element.vr in _LONG_TEXTS


def scan(
    element: Element, around: DataSet, matcher: Matcher, view: View
) -> tuple[Element | None, bool]:
    """Return what may stay of an element that is no sequence, and whether something was found.

    Args:
        element: as the rules keep it.
        around: its data set.
        matcher: of what identifies the patient.
        view: the bytes that spans lie in.
    """
    tag, vr, value = element.tag, element.vr, element.value
    if isinstance(value, list):
        return element, False
    if tag == CHARSET:
        is_found = matcher.is_in(text_of(element, around))
        return (None if is_found else element), is_found
    if isinstance(value, Span):
        parts = span_parts(view, value, vr)
        if vr in {"DS", "IS"}:  # contours
            is_found = any(_NUMBER.fullmatch(part.decode("latin-1")) is None for part in parts)
        else:
            is_found = vr == "UN" or matcher.is_in_large(parts)
        return (None if is_found else element), is_found
    if vr in _BYTES or (vr in _NUMBERS and len(value) >= _LEAST_BYTES):
        is_found = matcher.is_in_bytes(value)
        return (None if is_found else element), is_found
    if vr in {"DS", "IS"}:
        text = text_of(element, around)
        is_found = matcher.is_number(text) or _NUMBER.fullmatch(text) is None
        return (Element(tag, vr, b"") if is_found else element), is_found
    if vr not in _TEXTS:
        return element, False
    return _scanned_text(element, around, matcher)


def _scanned_text(
    element: Element, around: DataSet, matcher: Matcher
) -> tuple[Element | None, bool]:
    tag, vr, value = element.tag, element.vr, element.value
    text = text_of(element, around)
    assert isinstance(value, bytes)
    if vr == "CS":
        words = [one.strip() for one in text.split("\\")]
        kept = [one if one in _VOCABULARY or not matcher.is_in(one) else "" for one in words]
        clean, found = "\\".join(kept), kept != words
    elif found := matcher.is_in(text):
        clean = matcher.without(text)
    else:
        clean = text
        is_plain = value.isascii() and b"\x1b" not in value and b"\0" not in value
        # Else it may be in another character set than the one that is said.
        if not is_plain and matcher.is_in_bytes(value):
            clean, found = "", True
    if not found:
        return element, False
    new = DataSet({}, around.charset)
    new.put_text(tag, vr, clean or (WITHHELD if tag in _CODED else ""))
    return new.elements[tag], True

"""Whether pixels may show who somebody is, and what is to be done about it (PS3.15 E.3.1)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pacs_cloud.dicom.deid.option import Option
from pacs_cloud.dicom.deid.rules import PixelRule, Rules
from pacs_cloud.dicom.deid.tree import DataSet, Span

BURNED_IN_ANNOTATION: Final = 0x00280301
_CLASS, _IMAGE_TYPE, _MODALITY = 0x00080016, 0x00080008, 0x00080060
_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."
_CLASSES: Final = (
    *("1", "1.1", "1.2", "1.3"),  # CR, DX, mammography, intra-oral: markers, film
    *("3", "6", "7", "12", "77"),  # ultrasound, captures, XA and RF, visible light
)
"""Families of storage classes in whose pixels text is common."""
_MODALITIES: Final = frozenset(
    {
        *("US", "IVUS", "XA", "RF", "CR", "DR", "RG", "XC", "ES", "GM", "SM", "OP", "OT", "SC"),
        *("DOC", "HC", "ECG", "CP", "DF", "FS", "LP", "MA", "PX", "IO"),
    }
)
_SCREENS: Final = ("SCREEN", "REPORT", "LABEL", "OVERVIEW", "DOSE", "PROTOCOL")
"""Words in Image Type of pictures of text, whatever Burned In Annotation says."""


class Withheld(StrEnum):
    """Why an instance is not given out; each is told in the report."""

    UNREADABLE = "unreadable"
    """It cannot be read to its end, so nobody knows what is in it."""
    NO_UIDS = "no-uids"
    """It says not what it is, or which."""
    DICOMDIR = "dicomdir"
    """A directory of files: one is made anew of those that are given out."""
    DOCUMENT = "document"
    """A PDF, a CDA or another document, which is not read here."""
    AUDIO = "audio"
    """A voice."""
    PRIVATE_CLASS = "private-class"
    """A private SOP class: what its attributes hold is not known."""
    BURNED_IN = "burned-in"
    """Its pixels may show text, and no rule says where."""
    RULE_NEEDS_OPTION = "rule-needs-option"
    """A rule says what to blank, but clean-pixel-data is not asked for."""
    CANNOT_BE_BLANKED = "cannot-be-blanked"
    """A rule says what to blank, but its pixels cannot be decoded or written."""
    OVERLAY_IN_PIXELS = "overlay-in-pixels"
    """A retired overlay lies in unused bits of its pixels."""
    NAMED_IN_PIXELS = "named-in-pixels"
    """The bytes of its pixel data hold one of the patient's strings."""
    PIXELS_ELSEWHERE = "pixels-elsewhere"
    """Its pixels are at an address (JPIP)."""


@dataclass(frozen=True, slots=True)
class PixelVerdict:
    """What is to be done with pixels.

    Attributes:
        withheld: why the instance is not given out; None where it is.
        rule: what to blank; None for nothing.
        is_clean: whether the pixels, once blanked, are known to show no text.
    """

    withheld: Withheld | None = None
    rule: PixelRule | None = None
    is_clean: bool = False


def pixel_verdict(
    data_set: DataSet, pixels: Span | None, rules: Rules, options: frozenset[Option]
) -> PixelVerdict:
    """Return what is to be done with the pixels of an instance.

    Args:
        data_set: as it came.
        pixels: its pixel data, None without.
        rules: of the site; they go before everything else.
        options: of the profile.
    """
    if pixels is None:
        return PixelVerdict()
    if _has_overlay_in_pixels(data_set):
        return PixelVerdict(Withheld.OVERLAY_IN_PIXELS)
    rule = rules.pixel_rule(data_set)
    if rule is not None:
        if not rule.blanks:
            return PixelVerdict(is_clean=True)
        if Option.CLEAN_PIXELS not in options:
            return PixelVerdict(Withheld.RULE_NEEDS_OPTION)
        return PixelVerdict(rule=rule, is_clean=True)
    said = data_set.text(BURNED_IN_ANNOTATION).strip().upper()
    image_type = data_set.text(_IMAGE_TYPE).upper()
    is_screen = any(word in image_type for word in _SCREENS)
    if said == "NO" and not is_screen:
        return PixelVerdict(is_clean=True)
    if said == "YES" or is_screen or _is_suspicious(data_set):
        return PixelVerdict(Withheld.BURNED_IN)
    return PixelVerdict()


def _is_suspicious(data_set: DataSet) -> bool:
    family = data_set.text(_CLASS).removeprefix(_STORAGE)
    if any(family == one or (one != "1" and family.startswith(f"{one}.")) for one in _CLASSES):
        return True
    return data_set.text(_MODALITY).strip().upper() in _MODALITIES


def _has_overlay_in_pixels(data_set: DataSet) -> bool:
    """Return whether an overlay has a position, but no data of its own (retired, PS3.3 C.9.2)."""
    return any(
        tag >> 24 == 0x60
        and tag & 0xFFFF == 0x0102
        and element.value not in {b"", b"\0\0"}
        and tag & 0xFFFF0000 | 0x3000 not in data_set.elements
        for tag, element in data_set.elements.items()
        if isinstance(element.value, bytes)
    )

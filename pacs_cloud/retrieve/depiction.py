"""What kind of thing an instance is to somebody who wants to look at it."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import groupby
from typing import Final

from pacs_cloud.dicom.coding.frame_decoding import can_decode
from pacs_cloud.dicom.element_values import number, text
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.render.presentation_state import SHOWN_STATES
from pacs_cloud.dicom.uid import VIDEO
from pacs_cloud.retrieve.instances import Located

_REPORTS: Final = "1.2.840.10008.5.1.4.1.1.88."
_DOCUMENTS: Final = "1.2.840.10008.5.1.4.1.1.104."
_DERIVED_MODALITIES: Final = frozenset({"SEG", "RTDOSE", "OT", "DOC", "REG", "PR", "KO", "SR"})
_INSTANCE_NUMBER: Final = "00200013"
_LOCALIZERS: Final = frozenset({"LOCALIZER", "SCOUT", "SCANOGRAM", "SURVIEW", "TOPOGRAM"})


class Kind(StrEnum):
    """How an instance can be shown."""

    IMAGE = "image"
    """Its frames are pictures."""
    VIDEO = "video"
    """Its pixel data is a video as it is."""
    STATE = "presentation state"
    """It says how another instance is shown."""
    REPORT = "report"
    """Its content is text."""
    DOCUMENT = "document"
    """It holds a file of another format."""
    OTHER = "other"
    """It cannot be looked at."""


def kind_of(located: Located) -> Kind:
    """Return what kind of thing an instance is."""
    instance = located.instance
    if instance.sop_class_uid in SHOWN_STATES:
        return Kind.STATE
    if instance.pixels is not None and instance.pixels.rows:
        is_video = instance.transfer_syntax_uid in VIDEO
        return Kind.VIDEO if is_video else Kind.IMAGE
    if instance.sop_class_uid.startswith(_REPORTS):
        return Kind.REPORT
    if instance.sop_class_uid.startswith(_DOCUMENTS):
        return Kind.DOCUMENT
    return Kind.OTHER


def is_decodable(located: Located) -> bool:
    """Tell whether an image's pixels can be decoded, as far as its pack's table says."""
    instance = located.instance
    pixels = instance.pixels
    return pixels is not None and (
        not pixels.encapsulated
        or can_decode(instance.transfer_syntax_uid, bits_allocated=pixels.bits_allocated)
    )


def is_localizer(header: Elements) -> bool:
    """Tell whether an image is a plan for others, which does not stand for its series."""
    named: Sequence[object] = header.get("00080008", {}).get("Value") or ()
    return any(str(one).upper() in _LOCALIZERS for one in named)


def representatives(located: Iterable[Located]) -> list[Located]:
    """Return one image of each series, the middle one, those that stand for their study first.

    Series come by their number, those derived from others behind the rest.
    """
    images = [one for one in located if kind_of(one) is Kind.IMAGE]
    images.sort(key=lambda one: one.pack.series_instance_uid)
    found: list[tuple[tuple[bool, float], Located]] = []
    for _, group in groupby(images, key=lambda one: one.pack.series_instance_uid):
        series = sorted(group, key=_place)
        middle = series[len(series) // 2]
        named = middle.index.attributes_of(middle.instance)
        is_derived = text(named, "00080060") in _DERIVED_MODALITIES
        found.append(((is_derived, number(named, "00200011") or 0.0), middle))
    found.sort(key=lambda pair: pair[0])
    return [one for _, one in found]


def _place(located: Located) -> tuple[float, str]:
    own, common = located.instance.attributes, located.index.common
    place = number(own if _INSTANCE_NUMBER in own else common, _INSTANCE_NUMBER)
    return place or 0.0, located.instance.sop_instance_uid

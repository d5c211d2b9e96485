"""In which transfer syntaxes an instance can be had, as far as its pack's table says."""

from functools import lru_cache
from typing import Any, Final, NamedTuple

from pacs_cloud.dicom.coding.enclosure import NATIVE_TARGETS
from pacs_cloud.dicom.coding.frame_decoding import can_decode
from pacs_cloud.dicom.coding.transcode import can_transcode
from pacs_cloud.dicom.pixel_format import PixelFormat
from pacs_cloud.dicom.pixel_tags import PIXEL_DATA
from pacs_cloud.retrieve.instances import Located

_BITS_STORED: Final = "00280101"
_PHOTOMETRIC: Final = "00280004"


class Form(NamedTuple):
    """What decides in which transfer syntaxes an instance can be had.

    Attributes:
        transfer_syntax_uid: it is stored in.
        pixel_format: of its pixels, as far as its pack's table says; None if it has none.
        is_encapsulated: whether they are.
        has_frames: whether its pixels are integers in frames that can be told apart.
    """

    transfer_syntax_uid: str
    pixel_format: PixelFormat | None = None
    is_encapsulated: bool = False
    has_frames: bool = False


def form_of(located: Located) -> Form:
    """Return what decides in which transfer syntaxes an instance can be had."""
    instance = located.instance
    pixels, syntax = instance.pixels, instance.transfer_syntax_uid
    if pixels is None:
        return Form(syntax)
    own, common = instance.attributes, located.index.common

    def value(tag: str) -> Any:
        element = own.get(tag) or common.get(tag) or {}
        return next(iter(element.get("Value", ())), None)

    bits_stored, photometric = value(_BITS_STORED), value(_PHOTOMETRIC)
    described = PixelFormat(
        rows=pixels.rows,
        columns=pixels.columns,
        samples_per_pixel=pixels.samples_per_pixel,
        bits_allocated=pixels.bits_allocated,
        bits_stored=bits_stored if isinstance(bits_stored, int) else pixels.bits_allocated,
        pixel_representation=0,
        photometric_interpretation=str(photometric or "MONOCHROME2"),
    )
    has_frames = pixels.tag == PIXEL_DATA and len(pixels.frames or ()) > 0
    return Form(syntax, described, is_encapsulated=pixels.encapsulated, has_frames=has_frames)


@lru_cache(4096)
def can_make(form: Form, target: str) -> bool:
    """Tell whether an instance of this form can be had in `target`, as far as tables say."""
    syntax, pixel_format = form.transfer_syntax_uid, form.pixel_format
    if pixel_format is None or (target in NATIVE_TARGETS and not form.is_encapsulated):
        return target in NATIVE_TARGETS and can_decode(syntax)
    return form.has_frames and can_transcode(syntax, target, pixel_format)

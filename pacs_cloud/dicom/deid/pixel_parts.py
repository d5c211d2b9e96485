"""The pixel data of an instance as it is given out: as it came, without comments, or blanked."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from pacs_cloud.dicom.byte_order import swap_words
from pacs_cloud.dicom.coding.frame_decoding import decode_frame
from pacs_cloud.dicom.coding.frame_encoding import ENCODABLE, LOSSY, can_encode, encode_frame
from pacs_cloud.dicom.coding.pixel_edits import native_length, native_vr
from pacs_cloud.dicom.coding.recoding import check_sampling, recodable
from pacs_cloud.dicom.coding.value_parts import FragmentedValue, NativeValue
from pacs_cloud.dicom.deid.codestreams import without_comments
from pacs_cloud.dicom.deid.rules import PixelRule, short
from pacs_cloud.dicom.deid.tree import DataSet, Span, element_header, span_parts
from pacs_cloud.dicom.elements import Elements, element
from pacs_cloud.dicom.explicit_elements import padding
from pacs_cloud.dicom.frame_tables import encapsulated_frames
from pacs_cloud.dicom.frames import FrameTable, PixelData
from pacs_cloud.dicom.pixel_format import PixelFormat, pixel_format_of
from pacs_cloud.dicom.pixel_tags import PIXEL_DATA_TAG
from pacs_cloud.dicom.pixels import native_pixels, pixel_shape
from pacs_cloud.dicom.records import UNDEFINED, View
from pacs_cloud.dicom.uid import EXPLICIT_LE, VIDEO
from pacs_cloud.errors import InvalidInstance, Refusal

_Mask: TypeAlias = "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]"
_SHORTS: Final = (0x00280002, 0x00280006, 0x00280010, 0x00280011, 0x00280100, 0x00280101)
_PHOTOMETRIC, _PLANAR, _FRAMES = 0x00280004, 0x00280006, 0x00280008
_REGIONS: Final = 0x00186011
_X0, _Y0, _X1, _Y1 = 0x00186018, 0x0018601A, 0x0018601C, 0x0018601E


class NewPixels(NamedTuple):
    """Pixel data that is given out otherwise than it came.

    Attributes:
        transfer_syntax_uid: of the data set then.
        vr: of the element.
        length: of its value; UNDEFINED for fragments.
        made: the format of its frames, None where it did not change.
        frames: makes them, in order.
        frame_count: how many there are.
    """

    transfer_syntax_uid: str
    vr: str
    length: int
    made: PixelFormat | None
    frames: Callable[[], Iterator[bytes]]
    frame_count: int


class Pixels:
    """The pixel data of one instance."""

    def __init__(self, view: View, data_set: DataSet, tag: int, source: str) -> None:
        """Prepare to read.

        Args:
            view: the data set's bytes.
            data_set: as it came.
            tag: of the pixel data.
            source: its transfer syntax.
        """
        span = data_set.elements[tag].value
        assert isinstance(span, Span)
        self.view, self.tag, self.span = view, tag, span
        self.vr = data_set.elements[tag].vr
        self._data_set = data_set
        self._source = source
        self._module = image_module(data_set)

    def chunks(self) -> Iterator[bytes]:
        """Yield its bytes as they came, a megabyte at a time."""
        return span_parts(self.view, self.span, self.vr)

    def frames(self) -> FrameTable | None:
        """Return where its frames lie; None where they cannot be told apart."""
        return self._pixel_data().frames

    def has_comments(self) -> bool:
        """Return whether a frame's codestream has more in it than pixels.

        Raises:
            InvalidInstance: UNREADABLE, where frames cannot be told apart and one has.
        """
        fragments = self.span.fragments
        if fragments is None or self._source in VIDEO:
            return False
        table = self.frames()
        if table is not None:
            return any(self._commented(self._joined(table, n)) for n in range(len(table)))
        for start, length in zip(fragments.offsets, fragments.lengths, strict=True):
            if self._commented(bytes(self.view[start : start + length])):
                raise InvalidInstance("Its frames cannot be told apart.", Refusal.UNREADABLE)
        return False

    def uncommented(self) -> NewPixels:
        """Return its frames, each in one fragment, with nothing but pixels in them."""
        table = self.frames()
        assert table is not None

        def frames() -> Iterator[bytes]:
            return (without_comments(self._joined(table, n)) for n in range(len(table)))

        return NewPixels(self._source, self.vr, UNDEFINED, None, frames, len(table))

    def blanked(self, rule: PixelRule) -> NewPixels:
        """Return its frames with what a rule names in black.

        In the transfer syntax that they came in where that is a lossless one that can be
        written, else decoded.

        Raises:
            InvalidInstance: they cannot be decoded, or have a form that is not blanked.
        """
        pixels, described = self._pixel_data(), pixel_format_of(self._module)
        if self.tag != PIXEL_DATA_TAG or described.bits_allocated % 8:
            raise InvalidInstance("Such pixels are not blanked.", Refusal.UNSUPPORTED_SYNTAX)
        check_sampling(pixels, described)
        table = recodable(pixels, self._source, EXPLICIT_LE)
        first, native = self._native(table, 0, described)
        if native.is_subsampled:
            raise InvalidInstance("Such pixels are not blanked.", Refusal.UNSUPPORTED_SYNTAX)
        mask = self._mask(rule, native)
        target = EXPLICIT_LE
        if self._source in ENCODABLE and self._source not in LOSSY:
            target = self._source if can_encode(self._source, native) else EXPLICIT_LE
        made = native
        if target != EXPLICIT_LE:
            _, made = encode_frame(_blank(first, native, mask), native, target)

        def frames() -> Iterator[bytes]:
            for n in range(len(table)):
                data, form = self._native(table, n, described)
                if form != native:
                    raise InvalidInstance("Its frames are not all alike.", Refusal.UNREADABLE)
                data = _blank(data, native, mask)
                yield data if target == EXPLICIT_LE else encode_frame(data, native, target)[0]

        if target == EXPLICIT_LE:
            vr, length = native_vr(native, implicit=False), native_length(native, len(table))
        else:
            vr, length = "OB", UNDEFINED
        return NewPixels(target, vr, length, made, frames, len(table))

    def parts(self) -> Iterator[bytes]:
        """Yield the element as it came, little endian."""
        if self.span.fragments is not None:
            yield element_header(self.tag, self.vr, UNDEFINED)
            yield from self.chunks()
            return
        length = self.span.length
        yield element_header(self.tag, self.vr, length + length % 2)
        yield from self.chunks()
        yield padding(self.vr, length)

    def _pixel_data(self) -> PixelData:
        shape, span = pixel_shape(self.tag, self._module), self.span
        if span.fragments is None:
            return native_pixels(shape, span.start, span.length)
        tables = [self._data_set.elements.get(tag) for tag in (0x7FE00001, 0x7FE00002)]
        values = [one.value for one in tables if one and isinstance(one.value, bytes)]
        extended = (values[0], values[1]) if len(values) == 2 else None
        frames = encapsulated_frames(self.view, span.fragments, shape.frame_count, extended, None)
        length = span.length - 8
        return PixelData(f"{self.tag:08X}", *shape[1:6], True, span.start, length, frames)

    def _joined(self, table: FrameTable, n: int) -> bytes:
        return b"".join(bytes(self.view[start:stop]) for start, stop in table.ranges(n))

    def _native(
        self, table: FrameTable, n: int, described: PixelFormat
    ) -> tuple[bytes, PixelFormat]:
        data = self._joined(table, n)
        if self.span.fragments is not None:
            return decode_frame(data, self._source, described)
        if self.span.is_big:
            if len(data) % 2 and self.vr == "OW":
                raise InvalidInstance("Such pixels are not blanked.", Refusal.UNSUPPORTED_SYNTAX)
            data = swap_words(data, self.vr, self.span.cell_bits)
        return data, described

    def _mask(self, rule: PixelRule, native: PixelFormat) -> _Mask:
        mask = np.zeros((native.rows, native.columns), bool)
        if rule.outside_regions:
            mask[:] = True
            for left, top, right, bottom in self._regions():
                mask[top : bottom + 1, left : right + 1] = False
        for x, y, width, height in rule.blank:
            mask[y : y + height, x : x + width] = True
        return mask

    def _regions(self) -> Iterator[tuple[int, ...]]:
        """Yield left, top, right and bottom of each ultrasound region (PS3.3 C.8.5.5)."""
        found = self._data_set.elements.get(_REGIONS)
        items = found.value if found is not None and isinstance(found.value, list) else []
        if not items:
            raise InvalidInstance("It names no ultrasound regions.", Refusal.UNREADABLE)
        for item in items:
            sides = [item.elements.get(tag) for tag in (_X0, _Y0, _X1, _Y1)]
            values = [one.value for one in sides if one and isinstance(one.value, bytes)]
            if len(values) != 4:
                raise InvalidInstance("A region has no sides.", Refusal.UNREADABLE)
            yield tuple(int.from_bytes(value[:4], "little") for value in values)

    @staticmethod
    def _commented(codestream: bytes) -> bool:
        return without_comments(codestream) is not codestream


def new_parts(new: NewPixels, tag: int) -> Iterator[bytes]:
    """Yield the element of new pixel data; raises InvalidInstance, also in the midst."""
    yield element_header(tag, new.vr, new.length)
    if new.made is not None and new.length != UNDEFINED:
        value: NativeValue | FragmentedValue = NativeValue(new.made.frame_bits, new.frame_count)
    else:
        value = FragmentedValue()
    for frame in new.frames():
        yield value.add(frame)
    yield value.end()


def described_anew(data_set: DataSet, made: PixelFormat) -> None:
    """Have a data set say how its frames are, now that they are made anew."""
    data_set.put_text(_PHOTOMETRIC, "CS", made.photometric_interpretation)
    if made.samples_per_pixel > 1:
        data_set.put(_PLANAR, "US", made.planar_configuration.to_bytes(2, "little"))


def image_module(data_set: DataSet) -> Elements:
    """Return the Image Pixel module of a data set, as DICOM JSON."""
    found: Elements = {}
    for tag in (*_SHORTS, 0x00280103):
        value = short(data_set, tag)
        if value is not None:
            found[f"{tag:08X}"] = element("US", value)
    photometric = data_set.text(_PHOTOMETRIC).strip()
    if photometric:
        found["00280004"] = element("CS", photometric)
    frames = data_set.text(_FRAMES).strip()
    if frames.isdecimal():
        found["00280008"] = element("IS", int(frames))
    return found


def _blank(data: bytes, native: PixelFormat, mask: _Mask) -> bytes:
    """Return a native frame with its masked pixels black."""
    samples = np.frombuffer(data, native.words).copy()
    if native.samples_per_pixel == 1:
        samples.reshape(native.rows, native.columns)[mask] = _black(native)
    elif native.planar_configuration == 1:
        planes = samples.reshape(native.samples_per_pixel, native.rows, native.columns)
        for number, plane in enumerate(planes):
            plane[mask] = _colour(native, number)
    else:
        by_pixel = samples.reshape(native.rows, native.columns, native.samples_per_pixel)
        for number in range(native.samples_per_pixel):
            by_pixel[..., number][mask] = _colour(native, number)
    return samples.tobytes()


def _black(native: PixelFormat) -> int:
    is_inverse = native.photometric_interpretation == "MONOCHROME1"
    return native.stored_range[1 if is_inverse else 0]


def _colour(native: PixelFormat, sample: int) -> int:
    is_chroma = native.photometric_interpretation.startswith("YBR") and sample > 0
    return 1 << native.bits_stored - 1 if is_chroma else 0

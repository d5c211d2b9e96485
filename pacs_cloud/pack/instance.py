"""What a pack's table says of one instance."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.frames import PixelData
from pacs_cloud.dicom.header import BulkValue

_NO_ATTRIBUTES: Final[Elements] = {}


@dataclass(frozen=True, slots=True)
class Recoded:
    """What an instance is now that was encoded anew, without loss.

    Attributes:
        digest: BLAKE3 of its data set as stored, hex.
        received_syntax_uid: the transfer syntax that it came in.
    """

    digest: str
    received_syntax_uid: str


class PackInstance(NamedTuple):
    """One instance in a pack. Offsets count from the pack's first byte unless said otherwise.

    Attributes:
        sop_instance_uid: its SOP Instance UID, also its member's name.
        sop_class_uid: its SOP Class UID.
        transfer_syntax_uid: how its data set is encoded.
        offset: where its Part 10 file begins.
        length_bytes: of its Part 10 file.
        dataset_offset: of its data set, counted from `offset`.
        digest: BLAKE3 of its data set as received, hex.
        received_us: when it was complete, microseconds since 1970 UTC.
        source: its sender's place in `PackIndex.sources`.
        header_offset: of its line in the uncompressed header frame.
        header_length: of that line, without its newline.
        attributes: searched attributes that differ from `PackIndex.common`.
        pixels: its pixel data and frames, offsets from the data set's first byte.
        bulk: values too large for its header, offsets likewise.
        inflated_bytes: of the data set once inflated (deflated only): `pixels` and
            `bulk` then point into the inflated data set.
        flags: what is unusual, e.g. "uid-not-conforming".
        recoded: None for a data set that is stored as received.
    """

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    offset: int
    length_bytes: int
    dataset_offset: int
    digest: str
    received_us: int
    source: int
    header_offset: int
    header_length: int
    attributes: Elements = _NO_ATTRIBUTES
    pixels: PixelData | None = None
    bulk: tuple[BulkValue, ...] = ()
    inflated_bytes: int | None = None
    flags: tuple[str, ...] = ()
    recoded: Recoded | None = None

    @property
    def stored_digest(self) -> str:
        """BLAKE3 of its data set as it lies in the pack, hex."""
        return self.digest if self.recoded is None else self.recoded.digest

    @property
    def received_syntax_uid(self) -> str:
        """The transfer syntax that its data set came in, which `digest` is of."""
        return self.recoded.received_syntax_uid if self.recoded else self.transfer_syntax_uid

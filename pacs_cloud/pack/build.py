"""Making a pack's table from its instances."""

from collections.abc import Sequence
from dataclasses import dataclass

from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.frames import PixelData
from pacs_cloud.dicom.header import BulkValue
from pacs_cloud.pack.index import PackIndex, PackInstance, Source


@dataclass(frozen=True, slots=True)
class Entry:
    """One instance on its way into an index: a `PackInstance` before its pack is known whole.

    Attributes:
        header: its DICOM JSON, without line breaks.
        source: its sender.
        attributes: every searched attribute.

    The others are as in `PackInstance`.
    """

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    offset: int
    length_bytes: int
    dataset_offset: int
    digest: str
    received_us: int
    source: Source
    header: bytes
    attributes: Elements
    pixels: PixelData | None = None
    bulk: tuple[BulkValue, ...] = ()
    inflated_bytes: int | None = None
    flags: tuple[str, ...] = ()


def build_index(
    entries: Sequence[Entry],
    *,
    pack_id: str,
    tenant: str,
    study_instance_uid: str,
    series_instance_uid: str,
    replaces: tuple[str, ...] = (),
) -> PackIndex:
    """Return the table of a pack that holds `entries`, in their order.

    What is the same in all instances stands once, in `common` and `sources`.
    """
    common = _common(entries)
    sources = {entry.source: None for entry in entries}  # in the order of appearance
    places = {source: place for place, source in enumerate(sources)}
    instances: list[PackInstance] = []
    header_offset = 0
    for entry in entries:
        instances.append(
            PackInstance(
                sop_instance_uid=entry.sop_instance_uid,
                sop_class_uid=entry.sop_class_uid,
                transfer_syntax_uid=entry.transfer_syntax_uid,
                offset=entry.offset,
                length_bytes=entry.length_bytes,
                dataset_offset=entry.dataset_offset,
                digest=entry.digest,
                received_us=entry.received_us,
                source=places[entry.source],
                header_offset=header_offset,
                header_length=len(entry.header),
                attributes={
                    tag: element for tag, element in entry.attributes.items() if tag not in common
                },
                pixels=entry.pixels,
                bulk=entry.bulk,
                inflated_bytes=entry.inflated_bytes,
                flags=entry.flags,
            )
        )
        header_offset += len(entry.header) + 1
    return PackIndex(
        pack_id=pack_id,
        tenant=tenant,
        study_instance_uid=study_instance_uid,
        series_instance_uid=series_instance_uid,
        sources=tuple(sources),
        common=common,
        instances=tuple(instances),
        replaces=replaces,
    )


def _common(entries: Sequence[Entry]) -> Elements:
    if not entries:
        return {}
    common = dict(entries[0].attributes)
    for entry in entries[1:]:
        attributes = entry.attributes
        for tag, element in list(common.items()):
            other = attributes.get(tag)
            # The header reader shares equal elements, so `is` mostly decides.
            if other is not element and other != element:
                del common[tag]
    return common

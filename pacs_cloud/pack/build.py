"""Making a pack's table from its instances."""

from collections.abc import Sequence
from typing import NamedTuple

from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.frames import PixelData
from pacs_cloud.dicom.header import BulkValue
from pacs_cloud.pack.index import PackIndex, PackInstance, Recoded, Source


class Entry(NamedTuple):
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
    recoded: Recoded | None = None


def build_index(
    entries: Sequence[Entry],
    *,
    pack_id: str,
    tenant: str,
    study_instance_uid: str,
    series_instance_uid: str,
    replaces: tuple[str, ...] = (),
    merged_rev: int | None = None,
) -> PackIndex:
    """Return the table of a pack that holds `entries`, in their order.

    What is the same in all instances stands once, in `common` and `sources`.
    """
    common = _common(entries)
    places: dict[Source, int] = {}  # in the order of appearance
    source, place = None, 0
    instances: list[PackInstance] = []
    own: Elements = {}
    header_offset = 0
    for entry in entries:
        if entry.source is not source:  # one session's instances share theirs
            source = entry.source
            place = places.setdefault(source, len(places))
        own = _own(entry.attributes, common, own)
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
                source=place,
                header_offset=header_offset,
                header_length=len(entry.header),
                attributes=own,
                pixels=entry.pixels,
                bulk=entry.bulk,
                inflated_bytes=entry.inflated_bytes,
                flags=entry.flags,
                recoded=entry.recoded,
            )
        )
        header_offset += len(entry.header) + 1
    return PackIndex(
        pack_id=pack_id,
        tenant=tenant,
        study_instance_uid=study_instance_uid,
        series_instance_uid=series_instance_uid,
        sources=tuple(places),
        common=common,
        instances=tuple(instances),
        replaces=replaces,
        merged_rev=merged_rev,
    )


def _common(entries: Sequence[Entry]) -> Elements:
    if not entries:
        return {}
    common = dict(entries[0].attributes)
    for entry in entries[1:]:
        attributes = entry.attributes
        # The header reader shares equal elements, so that comparing is mostly `is`.
        if not common.items() <= attributes.items():
            common = {
                tag: element
                for tag, element in common.items()
                if tag in attributes and attributes[tag] == element
            }
    return common


def _own(attributes: Elements, common: Elements, before: Elements) -> Elements:
    """Return what of `attributes` is not `common` to all.

    Mostly these are the tags of `before`, the entry's before this one: whether they
    are is told by counting, for all entries have what is common.
    """
    if len(attributes) == len(common) + len(before) and before.keys() <= attributes.keys():
        return {tag: attributes[tag] for tag in before}
    return {tag: element for tag, element in attributes.items() if tag not in common}

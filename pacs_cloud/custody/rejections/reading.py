"""The rejection notes in a committed pack."""

import asyncio
from collections.abc import Iterable

import orjson

from pacs_cloud.catalogue.judging import LoadTable, ref_of
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.custody.rejections.note import Note, named_by, title_of
from pacs_cloud.custody.stored_pack import key_of, read_index_blob
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.key_selection import KEY_OBJECT_SELECTION
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.pack.index import PackInstance, decode_headers, split_index


async def notes_in(
    objects: ObjectStore, catalogue: Catalogue, pack: PackRecord, load_table: LoadTable
) -> list[Note]:
    """Return the rejection notes in a pack, hidden ones too: they may be shown again.

    Args:
        objects: the store.
        catalogue: the catalogue.
        pack: a committed pack.
        load_table: returns its table.

    Raises:
        Corrupt, NotFound, Offline: its index cannot be read.
        Unavailable: a store cannot be reached.
    """
    table = await load_table(pack.tenant, ref_of(pack))
    some = [one for one in table.instances if one.sop_class_uid == KEY_OBJECT_SELECTION]
    if not some:
        return []
    headers = await headers_of(objects, catalogue, pack)
    # One note may name a hundred thousand instances: seconds of work.
    return await asyncio.to_thread(_notes, pack, some, headers)


def _notes(pack: PackRecord, some: Iterable[PackInstance], headers: bytes) -> list[Note]:
    notes: list[Note] = []
    for one in some:
        header: Elements = orjson.loads(
            headers[one.header_offset : one.header_offset + one.header_length]
        )
        why = title_of(header)
        if why is not None:
            names = pack.study_instance_uid, pack.series_instance_uid, one.sop_instance_uid
            received = one.digest, one.received_us
            notes.append(Note(pack.tenant, *names, *received, why, named_by(header)))
    return notes


async def headers_of(objects: ObjectStore, catalogue: Catalogue, pack: PackRecord) -> bytes:
    """Return the headers of a pack's instances, as its index has them.

    Raises:
        NotFound, Offline, Corrupt: the index cannot be read.
    """
    frames = await catalogue.index(pack.tenant, ref_of(pack))
    if frames is not None:
        return decode_headers(frames.headers)
    return decode_headers(split_index(await read_index_blob(objects, key_of(pack)))[1])

import os
from pathlib import Path

from ingest_instances import SCANNER

from pacs_cloud.ingest.sealing import SeriesKey, seal
from pacs_cloud.pack.build import Entry
from pacs_cloud.pack.index import decode_table
from pacs_cloud.pack.pack_id import new_pack_id
from pacs_cloud.pack.provenance import Provenance
from pacs_cloud.pack.reader import read_index
from pacs_cloud.pack.writer import PackWriter


def test_what_sealing_returns_is_what_the_file_says(tmp_path: Path) -> None:
    path, pack_id = tmp_path / "pack.zip", new_pack_id(1)
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    writer = PackWriter(fd)
    entries: list[Entry] = []
    for number in range(3):
        uid = f"1.2.{number}"
        member = writer.append(uid, [b"content"], Provenance("default", SCANNER, number))
        entries.append(
            Entry(
                sop_instance_uid=uid,
                sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
                transfer_syntax_uid="1.2.840.10008.1.2.1",
                offset=member.offset,
                length_bytes=member.length_bytes,
                dataset_offset=0,
                digest="00",
                received_us=number,
                source=SCANNER,
                header=b"{}",
                attributes={"00200013": {"vr": "IS", "Value": [number]}},
            )
        )
    sealed = seal(fd, writer, entries, pack_id=pack_id, series=SeriesKey("default", "1.2", "1.2.9"))
    os.close(fd)
    assert sealed.length_bytes == path.stat().st_size
    assert sealed.index == read_index(path.read_bytes(), sealed.length_bytes)
    assert sealed.table == decode_table(sealed.index)

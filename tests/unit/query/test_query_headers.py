"""What is taken from full headers: private blocks, bulk data, agreement."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from catalogue_samples import TENANT, pack
from pacs_cloud.catalogue.records import StagedPack, UidRef
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.pack.index import encode_index, split_index
from pacs_cloud.query.headers import Headers, PrivateBlocks, Wish, cost_of, creator_of
from pacs_cloud.query.request import HeaderPlace, SearchKey
from pacs_cloud.retrieve.tables import PackTables

REF, OTHER = UidRef("1", "1.1", "a"), UidRef("1", "1.2", "b")
NO_BLOCKS = PrivateBlocks({})


def element(vr: str, *values: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


HEADER = {
    "00080005": element("CS", "ISO_IR 192"),
    "00090010": element("LO", "OTHER"),
    "00090011": element("LO", "ACME "),
    "00091001": element("LO", "theirs"),
    "00091101": element("LO", "ours"),
    "00091102": element(
        "SQ", {"00420011": {"vr": "OB", "BulkDataURI": "x"}, "00080100": element("SH", "A")}
    ),
    "7FE00010": {"vr": "OW", "BulkDataURI": "instances/1/bulkdata/7FE00010"},
}


@pytest.mark.parametrize(
    ("tag", "creator"),
    [
        ("00091001", "00090010"),
        ("0019FFFE", "001900FF"),
        ("00090010", ""),
        ("00101010", ""),
        ("7FE00010", ""),
    ],
)
def test_private_attributes_have_a_creator(tag: str, creator: str) -> None:
    assert creator_of(tag) == creator


def test_a_block_is_the_creators_wherever_it_is() -> None:
    blocks = PrivateBlocks.of([SearchKey(("00090010",), "ACME"), SearchKey(("00091001",), "x")])
    seen = blocks.renumbered(HEADER)
    assert seen["00091001"]["Value"] == ["ours"]
    assert seen["00090010"]["Value"] == ["ACME "]
    assert HEADER["00091001"]["Value"] == ["theirs"]
    # Of a creator that is not there, nothing is; another one's block is not taken for it.
    nobody = PrivateBlocks({"00090010": "NOBODY"}).renumbered(HEADER)
    assert {"00090010", "00091001"}.isdisjoint(nobody)
    assert nobody["00091101"]["Value"] == ["ours"]
    assert PrivateBlocks({"00090011": "ACME"}).renumbered(HEADER) is HEADER
    assert PrivateBlocks.of([SearchKey(("00090010",), "*")]) == NO_BLOCKS


def test_everything_is_all_but_bulk_data() -> None:
    found = Wish(frozenset(), everything=True, blocks=NO_BLOCKS).picked(HEADER)
    assert found.keys() == HEADER.keys() - {"7FE00010"}
    assert found["00091102"] == element("SQ", {"00080100": element("SH", "A")})
    named = Wish(frozenset({"7FE00010"}), everything=False, blocks=NO_BLOCKS).picked(HEADER)
    assert named == {"7FE00010": HEADER["7FE00010"]}


class CountingTables(PackTables):
    """Tables that know which packs' headers were asked for."""

    def __init__(self, catalogue: SqliteCatalogue, objects: LocalObjectStore) -> None:
        super().__init__(catalogue, objects)
        self.asked: list[UidRef] = []

    async def headers(self, tenant: str, ref: UidRef) -> bytes:
        self.asked.append(ref)
        return await super().headers(tenant, ref)


async def staged(
    catalogue: SqliteCatalogue, ref: UidRef, *headers: dict[str, Any]
) -> list[HeaderPlace]:
    """Stage a pack with these headers; return where they are."""
    lines = [orjson.dumps(header) for header in headers]
    index = replace(pack([]), pack_id=ref.pack_id)
    table, frame = split_index(encode_index(index, lines))
    await catalogue.stage(
        StagedPack(
            TENANT, ref.study_instance_uid, ref.series_instance_uid, ref.pack_id, table, frame, ()
        )
    )
    at = 0
    places: list[HeaderPlace] = []
    for line in lines:
        places.append(HeaderPlace(ref, at, len(line), "1.2.3.4", ()))
        at += len(line) + 1
    return places


async def test_a_pack_is_read_once_and_only_as_far_as_it_matters(tmp_path: Path) -> None:
    kvp, thick = "00180060", "00180050"
    async with (
        SqliteCatalogue(tmp_path / "catalogue.sqlite") as catalogue,
        LocalObjectStore(tmp_path / "objects") as objects,
    ):
        first = await staged(
            catalogue, REF, *({kvp: element("DS", 120), thick: element("DS", n)} for n in (1, 2))
        )
        second = await staged(catalogue, OTHER, {kvp: element("DS", 80)}, {kvp: element("DS", 80)})
        tables = CountingTables(catalogue, objects)
        headers = Headers(tables)
        wish = Wish(frozenset({kvp, thick}), everything=False, blocks=NO_BLOCKS)
        assert await headers.common(TENANT, first, wish) == {kvp: element("DS", 120)}
        assert tables.asked == [REF]
        assert await headers.common(TENANT, [*first, *second], wish) == {}
        assert tables.asked == [REF, REF, OTHER]
        nothing = Wish(frozenset({"00180022"}), everything=False, blocks=NO_BLOCKS)
        assert await headers.common(TENANT, [*first, *second], nothing) == {}
        assert tables.asked == [REF, REF, OTHER, REF]


def test_headers_cost_what_they_are_long() -> None:
    assert cost_of([]) == 0
    assert cost_of([HeaderPlace(REF, 0, 1, "1.2.3.4", ())]) == 1
    assert cost_of([HeaderPlace(REF, 0, 16 << 10, "1.2.3.4", ())] * 3) == 3

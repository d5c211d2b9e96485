"""Searches of whoever answers: pages, rows that may hold anything, UIDs that become paths."""

import orjson
import pytest

from pacs_cloud.errors import InvalidRequest, NotFound, Unavailable
from pacs_cloud.query.request import Level, SearchKey
from pacs_cloud.remote import searching
from pacs_cloud.remote.rows import read_rows
from pacs_cloud.remote.searching import Place, places, search
from unit.remote.hostile import Asked, answer, asking


def row(uid: str, **more: object) -> dict[str, object]:
    tags = {"0020000D": uid, "0020000E": "1.2.3.1", "00080018": uid}
    return {tag: {"vr": "UI", "Value": [one]} for tag, one in tags.items()} | more


def rows(*uids: str, **headers: str) -> bytes:
    return answer(orjson.dumps([row(uid) for uid in uids]), **headers)


NONE = b"HTTP/1.1 204 No Content\r\n\r\n"
CUT = "299 pacs.example: There are 7 additional results that can be requested"


async def test_rows_come_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "PAGE", 2)
    pages = rows("1.1", "1.2"), rows("1.2", "1.3"), rows("1.4")
    async with asking(*pages) as (connection, server):
        found = await search(connection, Level.STUDY, [SearchKey(("00100020",), "P&1\u00e9*")], 100)
    assert [one["0020000D"]["Value"] for one in found.rows] == [["1.1"], ["1.2"], ["1.3"], ["1.4"]]
    assert (found.more, found.warnings) == (None, ())
    assert [one.line.partition("limit=")[2] for one in server.asked] == [
        f"2&offset={offset} HTTP/1.1" for offset in (0, 2, 4)
    ]
    assert server.asked[0].line.startswith(
        "GET /dicom-web/studies?00100020=P%261%C3%A9*&includefield="
    )


async def test_no_more_rows_than_were_asked_for() -> None:
    async with asking(rows("1.1", "1.2", "1.3", warning=CUT)) as (connection, _):
        found = await search(connection, Level.STUDY, [], 2)
    assert (len(found.rows), found.more, found.is_exact) == (2, 7, True)


async def test_a_page_that_was_cut_off_is_not_the_last() -> None:
    async with asking(rows("1.1", warning=CUT), rows("1.2"), NONE) as (connection, server):
        assert len((await search(connection, Level.STUDY, [], 100)).rows) == 2
    assert len(server.asked) == 2


async def test_whoever_repeats_a_page_is_not_asked_for_ever() -> None:
    async with asking(rows("1.1", warning=CUT)) as (connection, server):
        assert len((await search(connection, Level.STUDY, [], 20)).rows) == 1
    assert len(server.asked) == 2


async def test_warnings_are_told_without_what_moves_a_cursor() -> None:
    warning = '299 x "No \x1b[2J such", 299 pacs.example: The other'
    said = rows("1.1", warning="299 x: There may be additional results that can be requested")
    async with asking(said) as (connection, _):
        found = await search(connection, Level.STUDY, [], 1)
        assert (found.more, found.is_exact) == (0, False)
    async with asking(rows("1.1", warning=warning.replace("\x1b", "\t"))) as (connection, _):
        assert (await search(connection, Level.STUDY, [], 1)).warnings[0] == "No [2J such"


async def test_patients_are_not_listed() -> None:
    async with asking(NONE) as (connection, server):
        with pytest.raises(InvalidRequest, match="patients"):
            await search(connection, Level.PATIENT, [], 1)
        assert (await search(connection, Level.SERIES, [], 1)).rows == []
    assert len(server.asked) == 1


def test_rows_are_read_as_if_they_were_hostile() -> None:
    good = {"vr": "LO", "Value": ["A\x1b[31mB", None, 5]}
    given = {
        "00081030": good,
        "0008103e": {"vr": "LO", "Value": ["x"]},
        "evil": good,
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "A\x9b^B", "Evil": 1}, None, "text"]},
        "00100020": {"vr": "LO"},
        "00100030": {"vr": "\x1b[", "Value": ["x"]},
        "00100040": {"vr": "CS", "Value": "M"},
        "00400275": {"vr": "SQ", "Value": [{"00400009": {"vr": "SH", "Value": ["\x07P"]}}, None]},
        "7FE00010": {"vr": "OW", "InlineBinary": "AAAA"},
        "00089999": {"vr": "LO", "Value": [{"a": 1}, [1]]},
        "00089998": 7,
    }
    (read,) = read_rows([given])
    assert read == {
        "00081030": {"vr": "LO", "Value": ["A[31mB", None, 5]},
        "0008103E": {"vr": "LO", "Value": ["x"]},
        "00089999": {"vr": "LO", "Value": [None, None]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "A^B"}, {}, {}]},
        "00400275": {"vr": "SQ", "Value": [{"00400009": {"vr": "SH", "Value": ["P"]}}, {}]},
    }


@pytest.mark.parametrize("given", [{}, "x", None, [7], [[]], [None]])
def test_what_are_no_rows_are_none(given: object) -> None:
    with pytest.raises(Unavailable):
        read_rows(given)


async def test_places_are_uids_and_nothing_else() -> None:
    async with asking(rows("1.2.4", "1.2.5")) as (connection, server):
        assert await places(connection, "1.2") == [
            Place("1.2.3.1", "1.2.4"),
            Place("1.2.3.1", "1.2.5"),
        ]
        assert await places(connection, "1.2", "1.3", "1.2.5") == [Place("1.3", "1.2.5")]
    assert server.asked[0].line.startswith("GET /dicom-web/studies/1.2/instances?limit=")
    assert "/studies/1.2/series/1.3/instances?SOPInstanceUID=1.2.5&" in server.asked[1].line
    for uid in ("../../etc/passwd", "1.2/../3", "", "1.2\n", "1" * 65, "/etc"):
        async with asking(rows(uid)) as (connection, _):
            with pytest.raises(Unavailable, match="no UID"):
                await places(connection, "1.2")
    for said, instance in ((NONE, ""), (rows("1.2.4"), "1.2.5")):
        async with asking(said) as (connection, _):
            with pytest.raises(NotFound):
                await places(connection, "1.2", instance=instance)
    # Two series of a study may hold one instance.
    twice = [row("1.2.4"), row("1.2.4") | {"0020000E": {"vr": "UI", "Value": ["1.2.3.2"]}}]
    async with asking(answer(orjson.dumps(twice))) as (connection, _):
        assert len(await places(connection, "1.2")) == 2


async def test_whoever_names_instances_for_ever_is_not_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(searching, "MOST_INSTANCES", 50)
    count = 0

    def page(asked: Asked) -> bytes:
        nonlocal count
        count += 1
        return rows(*(f"1.2.{count}.{number}" for number in range(30)), warning=CUT)

    async with asking(page) as (connection, _):
        with pytest.raises(Unavailable, match="more instances"):
            await places(connection, "1.2")
    assert count == 2

"""All objects are seen, study by study, in bounded memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.export import export_lines, study_lines
from pacs_cloud.custody.in_order import in_order
from pacs_cloud.custody.walk import StudyObjects, objects_of_study, walk_studies, walk_unknown
from pacs_cloud.objectstore.keys import PackKey, ledger_prefix, spread_of
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.port import ObjectInfo
from unit.custody.custody_packs import fill


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


async def test_answers_come_in_order() -> None:
    under_way = most = 0

    async def work(number: int) -> int:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        for _ in range(10 - number % 10):
            await asyncio.sleep(0)
        under_way -= 1
        return number * 2

    answers = [answer async for answer in in_order(work, numbers(50), 4)]
    assert answers == [number * 2 for number in range(50)]
    assert most == 4


async def test_the_first_error_ends_it() -> None:
    begun: list[int] = []

    async def work(number: int) -> int:
        begun.append(number)
        await asyncio.sleep(0)
        if number == 2:
            raise ZeroDivisionError
        return number

    answers: list[int] = []
    with pytest.raises(ZeroDivisionError):
        async for answer in in_order(work, numbers(1000), 3):
            answers.append(answer)  # noqa: PERF401  what came before the error counts
    assert answers == [0, 1]
    assert max(begun) < 6


async def test_closing_it_cancels_what_is_under_way() -> None:
    cancelled: list[int] = []

    async def work(number: int) -> int:
        try:
            if number:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(number)
            raise
        return number

    async with aclosing(in_order(work, numbers(10), 3)) as answers:
        async for _ in answers:
            await asyncio.sleep(0)
            break
    assert cancelled == [1, 2]


async def test_every_object_is_seen_once_with_its_study(objects: LocalObjectStore) -> None:
    # UIDs of which one begins another, and tenants likewise: where sorting goes wrong.
    studies = [
        (tenant, study)
        for tenant in ("a", "a-b", "b")
        for study in ("1.2", "1.2.1", "1.20", "1.2.3", "9")
    ]
    expected: set[str] = set()
    for tenant, study in studies:
        for pack_id in ("p1", "p2"):
            key = PackKey(tenant, study, f"{study}.1", pack_id)
            expected |= {key.pack, key.index}
    for tenant, study in studies[::2]:
        expected.add(f"{ledger_prefix(tenant, study)}0-p1.json")
    strange = {"packs/a/zz/1.2/x.zip", "packs/loose.zip", f"index/a/{spread_of('9')}/9/x"}
    for key in expected | strange:
        await objects.put_new(key, b"")
    seen: list[str] = []
    met: list[tuple[str, str]] = []
    async for found in walk_studies(objects):
        if isinstance(found, StudyObjects):
            met.append((found.tenant, found.study_instance_uid))
            again = await objects_of_study(objects, found.tenant, found.study_instance_uid)
            assert again == found
            seen += [key.pack for key in found.packs]
            seen += [key.index for key in found.indexes]
            seen += [info.key for info in (*found.ledger, *found.strange)]
        else:
            seen.append(found.key)
    assert sorted(seen) == sorted(expected | strange)
    assert sorted(met) == sorted(studies)


async def test_keys_outside_are_found_without_listing_those_within(
    objects: LocalObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = ["aaa", "index-of-things", "kept/x", "packs.txt", "zzz"]
    for key in outside:
        await objects.put_new(key, b"")
    for tree in ("index", "ledger", "packs", "thumbs"):
        for number in range(30):
            await objects.put_new(f"{tree}/t/{number}", b"")
    listed: list[ObjectInfo] = []
    list_all = objects.list

    async def counting(prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        async for info in list_all(prefix, after=after):
            listed.append(info)
            yield info

    monkeypatch.setattr(objects, "list", counting)
    assert [info.key async for info in walk_unknown(objects)] == outside
    assert len(listed) < 15


async def test_an_export_leaves_out_what_another_life_would_give(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    await fill(objects, catalogue)
    lines = [line async for line in export_lines(catalogue)]
    states = [state async for state in catalogue.export()]
    assert lines == [line for state in states for line in study_lines(state)]
    assert len(lines) == len(set(lines)) == sum(1 + len(s.series) + len(s.packs) for s in states)
    for line in lines:
        assert not any(word in line for word in (b"rev", b"committed", b"storage"))
    assert [line async for line in export_lines(catalogue, "second")] == [
        line for line in lines if b'"tenant":"second"' in line
    ]

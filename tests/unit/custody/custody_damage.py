"""Ways to damage an archive: its objects, or its catalogue."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from pacs_cloud.catalogue.records import PackRecord, StudyChange
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.objectstore.local import LocalObjectStore
from unit.custody.custody_packs import Clock, Made, Sample, commit, make_pack, put


async def swap(objects: LocalObjectStore, key: str, data: bytes) -> None:
    await objects.delete(key)
    await objects.put_new(key, data)


async def change_pack(
    catalogue: SqliteCatalogue, made: Made, change: Callable[[PackRecord], PackRecord]
) -> None:
    """Write another record of a pack, as a bug might."""
    state = await catalogue.study(made.key.tenant, made.key.study_instance_uid)
    assert state is not None
    record = next(pack for pack in state.packs if pack.pack_id == made.key.pack_id)
    await catalogue.commit(
        StudyChange(
            tenant=made.key.tenant,
            study_instance_uid=made.key.study_instance_uid,
            before=state.study,
            after=replace(state.study, rev=state.study.rev + 1),
            put_packs=(change(record),),
        )
    )


Break = Callable[[LocalObjectStore, SqliteCatalogue, Made], Awaitable[None]]


async def lose_the_pack(objects: LocalObjectStore, _: SqliteCatalogue, made: Made) -> None:
    await objects.delete(made.key.pack)


async def lose_the_study(objects: LocalObjectStore, _: SqliteCatalogue, made: Made) -> None:
    for tree in ("packs", "index", "ledger"):
        async for info in objects.list(f"{tree}/"):
            if f"/{made.key.study_instance_uid}/" in info.key and made.key.tenant in info.key:
                await objects.delete(info.key)


async def cut_the_pack(objects: LocalObjectStore, _: SqliteCatalogue, made: Made) -> None:
    await swap(objects, made.key.pack, made.data[:-5])


async def lose_the_index(objects: LocalObjectStore, _: SqliteCatalogue, made: Made) -> None:
    await objects.delete(made.key.index)


async def change_the_index(objects: LocalObjectStore, _: SqliteCatalogue, made: Made) -> None:
    await swap(objects, made.key.index, made.index[:-1])


async def another_pack(objects: LocalObjectStore, _: SqliteCatalogue, made: Made) -> None:
    clock = Clock()
    names = made.key.tenant, made.key.study_instance_uid, made.key.series_instance_uid
    other = make_pack(clock, *names, [Sample(made.table.instances[0].sop_instance_uid)])
    await swap(objects, made.key.pack, other.data)


async def miscount(_: LocalObjectStore, catalogue: SqliteCatalogue, made: Made) -> None:
    await change_pack(catalogue, made, lambda pack: replace(pack, instance_count=99))


async def mismeasure(_: LocalObjectStore, catalogue: SqliteCatalogue, made: Made) -> None:
    await change_pack(catalogue, made, lambda pack: replace(pack, length_bytes=99))


async def show_what_is_hidden(
    objects: LocalObjectStore, catalogue: SqliteCatalogue, made: Made
) -> None:
    clock = Clock(made.table.instances[0].received_us + 10**12)
    names = made.key.tenant, made.key.study_instance_uid, made.key.series_instance_uid
    again = make_pack(clock, *names, [Sample(made.table.instances[0].sop_instance_uid)])
    await put(objects, again)
    await commit(objects, catalogue, again, clock)
    await change_pack(catalogue, again, lambda pack: replace(pack, hidden={}))


async def miscount_the_study(_: LocalObjectStore, catalogue: SqliteCatalogue, made: Made) -> None:
    state = await catalogue.study(made.key.tenant, made.key.study_instance_uid)
    assert state is not None
    wrong = replace(state.study, rev=state.study.rev + 1, instance_count=1)
    series = replace(state.series[0], attributes={})
    names = made.key.tenant, made.key.study_instance_uid
    await catalogue.commit(StudyChange(*names, state.study, wrong, put_series=(series,)))


async def spoil_the_ledger(objects: LocalObjectStore, _: SqliteCatalogue, made: Made) -> None:
    async for info in objects.list(f"ledger/{made.key.tenant}/"):
        if f"/{made.key.study_instance_uid}/" in info.key:
            await swap(objects, info.key, b"{}")
            return


async def lose_a_decision(objects: LocalObjectStore, _: SqliteCatalogue, made: Made) -> None:
    async for info in objects.list(f"ledger/{made.key.tenant}/"):
        if f"/{made.key.study_instance_uid}/" in info.key:
            await objects.delete(info.key)
            return


async def leave_strangers(objects: LocalObjectStore, _: SqliteCatalogue, made: Made) -> None:
    await objects.put_new("backup/of-something", b"1")
    await objects.put_new(f"{made.key.pack[:-4]}.tmp", b"2")
    await objects.put_new("packs/readme", b"3")
    await objects.put_new("zebra", b"4")

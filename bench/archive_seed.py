"""An archive of many small packs, with all that may happen in one; made by the archive's own code.

Two thousand packs are a block, and blocks are alike: most studies have a few packs in a few
series, ten have thirty packs, one has three hundred in one series. Instances come again and
stay hidden, others disagree with what came before, some are deleted, one series is repacked.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path

from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.repack.due import repack_series
from pacs_cloud.custody.repack.plan import RepackTerms
from pacs_cloud.custody.stored_pack import load_table
from pacs_cloud.custody.trash.deletion import Trash
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.dicom.uid import EXPLICIT_LE
from pacs_cloud.objectstore.local import LocalObjectStore
from unit.custody.custody_packs import Clock, Made, Sample, commit, dataset_of, pack_files, put

TENANT = "default"
BLOCK = 2000
_FIRST_US = 1_760_000_000_000_000
_DAY_US = 86_400_000_000
_MAKERS = 2
_STUDIES_AT_ONCE = 16
_MARK = "1.2.84.99999999.99999"
"""Stands for a SOP Instance UID, all of which have its length."""

Plan = tuple[str, list[tuple[str, list[Sample]]]]
"""A study's UID, and of each pack its series' UID and its instances."""


async def seed(root: Path, packs: int) -> AsyncIterator[int]:
    """Make an archive of `packs` packs in `root`; yield how many there are so far."""
    made = 0
    with ProcessPoolExecutor(_MAKERS, mp_context=get_context("spawn")) as makers:
        async with (
            LocalObjectStore(root / "objects") as objects,
            SqliteCatalogue(root / "catalogue.sqlite") as catalogue,
        ):
            storing = partial(_store, makers, objects, catalogue, root)
            plans = _plans(packs)
            while some := [plan for _, plan in zip(range(_STUDIES_AT_ONCE), plans, strict=False)]:
                made += sum(await asyncio.gather(*map(storing, some)))
                yield made


def _plans(packs: int) -> Iterator[tuple[int, Plan]]:
    number = left = 0
    while packs > 0:
        left = left or BLOCK
        size = 300 if left == BLOCK else 30 if left % 3 == 0 and left > BLOCK - 600 else 0
        size = min(size or random.Random(number).choice((1, 1, 2, 3, 4)), left, packs)
        yield number, _plan(number, size)
        number, left, packs = number + 1, left - size, packs - size


def _plan(number: int, size: int) -> Plan:
    dice = random.Random(-1 - number)
    study = f"1.2.840.99.{number}"
    packs: list[tuple[str, list[Sample]]] = []
    for at in range(size):
        series = f"{study}.{1 if size > 4 else at // 2 + 1}"
        samples = [Sample(_uid(number, at * 8 + n)) for n in range(dice.choice((1, 3, 5)))]
        if at % 2 and dice.random() < 0.2:
            before = packs[-1][1][0]
            words = "second" if dice.random() < 0.5 else "first"
            # It comes again, or something else under its UID does.
            samples.append(Sample(before.uid, words))
            series = packs[-1][0]
        packs.append((series, samples))
    return study, packs


def _uid(number: int, instance: int) -> str:
    return f"1.2.84.{number + 10_000_000}.{instance + 10_000}"


async def _store(
    makers: ProcessPoolExecutor,
    objects: LocalObjectStore,
    catalogue: SqliteCatalogue,
    root: Path,
    numbered: tuple[int, Plan],
) -> int:
    number, plan = numbered
    clock = Clock(_FIRST_US + number * 1000)
    loop = asyncio.get_running_loop()
    packs = await loop.run_in_executor(makers, made_of, number, plan)
    clock.now_us += 1_000_000_000_000
    for some in (packs[at : at + 16] for at in range(0, len(packs), 16)):
        await asyncio.gather(*(put(objects, one) for one in some))
    for one in packs:
        await commit(objects, catalogue, one, clock)
    if number % 10 == 3:
        await _delete(objects, catalogue, plan, clock)
    if number % 100 == 7:
        await _repack(objects, catalogue, root, plan, clock)
    return len(packs)


async def _delete(
    objects: LocalObjectStore, catalogue: SqliteCatalogue, plan: Plan, clock: Clock
) -> None:
    trash = Trash(objects, catalogue, partial(load_table, objects, catalogue), clock.tick)
    series, samples = plan[1][0]
    await trash.delete(Scope(TENANT, plan[0], series, samples[0].uid))


async def _repack(
    objects: LocalObjectStore, catalogue: SqliteCatalogue, root: Path, plan: Plan, clock: Clock
) -> None:
    folder = root / "repack"
    folder.mkdir(exist_ok=True)
    clock.now_us += 30 * _DAY_US
    await repack_series(
        objects,
        catalogue,
        TENANT,
        plan[0],
        plan[1][0][0],
        terms=RepackTerms(),
        folder=folder,
        now_us=clock.tick,
    )


def made_of(number: int, plan: Plan) -> list[Made]:
    """Return the packs of a plan; runs in a process of its own."""
    clock = Clock(_FIRST_US + number * 1000)
    head = bytes(128) + b"DICM"
    study, packs = plan
    return [
        pack_files(
            clock,
            TENANT,
            [
                (head, _dataset(study, series, one.words).replace(*_marked(one.uid)), EXPLICIT_LE)
                for one in samples
            ],
        )
        for series, samples in packs
    ]


@lru_cache(maxsize=1000)
def _dataset(study: str, series: str, words: str) -> bytes:
    return dataset_of(study, series, Sample(_MARK, words, patient=f"P{study}"))


def _marked(uid: str) -> tuple[bytes, bytes]:
    assert len(uid) == len(_MARK)
    return _MARK.encode(), uid.encode()

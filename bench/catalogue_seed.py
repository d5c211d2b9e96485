"""Fill a catalogue with made-up studies, and time its searches.

    python bench/catalogue_seed.py FILE --studies 1000000
    python bench/catalogue_seed.py FILE --measure

Studies go in through the port's `stage` and `commit`, as records that
`catalogue.aggregate` makes from pack indexes; only the judging of duplicates is left
out, since every UID is new. Names follow a Zipf-like law, dates lie in ten years,
modalities are mixed; `SMITH^J*` and `*^ANNA*` match over 5,000 of 1,000,000. As in a
hospital, studies come in the order of their dates, and patients and UIDs in none.
The same number gives the same studies. `bench.searching` asks the same over HTTP.
"""

import argparse
import asyncio
import bisect
import os
import random
import statistics
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from itertools import accumulate
from multiprocessing import get_context
from pathlib import Path

from pacs_cloud.catalogue.aggregate import add_to_series, add_to_study, summarise
from pacs_cloud.catalogue.port import (
    Anchor,
    ByAccession,
    ByDate,
    ByName,
    ByPatient,
    Catalogue,
    NamePart,
)
from pacs_cloud.catalogue.races import next_rev
from pacs_cloud.catalogue.records import PackRecord, StagedPack, StudyChange
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.pack.index import (
    Door,
    PackIndex,
    PackInstance,
    Source,
    encode_index,
    split_index,
)
from pacs_cloud.pack.pack_id import new_pack_id

TENANT = "default"
FIRST_DAY = date(2015, 1, 1)
DAYS = 3650
FIRST_US = 1_700_000_000_000_000
BATCH = 500
AHEAD = 4
MAKERS = 2

MODALITIES = {"DX": 30, "CT": 22, "MR": 14, "US": 14, "MG": 7, "CR": 6, "XA": 3, "NM": 2, "PT": 2}
FAMILIES = (
    "SMITH JOHNSON WILLIAMS BROWN JONES GARCIA MILLER DAVIS RODRIGUEZ MARTINEZ HERNANDEZ LOPEZ"
    " GONZALEZ WILSON ANDERSON THOMAS TAYLOR MOORE JACKSON MARTIN LEE PEREZ THOMPSON WHITE HARRIS"
    " SANCHEZ CLARK RAMIREZ LEWIS ROBINSON WALKER YOUNG ALLEN KING WRIGHT SCOTT TORRES NGUYEN HILL"
    " FLORES GREEN ADAMS NELSON BAKER HALL RIVERA CAMPBELL MITCHELL CARTER ROBERTS SMITHSON"
).split()
GIVENS = (
    "JAMES MARY JOHN PATRICIA JENNIFER ROBERT ANNA MICHAEL JOSEPH LINDA JESSICA WILLIAM ELIZABETH"
    " JULIA DAVID JOSHUA BARBARA JACOB RICHARD SUSAN JANE CHARLES JASON SARAH JEFFREY KAREN JUAN"
    " LISA JACK NANCY JOYCE BETTY JUDITH SANDRA JEAN MARGARET ANNABEL ASHLEY KIMBERLY EMILY DONNA"
    " MICHELLE CAROL AMANDA MELISSA DEBORAH STEPHANIE REBECCA LAURA HELEN SHARON CYNTHIA"
).split()


def _filled(some: list[str], count: int) -> list[str]:
    """Return `some` names, and made-up ones behind them until there are `count`."""
    names = list(some)
    syllables = "BA BE DA DO GA HO KA KI LA LE MA MI NA NO PA RA RI SA TO VA ZE".split()
    dice = random.Random(1)
    known = set(names)
    while len(names) < count:
        name = "".join(dice.choices(syllables, k=dice.randint(2, 4)))
        if name not in known:
            known.add(name)
            names.append(name)
    return names


class Zipf:
    """Names, each about as often as one over its place."""

    def __init__(self, names: list[str], offset: int) -> None:
        self._names = names
        self._sums = list(accumulate(1 / (place + offset) for place in range(1, len(names) + 1)))

    def pick(self, dice: random.Random) -> str:
        return self._names[bisect.bisect(self._sums, dice.random() * self._sums[-1])]


FAMILY = Zipf(_filled(FAMILIES, 5000), offset=4)
GIVEN = Zipf(_filled(GIVENS, 500), offset=5)


def made(number: int, count: int) -> PackIndex:
    """Return the pack of study `number` of `count`."""
    dice = random.Random(number)
    patient = random.Random(-1 - dice.randrange(max(count // 2, 1)))
    name = f"{FAMILY.pick(patient)}^{GIVEN.pick(patient)}"
    day = FIRST_DAY + timedelta(days=number * DAYS // count)
    seconds = dice.randrange(86400)
    modality = dice.choices(list(MODALITIES), list(MODALITIES.values()))[0]
    study = f"1.2.840.113619.2.55.3.{dice.randrange(10**9)}.{number}"
    series = f"{study}.{dice.randrange(1000)}.1"
    received_us = FIRST_US + number * 1000
    clock = f"{seconds // 3600:02}{seconds // 60 % 60:02}{seconds % 60:02}"
    common: Elements = {
        "00080020": {"vr": "DA", "Value": [f"{day:%Y%m%d}"]},
        "00080030": {"vr": "TM", "Value": [clock]},
        "00080050": {"vr": "SH", "Value": [f"ACC{number:08}"]},
        "00080060": {"vr": "CS", "Value": [modality]},
        "00080070": {"vr": "LO", "Value": ["Made-up Medical"]},
        "00080090": {"vr": "PN", "Value": [{"Alphabetic": FAMILY.pick(dice)}]},
        "00081030": {"vr": "LO", "Value": [f"{modality} EXAMINATION"]},
        "0008103E": {"vr": "LO", "Value": ["SERIES 1"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": name}]},
        "00100020": {"vr": "LO", "Value": [f"PAT{patient.randrange(10**9):09}"]},
        "00100021": {"vr": "LO", "Value": ["HOSPITAL"]},
        "00100030": {"vr": "DA", "Value": [f"19{patient.randrange(20, 99)}0101"]},
        "00100040": {"vr": "CS", "Value": [patient.choice("MF")]},
        "0020000D": {"vr": "UI", "Value": [study]},
        "0020000E": {"vr": "UI", "Value": [series]},
        "00200010": {"vr": "SH", "Value": [str(number)]},
        "00200011": {"vr": "IS", "Value": [1]},
    }
    instance = PackInstance(
        sop_instance_uid=f"{series}.1",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        offset=60,
        length_bytes=526_000,
        dataset_offset=400,
        digest=f"{number:064x}",
        received_us=received_us,
        source=0,
        header_offset=0,
        header_length=2,
    )
    return PackIndex(
        pack_id=new_pack_id(received_us),
        tenant=TENANT,
        study_instance_uid=study,
        series_instance_uid=series,
        sources=(Source(Door.IMPORT, calling="bench"),),
        common=common,
        instances=(instance,),
    )


def writes(index: PackIndex) -> tuple[StagedPack, StudyChange]:
    """Return what stages and what commits one new study."""
    uids = tuple(one.sop_instance_uid for one in index.instances)
    now_us = index.instances[0].received_us
    table, headers = split_index(encode_index(index, [b"{}"]))
    names = (index.tenant, index.study_instance_uid, index.series_instance_uid, index.pack_id)
    contribution = summarise(index, uids)
    series = add_to_series(None, contribution)
    assert series is not None
    rev = next_rev(None, now_us)
    change = StudyChange(
        tenant=index.tenant,
        study_instance_uid=index.study_instance_uid,
        before=None,
        after=add_to_study(None, contribution, rev=rev, new_series=True),
        put_series=(series,),
        put_packs=(PackRecord(*names, 600_000, len(uids), now_us),),
    )
    return StagedPack(*names, table, headers, uids), change


def batch(first: int, count: int) -> list[tuple[StagedPack, StudyChange]]:
    """Return the writes of some studies; other processes make them."""
    last = min(first + BATCH, count)
    return [writes(made(number, count)) for number in range(first, last)]


async def store(catalogue: Catalogue, staged: StagedPack, change: StudyChange) -> None:
    await catalogue.stage(staged)
    await catalogue.commit(change)


async def fill(catalogue: Catalogue, count: int) -> float:
    """Store `count` studies, a batch at a time; return how many a second."""
    started = time.perf_counter()
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(MAKERS, get_context("spawn")) as makers:
        firsts = range(0, count, BATCH)
        ahead = deque(loop.run_in_executor(makers, batch, first, count) for first in firsts[:AHEAD])
        storing: asyncio.Future[list[None]] | None = None
        for first in firsts:
            ready = await ahead.popleft()
            if first + AHEAD * BATCH < count:
                ahead.append(loop.run_in_executor(makers, batch, first + AHEAD * BATCH, count))
            # One batch is written while the next one is handed over.
            before, storing = storing, asyncio.gather(*(store(catalogue, *one) for one in ready))
            if before is not None:
                await before
            done = first + len(ready)
            if done % 50_000 == 0:
                print(f"{done:>9} {done / (time.perf_counter() - started):8.0f}/s", flush=True)
        if storing is not None:
            await storing
        return count / (time.perf_counter() - started)


def searches(count: int) -> dict[str, Callable[[random.Random], Anchor]]:
    """Return the bars' searches, each with a part that varies where there is one."""

    def some(dice: random.Random) -> PackIndex:
        return made(dice.randrange(count), count)

    def text(index: PackIndex, tag: str) -> str:
        return str(index.common[tag]["Value"][0])

    def month(dice: random.Random) -> ByDate:
        day = FIRST_DAY + timedelta(days=dice.randrange(DAYS - 31))
        return ByDate(f"{day:%Y%m%d}", f"{day + timedelta(days=30):%Y%m%d}", "CT")

    return {
        "patient ID": lambda dice: ByPatient(text(some(dice), "00100020")),
        "accession": lambda dice: ByAccession(text(some(dice), "00080050")),
        "SMITH^J*": lambda _: ByName(NamePart.NAME, "SMITH^J"),
        "*^ANNA*": lambda _: ByName(NamePart.GIVEN, "ANNA"),
        "S*": lambda _: ByName(NamePart.NAME, "S"),
        "31 days of CT": month,
        "latest 100": lambda _: ByDate(),
    }


def forget(path: Path) -> None:
    """Let the operating system forget what it has read of the file."""
    for name in (path, path.with_name(path.name + "-wal")):
        if name.exists():
            descriptor = os.open(name, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


async def measure(path: Path, count: int, *, warm: int, cold: int) -> None:
    """Print how long each search takes, in this adapter: first all with the file in memory."""
    with path.open("rb") as file:
        while file.read(1 << 24):
            pass
    found: dict[str, int] = {}
    warmed: dict[str, list[float]] = {}
    async with SqliteCatalogue(path) as catalogue:
        for name, anchor in searches(count).items():
            dice = random.Random(7)
            page = await catalogue.studies(TENANT, anchor(dice), limit=10_000)
            found[name] = len(page.studies)
            warmed[name] = [await timed(catalogue, anchor(dice)) for _ in range(warm)]
    print(f"{'search':<16}{'matches':>9}{'warm p50':>10}{'p95':>8}{'cold p50':>10}{'p95':>8}  ms")
    for name, anchor in searches(count).items():
        dice = random.Random(8)
        chilled: list[float] = []
        for _ in range(cold):
            forget(path)
            async with SqliteCatalogue(path) as catalogue:
                await catalogue.ready()
                chilled.append(await timed(catalogue, anchor(dice)))
        figures = (*middle(warmed[name]), *middle(chilled))
        print(
            f"{name:<16}{found[name]:>9}{figures[0]:>10.2f}{figures[1]:>8.2f}"
            f"{figures[2]:>10.2f}{figures[3]:>8.2f}",
            flush=True,
        )


async def timed(catalogue: Catalogue, anchor: Anchor) -> float:
    started = time.perf_counter()
    await catalogue.studies(TENANT, anchor)
    return (time.perf_counter() - started) * 1000


def middle(times: list[float]) -> tuple[float, float]:
    """Return the median and the 95th percentile."""
    ordered = sorted(times)
    return statistics.median(ordered), ordered[int(len(ordered) * 0.95)]


async def run(path: Path, count: int, *, only_measure: bool) -> None:
    if not only_measure:
        path.parent.mkdir(parents=True, exist_ok=True)
        for old in path.parent.glob(f"{path.name}*"):  # with its -wal and -shm
            old.unlink()
        async with SqliteCatalogue(path) as catalogue:
            rate = await fill(catalogue, count)
        print(f"{count} studies, {rate:.0f}/s, {path.stat().st_size / 1e6:.0f} MB")
    await measure(path, count, warm=200, cold=20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(".bench/million/catalogue.sqlite")
    parser.add_argument("file", type=Path, nargs="?", default=default, help="the SQLite file")
    parser.add_argument("--studies", type=int, default=1_000_000)
    parser.add_argument("--measure", action="store_true", help="the file is filled already")
    said = parser.parse_args()
    asyncio.run(run(said.file, said.studies, only_measure=said.measure))


if __name__ == "__main__":
    main()

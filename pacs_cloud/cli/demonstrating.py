"""`demo`: fills an archive with a small made-up hospital, and says where to look."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import Final

from pacs_cloud.bootstrap.services import Stores, now_us, open_intake
from pacs_cloud.bootstrap.tenants import site_of
from pacs_cloud.bootstrap.thumbnails import thumbnails_of
from pacs_cloud.catalogue.port import ByDate
from pacs_cloud.cli.on_record import concerns, open_stores
from pacs_cloud.cli.options import typed
from pacs_cloud.cli.output import counting, print_json, print_rows, stdout
from pacs_cloud.custody.labels import change_labels
from pacs_cloud.demo.hospital import EARLIEST, MadeStudy, first_uid, studies
from pacs_cloud.dicom.element_values import text as element_text
from pacs_cloud.errors import Conflict, InvalidRequest
from pacs_cloud.ingest.import_sources import FoundFile
from pacs_cloud.ingest.importer import Verdict, import_files
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.objectstore.storage_classes import StorageClass
from pacs_cloud.security.caller import system
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.lying import note_where
from pacs_cloud.tiering.recall.marks import key_of

_WHO: Final = "system:demo"
_REASON: Final = "to train with"
_COLUMNS: Final = ("what", "studies", "instances", "MB")


@dataclass(frozen=True, slots=True)
class _Made:
    """What became of one study.

    Attributes:
        study: which.
        verdicts: of its instances.
        length_bytes: of these.
    """

    study: MadeStudy
    verdicts: Counter[Verdict]
    length_bytes: int


def fill(
    settings: Settings, *, number: int, seed: int, adds: bool, newest: date | None, as_json: bool
) -> None:
    """Fill an archive with so many studies; print what was made.

    Args:
        settings: of the archive, which is made if it is not there.
        number: of studies.
        seed: of chance: the same one makes the same patients and UIDs.
        adds: whether there may be something in it.
        newest: the day of the newest study; None: that of an earlier run, else today.
        as_json: print an object.

    Raises:
        Conflict: it is not empty, and may not be added to; or an earlier run was of another day.
        InvalidRequest: of the day `newest` most patients were not born yet.
        StorageFull, Unavailable: as `import`.
    """
    if newest is not None and newest < EARLIEST:
        raise InvalidRequest(f"--newest is {EARLIEST} or later: most patients were not born before")
    made = asyncio.run(_fill(settings, number, seed, newest, adds=adds))
    if as_json:
        verdicts = sum((one.verdicts for one in made), Counter[Verdict]())
        print_json(
            {
                "studies": len(made),
                "patients": len({one.study.visit.patient.number for one in made}),
                "bytes": sum(one.length_bytes for one in made),
                **{one.value: verdicts[one] for one in Verdict},
            }
        )
        return
    print_rows(list(_rows(made)), _COLUMNS, as_json=False, empty="Nothing was made.")
    stdout.print()
    for line in _where_to_look(settings, made):
        stdout.print(line)


async def _fill(
    settings: Settings, number: int, seed: int, newest: date | None, *, adds: bool
) -> list[_Made]:
    made: list[_Made] = []
    async with (
        open_stores(settings, create=True) as stores,
        open_intake(settings, stores) as intake,
    ):
        day = await _day(settings, stores, seed, newest, adds=adds)
        with counting("making studies") as progress:
            task = progress.add_task("", total=number)
            for study in studies(seed, day, number):
                made.append(await _take_in(settings, intake, study))
                progress.advance(task)
        await _label(settings, stores, made)
        await _send_again(settings, intake, made)
        await _cool(settings, stores, made)
        uids = [one.study.visit.uid for one in made]
        await concerns(settings.tenant, uids, sum(one.verdicts.total() for one in made))
    return made


async def _day(
    settings: Settings, stores: Stores, seed: int, newest: date | None, *, adds: bool
) -> date:
    """Return of which day the newest study is; raises Conflict where nothing may be added.

    Made on another day, the same instances would say something else.
    """
    there = await stores.catalogue.studies(settings.tenant, ByDate(), limit=1)
    if (there.studies or there.cursor is not None) and not adds:
        raise Conflict(
            "there are studies in this archive: --add puts the made-up ones beside them, and"
            " --data names another"
        )
    first = await stores.catalogue.study(settings.tenant, first_uid(seed))
    text = "" if first is None else element_text(first.study.attributes, "00080020")
    before = date.fromisoformat(text) if text else None
    if before and newest and before != newest:
        raise Conflict(
            f"this hospital is here, and its newest study is of {before}: leave --newest out, or"
            " make another hospital by --seed"
        )
    return before or newest or datetime.now(UTC).date()


async def _take_in(settings: Settings, intake: Intake, study: MadeStudy) -> _Made:
    source = _Files(study.files)
    verdicts: Counter[Verdict] = Counter()
    length_bytes = 0
    async for file in import_files(intake, system(settings.tenant), source):
        verdicts[file.verdict] += 1
        length_bytes += file.length_bytes
    return _Made(study, verdicts, length_bytes)


@dataclass(frozen=True, slots=True)
class _Files:
    """Made files as an import reads them."""

    make: Callable[[], Iterator[bytes]]
    name: str = "demo"

    async def files(self) -> AsyncIterator[FoundFile]:
        for number, file in enumerate(self.make(), 1):
            yield FoundFile(f"{number}.dcm", len(file), partial(_whole, file))


async def _whole(file: bytes) -> AsyncIterator[bytes]:
    yield file


async def _label(settings: Settings, stores: Stores, made: Sequence[_Made]) -> None:
    for one in made:
        if label := one.study.come.label:
            await change_labels(
                stores.objects,
                stores.catalogue,
                settings.tenant,
                one.study.visit.uid,
                [label],
                is_added=True,
                reason=_REASON,
                who=_WHO,
                now_us=now_us(),
            )


async def _send_again(settings: Settings, intake: Intake, made: Sequence[_Made]) -> None:
    """Let an instance come a second time with other content; once is enough for a conflict."""
    for one in made:
        if one.study.come.is_sent_twice and one.verdicts[Verdict.STORED]:
            source = _Files(partial(_again, one.study))
            async for _ in import_files(intake, system(settings.tenant), source):
                pass


def _again(study: MadeStudy) -> Iterator[bytes]:
    yield study.sent_again()


async def _cool(settings: Settings, stores: Stores, made: Sequence[_Made]) -> None:
    """Let the one study that is meant to be cold be so; in a bucket that has its price."""
    if not settings.is_embedded:
        return
    with thumbnails_of(settings, stores) as keep:
        for one in made:
            if not (one.study.come.is_cold and one.verdicts[Verdict.STORED]):
                continue
            lie_in: dict[str, str] = {}
            for pack in await stores.catalogue.packs(settings.tenant, one.study.visit.uid):
                key = key_of(pack)
                names = pack.tenant, pack.study_instance_uid, pack.series_instance_uid
                await keep(*names, [pack.pack_id])
                info = await stores.objects.move(key.pack, StorageClass.GLACIER)
                lie_in[pack.pack_id] = info.storage_class
            study = settings.tenant, one.study.visit.uid
            await note_where(stores.catalogue, *study, lie_in, now_us=now_us())


def _rows(made: Sequence[_Made]) -> Iterator[dict[str, object]]:
    """Return what was made, by what it is."""
    for what in sorted({one.study.visit.description for one in made}):
        some = [one for one in made if one.study.visit.description == what]
        yield {
            "what": what,
            "studies": len(some),
            "instances": sum(one.verdicts.total() for one in some),
            "MB": f"{sum(one.length_bytes for one in some) / 1e6:.1f}",
        }


def _where_to_look(settings: Settings, made: Sequence[_Made]) -> Iterator[str]:
    """Yield what is worth looking at, of what there is."""
    yield f"Look at {site_of(settings)}/ once `{typed('up', settings)}` runs:"
    for one in made:
        visit, come = one.study.visit, one.study.come
        words = [
            f"label {come.label}" if come.label else "",
            "report, key images, priors" if one.study.number == 0 else "",
            "in a cold class: recalled when it is opened"
            if come.is_cold and settings.is_embedded
            else "",
            "an instance came twice: pacs-cloud conflicts list" if come.is_sent_twice else "",
        ]
        if said := "; ".join(filter(None, words)):
            yield f"  {visit.patient.patient_id}  {visit.date}  {visit.description}: {said}"
    yield "All of it is made up: patient IDs begin with DEMO-, and each picture says so."

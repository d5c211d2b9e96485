"""`recall`: studies asked back from a cold class, listed, and waited for."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from pacs_cloud.bootstrap.services import (
    Stores,
    now_us,
    reads_cold,
    recalls_of,
    wish_of,
)
from pacs_cloud.bootstrap.thumbnails import thumbnails_of
from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.cli.on_record import concerns, open_stores
from pacs_cloud.cli.output import counting, print_json, print_rows, stderr, stdout
from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.errors import InvalidRequest, NotFound
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.recall.demand import time_text
from pacs_cloud.tiering.recall.listing import RecallState, StudyRecall, list_recalls, recall_of
from pacs_cloud.tiering.recall.priors import PriorsWanted, newcomer_of, priors
from pacs_cloud.tiering.recall.tending import tend_recalls

NOT_ASKED: Final = 1
_LOOK_EVERY_S: Final = 5.0
_COLUMNS: Final = (
    *("study", "state", "why", "speed", "since", "expected"),
    *("arrived", "packs", "until"),
)


def start(settings: Settings, study: str, series: str, *, as_json: bool) -> None:
    """Ask for a study, or one series of it, and print what is true of the study then.

    Raises:
        InvalidUid: a UID is none.
        InvalidRequest: nothing has to be recalled here.
        NotFound: there is nothing of it.
        Unavailable, Denied: it could not be asked for.
    """
    names = parse_uid(study), parse_uid(series) if series else None
    found = asyncio.run(_start(settings, *names))
    if found.packs or as_json:
        _print((found,), as_json=as_json)
    else:
        stdout.print("Nothing of it is cold: it can be read at once.")


async def _start(settings: Settings, study: str, series: str | None) -> StudyRecall:
    async with open_cold(settings) as stores:
        packs = await stores.catalogue.packs(settings.tenant, study, series)
        if not packs:
            what = f"series {series} of study {study}" if series else f"study {study}"
            raise NotFound(f"There is no {what}.")
        return await _started(settings, stores, packs)


def wanted_of(
    *,
    newest: int,
    modalities: Iterable[str],
    body_parts: Iterable[str],
    same_modality: bool,
    same_body_part: bool,
    max_age_days: int | None,
) -> PriorsWanted:
    """Return what the command's options ask for."""
    return PriorsWanted(
        newest=newest,
        modalities=frozenset(one.strip().upper() for one in modalities),
        body_parts=frozenset(one.strip().upper() for one in body_parts),
        same_modality=same_modality,
        same_body_part=same_body_part,
        max_age_days=max_age_days,
    )


def start_priors(settings: Settings, study: str, wanted: PriorsWanted, *, as_json: bool) -> None:
    """Ask for other studies of a study's patient, and print what is true of them then.

    Raises:
        InvalidUid: `study` is no UID.
        InvalidRequest: nothing has to be recalled here.
        NotFound: there is no such study, or it names no patient.
        Unavailable, Denied: they could not be asked for.
    """
    found = asyncio.run(_priors(settings, parse_uid(study), wanted))
    _print(found, as_json=as_json, empty="The patient has no other such study.")


async def _priors(settings: Settings, study: str, wanted: PriorsWanted) -> list[StudyRecall]:
    async with open_cold(settings) as stores:
        newcomer = await newcomer_of(stores.catalogue, settings.tenant, study)
        others = await priors(stores.catalogue, newcomer, wanted, now_us=now_us())
        await concerns(settings.tenant, [one.study_instance_uid for one in others])
        return [
            await _started(
                settings,
                stores,
                await stores.catalogue.packs(settings.tenant, one.study_instance_uid),
            )
            for one in others
        ]


async def _started(settings: Settings, stores: Stores, packs: Sequence[PackRecord]) -> StudyRecall:
    await recalls_of(settings, stores).start(packs, wish_of(settings))
    return await _recall_of(settings, stores, packs[0].study_instance_uid)


def show(settings: Settings, *, as_json: bool) -> None:
    """Print what is being recalled, and what has come back and is readable still."""
    _print(asyncio.run(_list(settings)), as_json=as_json, empty="Nothing is being recalled.")


async def _list(settings: Settings) -> list[StudyRecall]:
    async with open_cold(settings) as stores:
        found = list_recalls(stores.objects, stores.catalogue, settings.tenant, now_us())
        return [one async for one in found]


def wait(settings: Settings, study: str, *, as_json: bool) -> int:
    """Return 0 once all of a study can be read, 1 where nobody has asked for some of it.

    Raises:
        InvalidUid: `study` is no UID.
        InvalidRequest: nothing has to be recalled here.
        NotFound: there is no such study.
        Unavailable: a store cannot be reached.
    """
    found = asyncio.run(_wait(settings, parse_uid(study)))
    if as_json:
        print_json(_plain(found))
    elif found.state is RecallState.ONLINE:
        stdout.print("All of it can be read.")
    else:
        stderr.print("Some of it is cold, and nobody has asked for that: `pacs-cloud recall start`")
    return 0 if found.state is RecallState.ONLINE else NOT_ASKED


async def _wait(settings: Settings, study: str) -> StudyRecall:
    async with open_cold(settings) as stores:
        with counting("packs") as progress:
            task = progress.add_task("", total=None)
            while True:
                with thumbnails_of(settings, stores) as keep:
                    await tend_recalls(
                        stores.objects,
                        stores.catalogue,
                        now_us=now_us(),
                        tenant=settings.tenant,
                        study_instance_uid=study,
                        keep=keep,
                    )
                found = await _recall_of(settings, stores, study)
                progress.update(task, total=found.packs, completed=found.arrived)
                if found.state is not RecallState.RESTORING:
                    return found
                left_s = (found.expected_us - now_us()) / 1e6
                # At the moment it is expected, else every now and then.
                await asyncio.sleep(left_s if 0 < left_s < _LOOK_EVERY_S else _LOOK_EVERY_S)


@asynccontextmanager
async def open_cold(settings: Settings) -> AsyncGenerator[Stores]:
    """Open the stores; raises InvalidRequest where nothing ever has to be recalled."""
    if reads_cold(settings):
        raise InvalidRequest("nothing has to be recalled: this store reads every class at once")
    async with open_stores(settings) as stores:
        yield stores


async def _recall_of(settings: Settings, stores: Stores, study: str) -> StudyRecall:
    return await recall_of(stores.objects, stores.catalogue, settings.tenant, study, now_us())


def _print(
    found: Sequence[StudyRecall], *, as_json: bool, empty: str = "There is nothing of this."
) -> None:
    print_rows(map(_plain, found), _COLUMNS, as_json=as_json, empty=empty)


def _plain(one: StudyRecall) -> dict[str, object]:
    return {
        "study": one.study_instance_uid,
        "state": one.state.value,
        "why": list(one.causes),
        "speed": list(one.speeds),
        "since": _when(one.since_us),
        "expected": _when(one.expected_us),
        "arrived": one.arrived,
        "packs": one.packs,
        "until": _when(one.until_us),
    }


def _when(moment_us: int) -> str | None:
    return time_text(moment_us) if moment_us else None

"""`repack`: the small packs of quiet series become one."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Final

from pacs_cloud.bootstrap.price_region import price_region
from pacs_cloud.bootstrap.services import now_us, repack_folder
from pacs_cloud.cli.on_record import open_stores
from pacs_cloud.cli.output import confirm, counted, counting, print_json, stderr, stdout
from pacs_cloud.custody.repack.due import repack_due, repack_series
from pacs_cloud.custody.repack.plan import RepackTerms
from pacs_cloud.custody.repack.report import Repacked
from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.errors import InvalidRequest, NotFound
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.cost.bill import CENT
from pacs_cloud.tiering.cost.figures import size
from pacs_cloud.tiering.cost.leaving import leaving_cost
from pacs_cloud.tiering.cost.prices import load_prices

LEFT: Final = 1


def repack(settings: Settings, study: str, *, terms: RepackTerms, sure: bool, as_json: bool) -> int:
    """Repack one study, or all that is quiet; print what was done and return the exit code.

    Raises:
        InvalidRequest: received bytes were to be given up, and it was not confirmed.
        InvalidUid: `study` is no UID.
        NotFound: there is no archive, or no such study.
    """
    study = study and parse_uid(study)
    if terms.encode and not terms.dry:
        what = f"of {study}" if study else "of every quiet series"
        confirm(
            f"Encode native pixels {what} as HTJ2K? An hour from now nothing brings the received"
            " bytes of these instances back; --dry-run tells what it saves.",
            sure=sure,
        )
    done = asyncio.run(_repack(settings, study, terms))
    problems = [problem for one in done for problem in one.problems]
    if as_json:
        for one in done:
            print_json({**asdict(one), "problems": [asdict(problem) for problem in one.problems]})
    else:
        stdout.print(_said(done, dry=terms.dry))
        if read_bytes := _read_bytes(done):
            stdout.print(_fees(settings, read_bytes))
        if waiting := sum(one.waiting for one in done):
            stdout.print(
                f"{counted(waiting, 'pack')} left: the study is on hold, or being changed."
            )
        for problem in problems:
            stderr.print(f"{problem.pack_id}: {problem.detail}")
    return LEFT if problems else 0


def _said(done: Sequence[Repacked], *, dry: bool) -> str:
    replaced, made = sum(one.replaced for one in done), sum(one.made for one in done)
    recoded = sum(one.recoded for one in done)
    saved = size(sum(one.saved_bytes for one in done))
    if not replaced:
        return "There is nothing to repack."
    if dry:
        return (
            f"{counted(replaced, 'pack')} would become {made}; {counted(recoded, 'instance')} would"
            f" be encoded anew; {saved} less. Nothing was changed."
        )
    return (
        f"{counted(replaced, 'pack')} became {made}; {counted(recoded, 'instance')} encoded anew;"
        f" {saved} less, once the old packs go, an hour from now."
    )


def _read_bytes(done: Sequence[Repacked]) -> Counter[str]:
    total: Counter[str] = Counter()
    for one in done:
        total.update(one.read_bytes)
    return total


def _fees(settings: Settings, read_bytes: Mapping[str, int]) -> str:
    """Return what was read of packs that a policy had moved, and what replacing them costs."""
    read = ", ".join(f"{size(length)} of {name}" for name, length in sorted(read_bytes.items()))
    table = load_prices()
    try:
        region = table.region(price_region(settings, table))
        cost = leaving_cost(read_bytes, region)
    except (NotFound, InvalidRequest) as error:
        return f"Read for that: {read}, at what price nobody knows ({error})."
    return (
        f"Read for that: {read}, {cost.retrieval.quantize(CENT)} {region.currency}; and up to"
        f" {cost.early.quantize(CENT)} for the days that replaced packs miss to the minimum of"
        f" their class, at list prices of {region.title}, {region.checked}."
    )


async def _repack(settings: Settings, study: str, terms: RepackTerms) -> list[Repacked]:
    async with open_stores(settings, looks=terms.dry) as stores:
        folder = repack_folder(settings)
        with counting("series") as progress:
            task = progress.add_task("", total=None)
            done: list[Repacked] = []
            if not study:
                async for one in repack_due(
                    stores.objects,
                    stores.catalogue,
                    terms=terms,
                    folder=folder,
                    now_us=now_us,
                    tenant=settings.tenant,
                ):
                    done.append(one)
                    progress.advance(task)
                return done
            series = await stores.catalogue.series(settings.tenant, study)
            if not series:
                raise NotFound(f"There is no study {study}.")
            for record in series:
                one = await repack_series(
                    stores.objects,
                    stores.catalogue,
                    settings.tenant,
                    study,
                    record.series_instance_uid,
                    terms=terms,
                    folder=folder,
                    now_us=now_us,
                )
                done.append(one)
                progress.advance(task)
            return done

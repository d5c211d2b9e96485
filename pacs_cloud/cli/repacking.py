"""`repack`: the small packs of quiet series become one."""

import asyncio
from dataclasses import asdict
from typing import Final

from pacs_cloud.bootstrap.services import now_us, open_stores, repack_folder
from pacs_cloud.cli.output import counting, print_json, stderr, stdout
from pacs_cloud.custody.repack.due import repack_due, repack_series
from pacs_cloud.custody.repack.plan import RepackTerms
from pacs_cloud.custody.repack.report import Repacked
from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.errors import NotFound
from pacs_cloud.settings import Settings

LEFT: Final = 1


def repack(settings: Settings, study: str, *, terms: RepackTerms, as_json: bool) -> int:
    """Repack one study, or all that is quiet; print what was done and return the exit code.

    Raises:
        InvalidUid: `study` is no UID.
        NotFound: there is no archive, or no such study.
    """
    done = asyncio.run(_repack(settings, study and parse_uid(study), terms))
    problems = [problem for one in done for problem in one.problems]
    if as_json:
        for one in done:
            print_json({**asdict(one), "problems": [asdict(problem) for problem in one.problems]})
    else:
        stdout.print(
            f"{sum(one.replaced for one in done)} packs became {sum(one.made for one in done)};"
            f" {sum(one.recoded for one in done)} instances were encoded anew;"
            f" {sum(one.saved_bytes for one in done) / 1e6:.1f} MB less, once the old packs go,"
            " an hour from now."
        )
        if waiting := sum(one.waiting for one in done):
            stdout.print(f"{waiting} packs wait: their studies are on hold, or being changed.")
        for problem in problems:
            stderr.print(f"{problem.pack_id}: {problem.detail}")
    return LEFT if problems else 0


async def _repack(settings: Settings, study: str, terms: RepackTerms) -> list[Repacked]:
    async with open_stores(settings) as stores:
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

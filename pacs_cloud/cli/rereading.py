"""`fixity run` and `fixity status`."""

import asyncio
import re
from dataclasses import asdict
from typing import Final

from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.cli.checking import plain
from pacs_cloud.cli.moments import when
from pacs_cloud.cli.on_record import open_stores
from pacs_cloud.cli.output import counted, print_json, print_rows, stdout, weighing
from pacs_cloud.custody.findings import Finding
from pacs_cloud.custody.fixity.findings import Found
from pacs_cloud.custody.fixity.reading import Reread
from pacs_cloud.custody.fixity.rolling import open_findings, reread, reread_study
from pacs_cloud.custody.fixity.round import Round, read_round
from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.cost.figures import size

CLEAN, FINDINGS = 0, 1
_COLUMNS: Final = ("severity", "kind", "study", "key", "detail", "repair")
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?) ?([KMGTP]?)(I?)B?", re.IGNORECASE)
_POWERS: Final = "KMGTP"


def run(settings: Settings, study: str, *, limit: str, rate: str, as_json: bool) -> int:
    """Read packs again and print what is wrong; return the exit code.

    Raises:
        InvalidRequest: `limit` or `rate` is no size, or both a study and a limit are given.
        InvalidUid: `study` is no UID.
        NotFound: there is no such study.
    """
    if study and limit:
        raise InvalidRequest("--limit is about the whole archive: not with --study")
    limit_bytes = parse_size(limit) if limit else None
    rate_bytes_s = parse_size(rate) if rate else None
    if rate_bytes_s == 0:
        raise InvalidRequest("--rate is more than nothing")
    study = parse_uid(study) if study else ""
    done = asyncio.run(_run(settings, study, limit_bytes, rate_bytes_s))
    if as_json:
        for finding in done.findings:
            print_json(plain(finding))
        print_json({**asdict(done), "findings": len(done.findings)})
    else:
        print_rows(map(_row, done.findings), _COLUMNS, as_json=False, empty="Clean.")
        stdout.print(
            f"{counted(done.packs, 'pack')} read, {size(done.length_bytes)};"
            f" {done.cold} in a cold class passed over; {done.mended} mended."
        )
    return FINDINGS if done.findings else CLEAN


async def _run(
    settings: Settings, study: str, limit_bytes: int | None, rate_bytes_s: float | None
) -> Reread:
    async with open_stores(settings) as stores:
        with weighing("reading") as bar:
            task = bar.add_task("", total=None)

            def progress(read_bytes: int, total_bytes: int) -> None:
                bar.update(task, completed=read_bytes, total=total_bytes)

            if study:
                return await reread_study(
                    stores.objects,
                    stores.catalogue,
                    settings.tenant,
                    study,
                    now_us=now_us(),
                    rate_bytes_s=rate_bytes_s,
                    progress=progress,
                )
            return await reread(
                stores.objects,
                stores.catalogue,
                now_us=now_us(),
                limit_bytes=limit_bytes,
                rate_bytes_s=rate_bytes_s,
                progress=progress,
            )


def show_fixity(settings: Settings, *, as_json: bool) -> int:
    """Print the round, and what was found; return the exit code."""
    at, found = asyncio.run(_status(settings))
    findings = [(when(one.found_us), finding) for one in found for finding in one.findings]
    if as_json:
        rows = [{"found": time, **plain(finding)} for time, finding in findings]
        print_json({"round": None if at is None else _round(at), "findings": rows})
    else:
        stdout.print(_sentence(at))
        rows = [{"found": time, **_row(finding)} for time, finding in findings]
        print_rows(rows, ("found", *_COLUMNS), as_json=False, empty="No findings.")
    return FINDINGS if findings else CLEAN


async def _status(settings: Settings) -> tuple[Round | None, list[Found]]:
    async with open_stores(settings) as stores:
        found = [one async for one in open_findings(stores.objects)]
        return await read_round(stores.objects), found


def parse_size(text: str) -> int:
    """Return bytes from `100GiB`, `1.5 TB`, `4096`; raises InvalidRequest."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InvalidRequest(f"{text!r} is no size, such as 100GiB or 50MB")
    number, prefix, binary = match.groups()
    power = _POWERS.index(prefix.upper()) + 1 if prefix else 0
    return round(float(number) * (1024 if binary else 1000) ** power)


def _round(at: Round) -> dict[str, object]:
    return {
        "started": when(at.started_us),
        "is_over": at.is_over,
        "packs": at.packs,
        "length_bytes": at.length_bytes,
        "cold": at.cold,
        "read": at.read,
        "read_bytes": at.read_bytes,
        "total_packs": at.total_packs,
        "total_bytes": at.total_bytes,
    }


def _sentence(at: Round | None) -> str:
    if at is None:
        return "Nothing was read again yet."
    what = "Ended" if at.is_over else "Under way"
    return (
        f"{what}: the round that began {when(at.started_us)}. Read: {at.read} of"
        f" {counted(at.total_packs, 'pack')}, {size(at.read_bytes)} of {size(at.total_bytes)};"
        f" {at.cold} in a cold class passed over."
    )


def _row(finding: Finding) -> dict[str, object]:
    """Return a finding as a table has it: what is restored from a copy is an object."""
    uids = finding.study_instance_uid, finding.series_instance_uid
    key = finding.key or PackKey(finding.tenant, *uids, finding.pack_id).pack
    return {**plain(finding), "study": finding.study_instance_uid, "key": key}

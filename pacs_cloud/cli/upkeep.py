"""`status`, `fsck` and `rebuild`."""

import asyncio
from collections.abc import Awaitable
from dataclasses import asdict

from pacs_cloud.bootstrap.services import now_us, open_stores, policy_of
from pacs_cloud.cli.output import counting, print_json, print_rows, stderr, stdout
from pacs_cloud.custody.findings import Finding, FindingKind, Severity
from pacs_cloud.custody.fsck import check as check_archive
from pacs_cloud.custody.rebuild import Rebuilt, rebuild
from pacs_cloud.errors import PacsError
from pacs_cloud.ingest.contents import spool_contents
from pacs_cloud.settings import Settings

CLEAN, FINDINGS = 0, 1
CONFLICTS_SHOWN = 1000


def show_status(settings: Settings, *, as_json: bool) -> None:
    """Print what waits, and whether each store answers."""
    status = asyncio.run(_status(settings))
    if as_json:
        print_json(status)
        return
    for name, value in status.items():
        stdout.print(f"{name.replace('_', ' '):22} {value}")


async def _status(settings: Settings) -> dict[str, object]:
    spool = spool_contents(settings.spool)
    async with open_stores(settings) as stores:
        depth = await stores.queue.depth()
        conflicts = await stores.catalogue.conflicts(settings.tenant, limit=CONFLICTS_SHOWN)
        return {
            "objects": await _answers(stores.objects.ready()),
            "catalogue": await _answers(stores.catalogue.ready()),
            "spool_packs": spool.packs,
            "spool_bytes": spool.length_bytes,
            "quarantined_files": spool.quarantined,
            "jobs_ready": depth.ready,
            "jobs_leased": depth.leased,
            "jobs_dead": depth.dead,
            "conflicts": len(conflicts),
        }


def check(settings: Settings, *, deep: bool, as_json: bool) -> int:
    """Print every finding; return the exit code: 0 clean, 1 with findings."""
    findings = asyncio.run(_check(settings, deep=deep))
    rows = list(map(_plain, findings))
    columns = ("severity", "kind", "pack_id", "detail", "repair")
    print_rows(rows, columns, as_json=as_json, empty="Clean.")
    return FINDINGS if any(one.is_fault for one in findings) else CLEAN


def _plain(finding: Finding) -> dict[str, str]:
    return {name: str(value) for name, value in asdict(finding).items()}


async def _check(settings: Settings, *, deep: bool) -> list[Finding]:
    findings: list[Finding] = []
    cold = 0
    async with open_stores(settings, alone=True) as stores:
        with counting("checking") as progress:
            task = progress.add_task("", total=None)
            async for finding in check_archive(stores.objects, stores.catalogue, deep=deep):
                progress.advance(task)
                if finding.kind is FindingKind.COLD:
                    # Half an archive may be: one line for all of them.
                    cold += 1
                else:
                    findings.append(finding)
    return [*findings, _all_cold(cold)] if cold else findings


def _all_cold(packs: int) -> Finding:
    return Finding(
        FindingKind.COLD,
        Severity.NOTE,
        f"packs in a cold tier, whose bytes were not checked: {packs}",
        "recall those that shall be checked",
    )


def rebuild_catalogue(settings: Settings, *, as_json: bool) -> int:
    """Make the catalogue anew and print what was found; return 1 where something cannot be used.

    Raises:
        Conflict: the data directory is in use.
    """
    rebuilt = asyncio.run(_rebuild(settings))
    done: dict[str, object] = {
        "studies": rebuilt.studies,
        "packs": rebuilt.packs,
        "instances": rebuilt.instances,
        "replaced": rebuilt.replaced,
        "problems": [_plain(one) for one in rebuilt.problems],
    }
    if as_json:
        print_json(done)
        return 1 if rebuilt.problems else 0
    stdout.print(f"{rebuilt.studies} studies, {rebuilt.packs} packs, {rebuilt.instances} instances")
    for problem in rebuilt.problems:
        stderr.print(f"{problem.kind} {problem.key or problem.pack_id}: {problem.detail}")
    return 1 if rebuilt.problems else 0


async def _rebuild(settings: Settings) -> Rebuilt:
    async with open_stores(settings, alone=True) as stores:
        with counting("studies") as progress:
            task = progress.add_task("", total=None)
            return await rebuild(
                stores.objects,
                stores.catalogue,
                policy=policy_of(settings),
                now_us=now_us(),
                progress=lambda so_far: progress.update(task, completed=so_far.studies),
            )


async def _answers(asked: Awaitable[None]) -> str:
    try:
        await asked
    except PacsError as error:
        return f"no: {error}"
    return "yes"

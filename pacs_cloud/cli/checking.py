"""`fsck`."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import asdict
from typing import TypeVar

from pacs_cloud.bootstrap.services import now_us, policy_of
from pacs_cloud.cli.on_record import open_stores
from pacs_cloud.cli.output import counting, print_rows, stderr
from pacs_cloud.custody.findings import Finding, FindingKind, Severity
from pacs_cloud.custody.fsck import NEVER_YOUNG_US
from pacs_cloud.custody.fsck import check as check_archive
from pacs_cloud.custody.holds_locks import lock_findings
from pacs_cloud.custody.orphans import GRACE_US
from pacs_cloud.custody.repair.action import Outcome, Repaired
from pacs_cloud.custody.repair.run import repair as repair_archive
from pacs_cloud.custody.repair.study import Terms
from pacs_cloud.settings import Settings

T = TypeVar("T")

CLEAN, FINDINGS = 0, 1

_MANY = {
    FindingKind.COLD: (
        "packs in a cold tier, whose bytes were not checked: {}",
        "recall those that shall be checked",
    ),
    FindingKind.STORAGE_CLASS: (
        "packs that lie in another storage class than the catalogue says: {}",
        "the worker notes it by itself",
    ),
}
"""Half an archive may have these: one line tells of all."""


def check(settings: Settings, *, deep: bool, as_json: bool) -> int:
    """Print every finding; return the exit code: 0 clean, 1 with findings."""
    findings = asyncio.run(_check(settings, deep=deep))
    rows = list(map(plain, findings))
    columns = ("severity", "kind", "pack_id", "detail", "repair")
    print_rows(rows, columns, as_json=as_json, empty="Clean.")
    return FINDINGS if any(one.is_fault for one in findings) else CLEAN


def plain(finding: Finding) -> dict[str, str]:
    """Return a finding as it is printed in JSON."""
    return {name: str(value) for name, value in asdict(finding).items()}


async def _check(settings: Settings, *, deep: bool) -> list[Finding]:
    async with open_stores(settings, alone=True, looks=True) as stores:
        findings = check_archive(
            stores.objects, stores.catalogue, deep=deep, settled_us=_settled_us(settings)
        )
        locks = lock_findings(stores.objects, now_us=now_us())
        return _without_many(
            [*await _counted("checking", findings), *await _counted("comparing locks", locks)]
        )


def repair(settings: Settings, *, deep: bool, sure: bool, as_json: bool) -> int:
    """Print what is done about every finding, or what would be; return the exit code.

    Args:
        settings: of the archive.
        deep: also read every byte.
        sure: do it; else nothing is changed.
        as_json: one object a line.

    Returns:
        0 where nothing is left to be done, 1 otherwise.
    """
    repaired = asyncio.run(_repair(settings, deep=deep, dry=not sure))
    columns = ("severity", "kind", "pack_id", "outcome", "detail", "action")
    rows = [
        {**plain(one.finding), "outcome": one.outcome.value, "action": str(one.detail)}
        for one in repaired
    ]
    print_rows(rows, columns, as_json=as_json, empty="Clean.")
    if not sure and any(one.outcome is Outcome.WOULD for one in repaired):
        stderr.print("nothing was changed: --yes does it")
    is_left = any(one.finding.is_fault and one.outcome is not Outcome.DONE for one in repaired)
    return FINDINGS if is_left else CLEAN


async def _repair(settings: Settings, *, deep: bool, dry: bool) -> list[Repaired]:
    terms = Terms(
        policy=policy_of(settings),
        now_us=now_us(),
        deep=deep,
        settled_us=_settled_us(settings),
        grace_us=0 if settings.is_embedded else GRACE_US,
    )
    async with open_stores(settings, alone=True, looks=dry) as stores:
        repaired = repair_archive(stores.objects, stores.catalogue, terms, dry=dry)
        found = await _counted("repairing", repaired)
        locks = await _counted("comparing locks", lock_findings(stores.objects, now_us=now_us()))
        found += [Repaired(one, Outcome.LEFT, one.repair) for one in locks]
    few = [one for one in found if one.finding.kind not in _MANY]
    for outcome in Outcome:
        many = [one for one in found if one.outcome is outcome and one.finding.kind in _MANY]
        totals = _without_many(one.finding for one in many)
        few += [Repaired(total, outcome, many[0].detail) for total in totals]
    return few


async def _counted(what: str, found: AsyncGenerator[T, None]) -> list[T]:
    """Return all of `found`, and count it meanwhile."""
    with counting(what) as progress:
        task = progress.add_task("", total=None)
        kept: list[T] = []
        async with aclosing(found) as coming:
            async for one in coming:
                progress.advance(task)
                kept.append(one)
        return kept


def _without_many(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings, and one for all of a kind of which there may be many."""
    few: list[Finding] = []
    counts: Counter[FindingKind] = Counter()
    for one in findings:
        if one.kind in _MANY and not one.is_fault:
            counts[one.kind] += 1
        else:
            few.append(one)
    return few + [
        Finding(kind, Severity.NOTE, _MANY[kind][0].format(count), _MANY[kind][1])
        for kind, count in counts.items()
    ]


def _settled_us(settings: Settings) -> int:
    """Return what is younger is not missed: another machine may be at a cloud's archive."""
    return NEVER_YOUNG_US if settings.is_embedded else now_us() - GRACE_US

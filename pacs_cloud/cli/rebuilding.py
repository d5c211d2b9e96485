"""`rebuild` and `catalogue hash`."""

import asyncio
from dataclasses import asdict

from rich.progress import ProgressColumn, Task, TextColumn
from rich.text import Text

from pacs_cloud.bootstrap.rebuild_shares import ShareTask, processes_for, rebuild_in_shares
from pacs_cloud.bootstrap.rebuilding import Begins, Rebuilding, open_rebuild
from pacs_cloud.bootstrap.services import now_us, policy_of
from pacs_cloud.cli.checking import plain
from pacs_cloud.cli.on_record import open_stores, recorded
from pacs_cloud.cli.output import counted, counting, print_json, stderr, stdout
from pacs_cloud.custody.export import Exported, export_hash
from pacs_cloud.custody.rebuild import Rebuilt, count_packs, rebuild
from pacs_cloud.settings import Settings


class _Rate(ProgressColumn):
    """How many pieces come in a second."""

    def render(self, task: Task) -> Text:
        """Return it as it is shown."""
        rate = task.finished_speed or task.speed
        return Text(f"{rate:,.0f}/s" if rate else "")


def rebuild_catalogue(settings: Settings, *, resume: bool, compare: bool, as_json: bool) -> int:
    """Make the catalogue anew and print what was found; return 1 where something cannot be used.

    Args:
        settings: of the archive.
        resume: go on with a rebuild that was interrupted.
        compare: tell whether what is made is equal to what it replaces.
        as_json: one JSON object instead of sentences.

    Raises:
        Conflict: the data directory is in use.
    """
    begins, before, rebuilt, after = asyncio.run(_rebuild(settings, resume, compare))
    is_equal = None if before is None else before == after
    if as_json:
        print_json(
            {
                "begins": begins.name.lower().replace("_", "-"),
                "studies": rebuilt.studies,
                "packs": rebuilt.packs,
                "instances": rebuilt.instances,
                "kept": rebuilt.kept,
                "replaced": rebuilt.replaced,
                "hash": after.hash,
                "hash_before": before.hash if before else None,
                "equal": is_equal,
                "problems": [plain(one) for one in rebuilt.problems],
            }
        )
        return 1 if rebuilt.problems else 0
    kept = (
        f" ({counted(rebuilt.kept, 'pack was', 'packs were')} there already)"
        if rebuilt.kept
        else ""
    )
    stdout.print(
        f"{counted(rebuilt.studies, 'study')}, {counted(rebuilt.packs, 'pack')},"
        f" {counted(rebuilt.instances, 'instance')}{kept}"
    )
    stdout.print(f"hash {after.hash}{_compared(is_equal)}")
    for problem in rebuilt.problems:
        where = problem.key or problem.pack_id or problem.study_instance_uid
        stderr.print(f"{problem.kind} {where}: {problem.detail}: {problem.repair}")
    return 1 if rebuilt.problems else 0


def _compared(is_equal: bool | None) -> str:
    if is_equal is None:
        return ""
    return ", equal to the catalogue before" if is_equal else ", not equal to the catalogue before"


async def _rebuild(
    settings: Settings, resume: bool, compare: bool
) -> tuple[Begins, Exported | None, Rebuilt, Exported]:
    async with (
        open_rebuild(settings, resume=resume, compare=compare) as work,
        recorded(settings, work),
    ):
        total = await count_packs(work.objects)
        stderr.print(f"{work.begins}: {total} packs")
        rebuilt = await _fill(settings, work, total)
        return work.begins, work.before, rebuilt, await export_hash(work.catalogue)


async def _fill(settings: Settings, work: Rebuilding, total: int) -> Rebuilt:
    with counting("packs", _Rate(), TextColumn("{task.fields[studies]} studies")) as progress:
        task = progress.add_task("", total=total, studies=0)

        def told(so_far: Rebuilt) -> None:
            progress.update(task, completed=so_far.seen, studies=so_far.studies)

        processes = processes_for(total)
        if processes > 1:
            if work.wipe:
                await work.catalogue.wipe()
            shares = ShareTask(work.url, now_us(), work.at_once)
            return await rebuild_in_shares(settings, shares, processes, told)
        return await rebuild(
            work.objects,
            work.catalogue,
            policy=policy_of(settings),
            now_us=now_us(),
            wipe=work.wipe,
            at_once=work.at_once,
            progress=told,
        )


def show_hash(settings: Settings, *, as_json: bool) -> None:
    """Print the hash of the logical catalogue, and how much it is."""
    exported = asyncio.run(_hash(settings))
    if as_json:
        print_json(asdict(exported))
        return
    stdout.print(exported.hash)
    stderr.print(
        f"{counted(exported.studies, 'study')}, {exported.series} series,"
        f" {counted(exported.packs, 'pack')}, {counted(exported.instances, 'instance')}"
    )


async def _hash(settings: Settings) -> Exported:
    async with open_stores(settings) as stores:
        with counting("studies") as progress:
            task = progress.add_task("", total=None)
            return await export_hash(
                stores.catalogue,
                progress=lambda studies: progress.update(task, completed=studies),
            )

"""`erase` and its list, show and lift."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

from pacs_cloud.bootstrap.erasing import erasure_of
from pacs_cloud.bootstrap.services import Stores, now_us
from pacs_cloud.cli.moments import when
from pacs_cloud.cli.on_record import open_stores
from pacs_cloud.cli.output import print_json, print_rows, stderr, stdout
from pacs_cloud.cli.scopes import checked
from pacs_cloud.custody.erasure.asking import ErasurePlan, ask, plan_erasure
from pacs_cloud.custody.erasure.asking import lift as lift_
from pacs_cloud.custody.erasure.entries import (
    ErasureEntry,
    Step,
    erasures_of,
    is_proven,
    studies_with_erasures,
    tombstones,
)
from pacs_cloud.custody.erasure.run import Erasing
from pacs_cloud.custody.rejections.settling import settle_with
from pacs_cloud.custody.stored_pack import load_table
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.errors import NotFound
from pacs_cloud.settings import Settings

DONE, WAITING = 0, 1
_ALL: Final = ("study", "state", "instances", "asked", "by", "reason", "proven")
_STEPS: Final = ("time", "step", "instances", "keys", "versions", "by", "reason")


def erase(
    settings: Settings,
    names: tuple[str, str, str],
    *,
    reason: str,
    by: str,
    do: bool,
    as_json: bool,
) -> int:
    """Erase a study, a series or an instance, or say what that would do; return the exit code.

    Raises:
        InvalidUid: a UID is none.
        NotFound: there is nothing of it.
        Held: its study is on hold, or the store locks something of it.
    """
    scope = Scope(settings.tenant, *checked(*names))
    plan, done = asyncio.run(_erase(settings, scope, reason, by, do=do))
    if as_json:
        print_json(_plan(plan) | ({} if done is None else _plain(done)))
    else:
        _say(plan)
        if done is None:
            stdout.print("Nothing was done: --yes does it. Nothing brings it back then.")
        else:
            _tell(done)
    return DONE if done is None or done.is_proven else WAITING


async def _erase(
    settings: Settings, scope: Scope, reason: str, by: str, *, do: bool
) -> tuple[ErasurePlan, Erasing | None]:
    async with open_stores(settings, looks=not do) as stores:
        plan = await plan_erasure(stores.objects, stores.catalogue, scope, now_us=now_us())
        if not do:
            return plan, None
        await ask(stores.objects, plan, who=by, reason=reason, now_us=now_us())
        return plan, await _go_on(settings, stores, scope.study_instance_uid)


async def _go_on(settings: Settings, stores: Stores, study: str) -> Erasing:
    names = settings.tenant, study
    done = await erasure_of(settings, stores, *names).run()
    # What is erased may be a rejection note. Where this dies the worker's round does it.
    load = partial(load_table, stores.objects, stores.catalogue)
    await settle_with(stores.objects, stores.catalogue, *names, load_table=load, now_us=now_us())
    return done


def _say(plan: ErasurePlan) -> None:
    stdout.print(
        f"{len(plan.uids)} instances, in {plan.removed + plan.rewritten} packs of"
        f" {plan.length_bytes / 1e6:.1f} MB: {plan.removed} are removed, {plan.rewritten} made"
        " anew without them."
    )
    if plan.cold:
        stdout.print(f"{plan.cold} of these lie in a cold class, and are recalled first.")
    if plan.elsewhere:
        stdout.print(
            f"Instances of the same UIDs are in {len(plan.elsewhere)} other studies, and stay"
            f" there: {', '.join(plan.elsewhere)}"
        )


def _tell(done: Erasing) -> None:
    versions = sum(done.removed.values())
    if done.is_proven:
        stdout.print(
            f"Erased: {versions} versions of {len(done.removed)} objects are gone, and none is"
            " left. `pacs-cloud erase show` shows which."
        )
    for reason in done.waiting:
        stderr.print(f"Not over: {reason}.")
    if done.waiting:
        stderr.print("Nobody sees it any more, and the archive's worker goes on with it.")


def show_all(settings: Settings, *, as_json: bool) -> None:
    """Print the erasures of every study."""
    rows = asyncio.run(_list(settings))
    print_rows(rows, _ALL, as_json=as_json, empty="Nothing was erased.")


async def _list(settings: Settings) -> list[dict[str, object]]:
    async with open_stores(settings) as stores:
        return [
            _summary(await erasures_of(stores.objects, *names))
            async for names in studies_with_erasures(stores.objects, settings.tenant)
        ]


def _summary(entries: Sequence[ErasureEntry]) -> dict[str, object]:
    asked = [one for one in entries if one.step is Step.ASKED]
    proofs = [one for one in entries if one.step is Step.PROVEN]
    erased = tombstones(entries)
    state = "waiting" if not is_proven(entries) else "proven" if erased else "lifted"
    # Of lost objects, which nobody here removes, the others still tell.
    last = asked[-1] if asked else entries[0]
    return {
        "study": last.study_instance_uid,
        "state": state,
        "instances": len(erased),
        "asked": when(last.entered_us) if asked else "",
        "by": last.who,
        "reason": last.reason,
        "proven": when(proofs[-1].entered_us) if proofs else "",
    }


def show(settings: Settings, study: str, *, as_json: bool) -> None:
    """Print every step of a study's erasures.

    Raises:
        InvalidUid: `study` is no UID.
        NotFound: nothing of it was erased.
    """
    study = parse_uid(study)
    entries = asyncio.run(_entries(settings, study))
    if not entries:
        raise NotFound("Nothing of this study was erased.")
    rows = [_row(one, whole=as_json) for one in entries]
    print_rows(rows, _STEPS, as_json=as_json, empty="")


async def _entries(settings: Settings, study: str) -> list[ErasureEntry]:
    async with open_stores(settings) as stores:
        return await erasures_of(stores.objects, settings.tenant, study)


def _row(entry: ErasureEntry, *, whole: bool) -> dict[str, object]:
    more = {"uids": entry.uids, "removed": dict(entry.versions)} if whole else {}
    return {
        "time": when(entry.entered_us),
        "step": entry.step,
        "instances": len(entry.uids) or None,
        "keys": len(entry.versions) or None,
        "versions": sum(entry.versions.values()) or None,
        "by": entry.who,
        "reason": entry.reason,
        **more,
    }


def lift(
    settings: Settings, study: str, instance: str, *, reason: str, by: str, as_json: bool
) -> int:
    """Let what is erased of a study be stored again; return the exit code.

    Raises:
        InvalidUid: a UID is none.
        NotFound: nothing of it is erased.
        Conflict: its erasure is not over.
    """
    study, _, instance = checked(study, "", instance)
    entry, done = asyncio.run(_lift(settings, study, instance, reason, by))
    if as_json:
        print_json({"study": study, "lifted": entry.uids, "waiting": done.waiting})
    else:
        stdout.print(f"{len(entry.uids)} instances may be stored again.")
        for waiting in done.waiting:
            stderr.print(f"Not over: {waiting}.")
    return WAITING if done.waiting else DONE


async def _lift(
    settings: Settings, study: str, instance: str, reason: str, by: str
) -> tuple[ErasureEntry, Erasing]:
    async with open_stores(settings) as stores:
        words = {"who": by, "reason": reason}
        entry = await lift_(
            stores.objects, settings.tenant, study, instance, **words, now_us=now_us
        )
        return entry, await _go_on(settings, stores, study)


def _plan(plan: ErasurePlan) -> dict[str, object]:
    return {
        "study": plan.scope.study_instance_uid,
        "instances": plan.uids,
        "packs_removed": plan.removed,
        "packs_rewritten": plan.rewritten,
        "bytes": plan.length_bytes,
        "cold": plan.cold,
        "elsewhere": plan.elsewhere,
    }


def _plain(done: Erasing) -> dict[str, object]:
    return {
        "removed": dict(done.removed),
        "waiting": done.waiting,
        "proven": done.is_proven,
    }

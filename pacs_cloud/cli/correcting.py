"""`patient merge` and `unmerge`, `study move` and `correct`, `corrections undo`."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pacs_cloud.bootstrap.correcting import corrector_of
from pacs_cloud.bootstrap.services import Stores, now_us
from pacs_cloud.cli.on_record import concerns, open_stores
from pacs_cloud.cli.output import counted, print_json, print_rows, stderr, stdout
from pacs_cloud.cli.scopes import checked, scope_of
from pacs_cloud.custody.corrections.applying import CarriedOut
from pacs_cloud.custody.corrections.correction import CorrectionKind
from pacs_cloud.custody.corrections.given import given_elements
from pacs_cloud.custody.corrections.orders import Order, Orders
from pacs_cloud.custody.corrections.preview import StudyPreview, preview
from pacs_cloud.custody.corrections.undoing import undo_plan
from pacs_cloud.dicom.dicomjson import keyword_of
from pacs_cloud.dicom.element_text import element_text
from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.security.caller import system
from pacs_cloud.settings import Settings

DONE: Final = 0
LEFT: Final = 1
_COLUMNS: Final = ("study", "attribute", "now", "then")


@dataclass(frozen=True, slots=True)
class Asked:
    """What every one of these commands is told.

    Attributes:
        settings: of the archive.
        reason: why.
        by: who does it.
        do: whether to do it, and not only to say what it would change.
        as_json: print JSON.
    """

    settings: Settings
    reason: str
    by: str
    do: bool
    as_json: bool

    def orders(self, stores: Stores) -> Orders:
        """Return what makes corrections of what they want."""
        return Orders(
            stores.objects,
            stores.catalogue,
            self.settings.tenant,
            caller=system(self.settings.tenant),
            who=self.by,
            reason=self.reason,
            system=self.settings.aet,
            now_us=now_us(),
        )


def merge(
    asked: Asked, source: str, target: str, *, issuer: str | None, target_issuer: str | None
) -> int:
    """Merge a patient into another; return the exit code: 1 if a study cannot be read."""

    async def order(stores: Stores) -> Order:
        orders = asked.orders(stores)
        return await orders.merge(source, target, issuer=issuer, target_issuer=target_issuer)

    return asyncio.run(_make(asked, order))


def move(asked: Asked, study: str, patient_id: str, *, issuer: str | None) -> int:
    """Move a study to another patient; return the exit code, as `merge`."""
    uid = parse_uid(study)

    async def order(stores: Stores) -> Order:
        return await asked.orders(stores).move(uid, patient_id, issuer=issuer)

    return asyncio.run(_make(asked, order))


def correct(
    asked: Asked, names: tuple[str, str, str], given: Sequence[str], emptied: Sequence[str]
) -> int:
    """Correct attributes of a study, a series or an instance; return the exit code, as `merge`."""
    uids = checked(*names)
    elements = given_elements([*given, *(f"{name}=" for name in emptied)])

    async def order(stores: Stores) -> Order:
        scope = await scope_of(asked.settings, stores, uids)
        return await asked.orders(stores).correct(
            scope.study_instance_uid, scope.series_instance_uid, scope.sop_instance_uid, elements
        )

    return asyncio.run(_make(asked, order))


async def _make(asked: Asked, order: Callable[[Stores], Awaitable[Order]]) -> int:
    async with open_stores(asked.settings, looks=not asked.do) as stores:
        made = await order(stores)
        correction = made.correction
        await concerns(asked.settings.tenant, correction.studies, looks=not asked.do)
        studies = await preview(stores.objects, stores.catalogue, correction, correction.studies)
        done = await corrector_of(stores).apply(correction) if asked.do else None
        name = correction.correction_id if asked.do else ""
        return _tell(asked, name, studies, made.warnings, done)


def undo(asked: Asked, correction_id: str, *, only_merges: bool = False) -> int:
    """Take a correction back; return the exit code, as `merge`.

    Raises:
        NotFound: there is none of this name.
        Conflict: it was undone before.
        InvalidRequest: it is no merge, and only these are meant.
    """
    return asyncio.run(_undo(asked, correction_id, only_merges=only_merges))


async def _undo(asked: Asked, correction_id: str, *, only_merges: bool) -> int:
    tenant = asked.settings.tenant
    async with open_stores(asked.settings, looks=not asked.do) as stores:
        plan = await undo_plan(stores.objects, stores.catalogue, tenant, correction_id)
        if only_merges and plan.state.correction.kind is not CorrectionKind.PATIENT_MERGE:
            raise InvalidRequest("This is no patient merge: `corrections undo` takes it back.")
        await concerns(tenant, plan.studies, looks=not asked.do)
        studies, warnings = await plan.preview(stores.objects, stores.catalogue)
        done = None
        if asked.do:
            done = await corrector_of(stores).undo(
                *(tenant, correction_id),
                caller=system(tenant),
                who=asked.by,
                reason=asked.reason,
            )
        return _tell(asked, correction_id, studies, warnings, done)


def _tell(
    asked: Asked,
    name: str,
    studies: Sequence[StudyPreview],
    warnings: Sequence[str],
    done: CarriedOut | None,
) -> int:
    rows: list[dict[str, Any]] = [
        {
            "study": one.study.study_instance_uid,
            "attribute": keyword_of(shown.tag),
            "now": element_text(shown.now),
            "then": element_text(shown.then),
        }
        for one in studies
        for shown in one.attributes
        if shown.is_changed
    ]
    unreadable = list(done.unreadable) if done else []
    if asked.as_json:
        print_json(
            {
                "done": done is not None,
                "correction": name,
                "studies": len(studies),
                "instances": sum(one.study.instance_count for one in studies),
                "changes": rows,
                "warnings": list(warnings),
                "unreadable": unreadable,
            }
        )
    else:
        print_rows(rows, _COLUMNS, as_json=False, empty="Nothing would be shown otherwise.")
        if done is None:
            stdout.print(f"{counted(len(studies), 'study')}. Nothing was done: --yes does it.")
        else:
            stdout.print(f"Done in {counted(len(studies), 'study')}: correction {name}.")
        for warning in warnings:
            stderr.print(warning)
    for uid in unreadable:
        stderr.print(f"{uid} cannot be changed now: the archive's worker tries again.")
    return LEFT if unreadable else DONE

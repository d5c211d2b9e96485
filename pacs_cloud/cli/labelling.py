"""`label add`, `label remove` and `label list`."""

import asyncio
from collections.abc import Sequence
from typing import Final

from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.cli.moments import when
from pacs_cloud.cli.on_record import open_stores
from pacs_cloud.cli.output import print_json, print_rows, stdout
from pacs_cloud.custody.labels import (
    LabelEntry,
    change_labels,
    label_entries,
    labelled,
    standing_labels,
)
from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.settings import Settings

_COLUMNS: Final = ("study", "label", "since", "by", "reason")


def change(
    settings: Settings,
    study: str,
    labels: Sequence[str],
    *,
    is_added: bool,
    reason: str,
    by: str,
    as_json: bool,
) -> None:
    """Add labels or remove them, and print what the study has then.

    Raises:
        InvalidRequest, InvalidUid: a label, or `study`, is none.
        NotFound: there is no such study.
    """
    study = parse_uid(study)

    async def changed() -> frozenset[str]:
        async with open_stores(settings) as stores:
            return await change_labels(
                stores.objects,
                stores.catalogue,
                settings.tenant,
                study,
                labels,
                is_added=is_added,
                reason=reason,
                who=by,
                now_us=now_us(),
            )

    has = sorted(asyncio.run(changed()))
    if as_json:
        print_json({"study": study, "labels": has})
    else:
        stdout.print(f"The study's labels: {', '.join(has)}." if has else "It has no label.")


def show_labels(settings: Settings, study: str, *, as_json: bool) -> None:
    """Print the labels of all studies, or of one; raises InvalidUid."""
    study = study and parse_uid(study)

    async def found() -> list[list[LabelEntry]]:
        async with open_stores(settings) as stores:
            if study:
                return [await label_entries(stores.objects, settings.tenant, study)]
            return [one async for one in labelled(stores.objects, settings.tenant)]

    rows = [row for entries in asyncio.run(found()) for row in _rows(entries)]
    print_rows(rows, _COLUMNS, as_json=as_json, empty="Nothing is labelled.")


def _rows(entries: Sequence[LabelEntry]) -> list[dict[str, object]]:
    """Return each label that a study has, and who gave it last."""
    rows: list[dict[str, object]] = []
    for label in sorted(standing_labels(entries)):
        given = next(one for one in reversed(entries) if one.is_added and label in one.labels)
        rows.append(
            {
                "study": given.study_instance_uid,
                "label": label,
                "since": when(given.entered_us),
                "by": given.who,
                "reason": given.reason,
            }
        )
    return rows

"""`corrections list` and `corrections show`."""

import asyncio
from typing import Any, Final

from pacs_cloud.cli.moments import when
from pacs_cloud.cli.on_record import open_stores
from pacs_cloud.cli.output import print_json, print_rows, stdout
from pacs_cloud.custody.corrections.listing import (
    CorrectionState,
    correction_state,
    corrections,
    studies_showing,
)
from pacs_cloud.dicom.dicomjson import keyword_of
from pacs_cloud.dicom.element_text import element_text
from pacs_cloud.settings import Settings

_COLUMNS: Final = ("id", "kind", "made", "by", "studies", "state", "reason")


def show_all(settings: Settings, *, as_json: bool) -> None:
    """Print every correction."""
    rows = [_plain(one) for one in asyncio.run(_list(settings))]
    print_rows(rows, _COLUMNS, as_json=as_json, empty="Nothing was corrected.")


async def _list(settings: Settings) -> list[CorrectionState]:
    async with open_stores(settings) as stores:
        return [one async for one in corrections(stores.objects, settings.tenant)]


def show(settings: Settings, correction_id: str, *, as_json: bool) -> None:
    """Print one correction, and which studies show it; raises NotFound."""
    state, showing = asyncio.run(_show(settings, correction_id))
    amendment = state.correction.amendment
    elements = [
        {"attribute": keyword_of(tag), "shown": element_text(amendment.elements[tag])}
        for tag in sorted(amendment.elements)
    ]
    elements += [{"attribute": keyword_of(tag), "shown": ""} for tag in state.correction.emptied]
    studies = [
        {"study": uid, "shows": {True: "yes", False: "no", None: "gone"}[showing.get(uid)]}
        for uid in state.studies
    ]
    if as_json:
        undone = state.undone
        print_json(
            {
                **_plain(state),
                "series": amendment.series_instance_uid,
                "instance": amendment.sop_instance_uid,
                "attributes": elements,
                "shown_in": studies,
                "undone": when(undone.undone_us) if undone else "",
                "undone_by": undone.who if undone else "",
                "undone_reason": undone.reason if undone else "",
            }
        )
        return
    for name, value in _plain(state).items():
        stdout.print(f"{name:12} {value}")
    if state.undone is not None:
        words = f"{when(state.undone.undone_us)} by {state.undone.who}: {state.undone.reason}"
        stdout.print(f"{'undone':12} {words}")
    print_rows(elements, ("attribute", "shown"), as_json=False, empty="")
    print_rows(studies, ("study", "shows"), as_json=False, empty="")


async def _show(settings: Settings, correction_id: str) -> tuple[CorrectionState, dict[str, bool]]:
    async with open_stores(settings) as stores:
        state = await correction_state(stores.objects, settings.tenant, correction_id)
        return state, await studies_showing(stores.catalogue, state)


def _plain(state: CorrectionState) -> dict[str, Any]:
    one = state.correction
    return {
        "id": one.correction_id,
        "kind": one.kind,
        "made": when(one.corrected_us),
        "by": one.who,
        "reason": one.reason,
        "source": one.source.patient_id if one.source else "",
        "target": one.target.patient_id if one.target else "",
        "studies": len(state.studies),
        "late": len(state.late),
        "state": "undone" if state.undone else "stands",
        "under_way": state.is_open,
    }

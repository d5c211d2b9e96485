"""Modality Worklist as its user: which procedures are scheduled (PS3.4 Annex K)."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import date
from typing import Final

from pacs_cloud.dicom.dicomjson import encode_dataset, read_elements, to_dataset, vr_of
from pacs_cloud.dicom.element_values import items, text
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.status import Status
from pacs_cloud.dicom.uid import EXPLICIT_LE, IMPLICIT_LE
from pacs_cloud.dimse.association import Association
from pacs_cloud.dimse.command import CommandField, Element
from pacs_cloud.dimse.limits import Limits
from pacs_cloud.dimse.negotiation import Proposal, context_to_invoke
from pacs_cloud.dimse.requestor import Peer, connect
from pacs_cloud.errors import InvalidInstance, InvalidRequest, NotFound, Unavailable

log = logging.getLogger(__name__)

MODALITY_WORKLIST: Final = "1.2.840.10008.5.1.4.31"
"""Modality Worklist Information Model - FIND (PS3.4 K.6.1.4)."""
MOST_ANSWERS: Final = 5000
"""To one question: no RIS has more for the days that are asked for, but may repeat itself."""
MOST_S: Final = 600.0
"""A question lasts, however quickly one answer follows the other."""

_MODALITY: Final = "00080060"
_PATIENT_NAME: Final = "00100010"
_PATIENT_ID: Final = "00100020"
_ISSUER: Final = "00100021"
_STUDY: Final = "0020000D"
_REQUESTED: Final = "00321060"
_STEPS: Final = "00400100"
_STEP_DATE: Final = "00400002"
_STEP_DESCRIPTION: Final = "00400007"
_RETURNED: Final = (_PATIENT_NAME, _PATIENT_ID, _ISSUER, _STUDY, _REQUESTED)
_RETURNED_OF_STEP: Final = (
    _MODALITY,
    "00400001",  # Scheduled Station AE Title
    "00400003",  # Scheduled Procedure Step Start Time
    _STEP_DESCRIPTION,
    "00400009",  # Scheduled Procedure Step ID
)
"""With the date and what names the patient, the keys that every provider has (Table K.6-1)."""


@dataclass(frozen=True, slots=True)
class ScheduledStep:
    """One procedure step that is scheduled.

    Attributes:
        issuer: of the patient ID, "" where it does not say.
        patient_id: whose.
        modality: that will make it, "" where it does not say.
        description: of what was requested, or of the step; "" for none.
        study_instance_uid: of the study that is to be made, "" where it does not say.
    """

    issuer: str
    patient_id: str
    modality: str
    description: str
    study_instance_uid: str


async def scheduled_steps(
    peer: Peer,
    calling_ae_title: str,
    first: date,
    last: date,
    *,
    limits: Limits | None = None,
) -> list[ScheduledStep]:
    """Return what a worklist has for some days, each step once, as it answers.

    Args:
        peer: the RIS, or its worklist.
        calling_ae_title: who we are.
        first: the first day.
        last: the last day, included.
        limits: times and sizes.

    Raises:
        AssociationRejected: the peer refused.
        AssociationAborted: it aborted, or did not answer in time.
        InvalidRequest: it has no worklist.
        Unavailable: there is no connection, or the search failed.
    """
    proposals = (Proposal(MODALITY_WORKLIST, (EXPLICIT_LE, IMPLICIT_LE)),)
    association = await connect(peer, calling_ae_title, proposals, limits=limits)
    try:
        async with asyncio.timeout(MOST_S):
            steps = await _all_steps(association, peer, _identifier(first, last))
            if not association.is_over:
                await association.release()
    except TimeoutError as error:
        raise Unavailable(f"the answers of {peer.ae_title} have no end") from error
    finally:
        if not association.is_over:
            association.abort("not wanted any more")
    return steps


async def _all_steps(
    association: Association, peer: Peer, identifier: Elements
) -> list[ScheduledStep]:
    steps: dict[ScheduledStep, None] = {}
    count = 0
    async with aclosing(_answers(association, peer, identifier)) as answers:
        async for elements in answers:
            steps.update(dict.fromkeys(_steps_of(elements) if elements else ()))
            count += 1
            if count >= MOST_ANSWERS:
                log.warning("worklist_cut", extra={"answers": count})
                association.abort("more answers than anybody schedules steps")
                break
    return list(steps)


async def _answers(
    association: Association, peer: Peer, identifier: Elements
) -> AsyncGenerator[Elements | None]:
    """Ask, and yield each match; None for one that cannot be read."""
    try:
        context = context_to_invoke(association.contexts.values(), MODALITY_WORKLIST)
    except NotFound as error:
        raise InvalidRequest(f"{peer.ae_title} has no modality worklist") from error
    syntax = context.transfer_syntax
    invocation = await association.invoke(
        context,
        {
            Element.COMMAND_FIELD: CommandField.C_FIND,
            Element.PRIORITY: 0,
            Element.AFFECTED_SOP_CLASS_UID: MODALITY_WORKLIST,
        },
        encode_dataset(to_dataset(identifier), syntax),
    )
    try:
        async for reply in invocation:
            if not reply.command.is_pending:
                if reply.command.status != Status.SUCCESS:
                    raise Unavailable(
                        f"the worklist of {peer.ae_title} answered {reply.command.status:04X}"
                    )
                return
            if reply.data_set is None:
                yield None
                continue
            try:
                yield read_elements(reply.data_set, syntax)
            except InvalidInstance as error:
                # The other patients' priors are wanted all the same.
                log.warning("worklist_item_unreadable", extra={"error": type(error).__name__})
                yield None
    finally:
        invocation.abandon()


def _identifier(first: date, last: date) -> Elements:
    days = f"{first:%Y%m%d}" if first == last else f"{first:%Y%m%d}-{last:%Y%m%d}"
    step: Elements = {tag: {"vr": vr_of(tag)} for tag in _RETURNED_OF_STEP}
    step[_STEP_DATE] = {"vr": "DA", "Value": [days]}
    asked: Elements = {tag: {"vr": vr_of(tag)} for tag in _RETURNED}
    asked[_STEPS] = {"vr": "SQ", "Value": [step]}
    return asked


def _steps_of(found: Elements) -> list[ScheduledStep]:
    """Return the steps of one match: mostly one, which its sequence has (PS3.4 K.6.1.2.2)."""
    return [
        ScheduledStep(
            text(found, _ISSUER),
            text(found, _PATIENT_ID),
            text(step, _MODALITY).upper(),
            text(found, _REQUESTED) or text(step, _STEP_DESCRIPTION),
            text(found, _STUDY),
        )
        for step in items(found, _STEPS) or [{}]
    ]

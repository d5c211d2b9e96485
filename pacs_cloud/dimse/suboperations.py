"""C-MOVE's and C-GET's responses: counts, final status, what failed (PS3.4 Tables C.4-2, C.4-3)."""

from dataclasses import replace
from typing import Final

from pacs_cloud.dicom.dicomjson import encode_dataset, to_dataset
from pacs_cloud.dicom.status import Status
from pacs_cloud.dimse.command import Element, Value
from pacs_cloud.dimse.refusal import refusal
from pacs_cloud.dimse.service import Response
from pacs_cloud.dimse.tally import Tally
from pacs_cloud.errors import Offline

_FAILED_SOP_INSTANCE_UID_LIST: Final = "00080058"
_LARGEST_US: Final = 0xFFFF
_COMMENT_CHARACTERS: Final = 64


def pending(tally: Tally) -> Response:
    """Return the response that says how far the sub-operations have come."""
    return Response(Status.PENDING, elements=_counts(tally, with_remaining=True))


def final(tally: Tally, transfer_syntax_uid: str, *, cancelled: bool) -> Response:
    """Return the last response, with the UIDs of the instances that failed.

    Args:
        tally: what became of the sub-operations.
        transfer_syntax_uid: of the presentation context.
        cancelled: whether the requester ended them before the last.
    """
    if cancelled and tally.remaining:
        status = Status.CANCELLED
    elif tally.failed and not tally.stored:
        status = Status.CANNOT_PERFORM_SUBOPERATIONS
    elif tally.failed or tally.warnings:
        status = Status.SUBOPERATIONS_COMPLETE_WITH_FAILURES
    else:
        status = Status.SUCCESS
    data_set = None
    if tally.failed:
        uids = [failure.sop_instance_uid for failure in tally.failures]
        identifier = to_dataset({_FAILED_SOP_INSTANCE_UID_LIST: {"vr": "UI", "Value": uids}})
        data_set = encode_dataset(identifier, transfer_syntax_uid)
    elements = _counts(tally, with_remaining=status == Status.CANCELLED)
    return Response(status, data_set, elements)


def offline(error: Offline) -> Response:
    """Return the response that nothing was sent, since it lies in a cold class: A702."""
    response = refusal(error, Status.CANNOT_PERFORM_SUBOPERATIONS)
    return replace(response, elements={Element.ERROR_COMMENT: str(error)[:_COMMENT_CHARACTERS]})


def _counts(tally: Tally, *, with_remaining: bool) -> dict[int, Value]:
    counts = {
        Element.COMPLETED_SUBOPERATIONS: tally.completed,
        Element.FAILED_SUBOPERATIONS: tally.failed,
        Element.WARNING_SUBOPERATIONS: tally.warnings,
    }
    if with_remaining:
        counts[Element.REMAINING_SUBOPERATIONS] = tally.remaining
    # More than the counts can say is still more than any that a peer waits for.
    return {element: min(count, _LARGEST_US) for element, count in counts.items()}

"""The roll of one server's associations: those that are open, and the last that were."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from pacs_cloud.dimse.association import Association
from pacs_cloud.dimse.pdu import (
    APPLICATION_CONTEXT_NOT_SUPPORTED,
    CALLED_AE_TITLE_NOT_RECOGNIZED,
    CALLING_AE_TITLE_NOT_RECOGNIZED,
    LOCAL_LIMIT_EXCEEDED,
    PROTOCOL_VERSION_NOT_SUPPORTED,
    TEMPORARY_CONGESTION,
    USER_IDENTITY_NOT_ACCEPTED,
    Rejection,
)
from pacs_cloud.dimse.state import End, State
from pacs_cloud.ingest.associations import SeenAssociation

_LAST: Final = 50
_REASONS: Final[Mapping[Rejection, str]] = {
    APPLICATION_CONTEXT_NOT_SUPPORTED: "its application context is not DICOM's",
    CALLING_AE_TITLE_NOT_RECOGNIZED: "its AE title is not known here, or not from this address",
    CALLED_AE_TITLE_NOT_RECOGNIZED: "it calls an AE title that is none of ours",
    USER_IDENTITY_NOT_ACCEPTED: "its user is not let in",
    PROTOCOL_VERSION_NOT_SUPPORTED: "its protocol version is not DICOM's",
    TEMPORARY_CONGESTION: "it could not be judged at the moment",
    LOCAL_LIMIT_EXCEEDED: "too many associations are open",
}


class Roll:
    """Who is there, and who was."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        """Tell the time by `now_us`, microseconds since 1970 UTC."""
        self._now_us = now_us
        self._open: dict[Association, int] = {}
        self._last: deque[SeenAssociation] = deque(maxlen=_LAST)

    def enter(self, association: Association) -> None:
        """Call an association from now on, until it is over."""
        self._open[association] = self._now_us()
        association.on_end(self._ended)

    def seen(self) -> list[SeenAssociation]:
        """Return those that have said who they are: open ones first, then the last that were."""
        there = [
            _seen(one, since_us, 0, _state(one))
            for one, since_us in self._open.items()
            if one.has_begun
        ]
        return [*there, *self._last]

    def _ended(self, association: Association, end: End) -> None:
        since_us = self._open.pop(association)
        if association.has_begun:
            how = end.kind.name.lower().replace("_", " ")
            reason = end.detail if end.rejection is None else _REASONS.get(end.rejection, "")
            seen = _seen(association, since_us, self._now_us(), how, reason)
            self._last.appendleft(seen)


def _seen(
    association: Association, since_us: int, ended_us: int, state: str, reason: str = ""
) -> SeenAssociation:
    caller = association.admission.caller
    return SeenAssociation(
        association.request.calling_ae_title,
        association.request.called_ae_title,
        association.peer_address,
        caller.tenant if caller else "",
        since_us,
        ended_us,
        association.instances_in,
        association.bytes_in,
        state,
        reason,
    )


def _state(association: Association) -> str:
    if association.upper.state is State.DECIDING:
        return "asking"
    return "busy" if association.busy else "idle"

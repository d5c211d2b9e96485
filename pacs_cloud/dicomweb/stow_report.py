"""What became of each part of a store request, and the status that says it (PS3.18 10.5.3)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from pacs_cloud.catalogue.judging import InstanceOutcome
from pacs_cloud.dicom.elements import Element, Elements
from pacs_cloud.errors import InvalidInstance, InvalidRequest, Refusal, Unavailable
from pacs_cloud.ingest.reception import Receipt

RETRIEVE_URL: Final = "00081190"
FAILED_SEQUENCE: Final = "00081198"
REFERENCED_SEQUENCE: Final = "00081199"
OTHER_FAILURES_SEQUENCE: Final = "0008119A"
FAILURE_REASON: Final = "00081197"
WARNING_REASON: Final = "00081196"
REFERENCED_CLASS: Final = "00081150"
REFERENCED_INSTANCE: Final = "00081155"

PROCESSING_FAILURE: Final = 0x0110
DUPLICATE_SOP_INSTANCE: Final = 0x0111
CLASS_NOT_SUPPORTED: Final = 0x0122
OUT_OF_RESOURCES: Final = 0xA700
DOES_NOT_MATCH_CLASS: Final = 0xA900
CANNOT_UNDERSTAND: Final = 0xC000
SYNTAX_NOT_SUPPORTED: Final = 0xC122
COERCED: Final = 0xB000

REASON_OF_REFUSAL: Final[Mapping[Refusal, int]] = {
    # PS3.18 Table 10.5.3-2; the codes of PS3.4 Table B.2-1 and PS3.7 Annex C.
    Refusal.UNREADABLE: CANNOT_UNDERSTAND,
    Refusal.MISSING_UID: DOES_NOT_MATCH_CLASS,
    Refusal.BAD_UID: CANNOT_UNDERSTAND,
    Refusal.MISMATCH: DOES_NOT_MATCH_CLASS,
    Refusal.UNSUPPORTED_CLASS: CLASS_NOT_SUPPORTED,
    Refusal.UNSUPPORTED_SYNTAX: SYNTAX_NOT_SUPPORTED,
    Refusal.TOO_LARGE: CANNOT_UNDERSTAND,
    Refusal.WRONG_STUDY: DOES_NOT_MATCH_CLASS,
    Refusal.CONFLICT: DUPLICATE_SOP_INSTANCE,
}

_REFUSED: Final = frozenset({"kept-first", "quarantined"})
"""Outcomes of a commit that keeps what came, out of sight, beside what is there."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An instance that the intake took; its commit says what became of it."""

    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str

    @classmethod
    def of(cls, receipt: Receipt) -> "Stored":
        """Return what a finished reception says."""
        return cls(
            receipt.study_instance_uid,
            receipt.series_instance_uid,
            receipt.sop_class_uid,
            receipt.sop_instance_uid,
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """A part that was not taken; its UIDs as far as they could be read."""

    reason: int
    sop_class_uid: str = ""
    sop_instance_uid: str = ""

    @classmethod
    def of_error(cls, error: InvalidInstance | Unavailable) -> "Failure":
        """Return why a part was refused."""
        if isinstance(error, Unavailable):
            return cls(OUT_OF_RESOURCES)
        return cls(REASON_OF_REFUSAL[error.refusal], error.sop_class_uid, error.sop_instance_uid)

    @classmethod
    def of_media_type(cls) -> "Failure":
        """Return the failure of a part that is not `application/dicom`."""
        return cls(CANNOT_UNDERSTAND)

    @classmethod
    def of_unused(cls) -> "Failure":
        """Return the failure of bulk data that no metadata refers to."""
        return cls(CANNOT_UNDERSTAND)

    @classmethod
    def of_body(cls, error: InvalidRequest | Unavailable) -> "Failure":
        """Return the failure of the rest of a body, which was not read to its end."""
        return cls(OUT_OF_RESOURCES if isinstance(error, Unavailable) else PROCESSING_FAILURE)


class StoreReport:
    """The response's data set and status."""

    def __init__(
        self,
        root: str,
        study_instance_uid: str | None,
        stored: Sequence[Stored],
        failed: Sequence[Failure],
        unreadable: Sequence[Failure],
        outcomes: Sequence[InstanceOutcome],
    ) -> None:
        """Sort the parts.

        Args:
            root: the absolute URL above `/studies`.
            study_instance_uid: of the request's path.
            stored: instances that were taken.
            failed: instances that were refused.
            unreadable: parts of which not even a UID could be read.
            outcomes: what the commit made of those that were taken, in their order.
        """
        self._root = root
        self._study = study_instance_uid
        self._referenced: list[Elements] = []
        self._failed = [
            _failed(one.sop_class_uid, one.sop_instance_uid, one.reason) for one in failed
        ]
        self._other = [{FAILURE_REASON: _us(one.reason)} for one in unreadable]
        self._is_full = any(one.reason == OUT_OF_RESOURCES for one in (*failed, *unreadable))
        self._studies = {one.study_instance_uid for one in stored}
        self._is_kept = False
        self._has_warnings = False
        for one, status in _each_once(stored, outcomes):
            self._sort(one, status)

    @property
    def status(self) -> HTTPStatus:
        """200 all stored, 202 with failures or warnings, 409 none (Table 10.5.3-1).

        503 where none was stored for want of room.
        """
        if not self._failed and not self._other:
            return HTTPStatus.ACCEPTED if self._has_warnings else HTTPStatus.OK
        if self._referenced or self._is_kept:
            return HTTPStatus.ACCEPTED
        return HTTPStatus.SERVICE_UNAVAILABLE if self._is_full else HTTPStatus.CONFLICT

    @property
    def study_url(self) -> str:
        """Where the one study is that holds what was stored, "" if there is not just one."""
        study = self._study or (next(iter(self._studies)) if len(self._studies) == 1 else None)
        is_there = study is not None and bool(self._referenced)
        return f"{self._root}/studies/{study}" if is_there else ""

    def elements(self) -> Elements:
        """Return the response's attributes (Table 10.5.3-3), by ascending tag."""
        elements: Elements = {}
        # Of type 2: empty where nothing was stored, or no one study holds it all.
        elements[RETRIEVE_URL] = _ur(url) if (url := self.study_url) else {"vr": "UR"}
        for tag, items in (
            (FAILED_SEQUENCE, self._failed),
            (REFERENCED_SEQUENCE, self._referenced),
            (OTHER_FAILURES_SEQUENCE, self._other),
        ):
            if items:
                elements[tag] = {"vr": "SQ", "Value": items}
        return elements

    def _sort(self, one: Stored, status: str) -> None:
        if status in _REFUSED:
            # It is kept, out of sight, for an admin to decide: not a success to rely on.
            self._is_kept = True
            self._failed.append(
                _failed(one.sop_class_uid, one.sop_instance_uid, DUPLICATE_SOP_INSTANCE)
            )
            return
        item: Elements = {
            REFERENCED_CLASS: _ui(one.sop_class_uid),
            REFERENCED_INSTANCE: _ui(one.sop_instance_uid),
            RETRIEVE_URL: _ur(
                f"{self._root}/studies/{one.study_instance_uid}"
                f"/series/{one.series_instance_uid}/instances/{one.sop_instance_uid}"
            ),
        }
        if status == "replaced":
            item[WARNING_REASON] = _us(COERCED)
            self._has_warnings = True
        self._referenced.append(dict(sorted(item.items())))


def _each_once(
    stored: Sequence[Stored], outcomes: Sequence[InstanceOutcome]
) -> Iterator[tuple[Stored, str]]:
    """Yield each instance with its outcome; one that came often, once stored and once refused."""
    statuses: dict[tuple[Stored, bool], str] = {}
    for one, outcome in zip(stored, outcomes, strict=True):
        key = (one, outcome.status in _REFUSED)
        if key not in statuses or outcome.status == "replaced":
            statuses[key] = outcome.status
    for (one, _), status in statuses.items():
        yield one, status


def _failed(sop_class_uid: str, sop_instance_uid: str, reason: int) -> Elements:
    item: Elements = {REFERENCED_CLASS: _ui(sop_class_uid), FAILURE_REASON: _us(reason)}
    item[REFERENCED_INSTANCE] = _ui(sop_instance_uid)
    return dict(sorted(item.items()))


def _ui(uid: str) -> Element:
    return {"vr": "UI", "Value": [uid]} if uid else {"vr": "UI"}


def _us(number: int) -> Element:
    return {"vr": "US", "Value": [number]}


def _ur(url: str) -> dict[str, Any]:
    return {"vr": "UR", "Value": [url]}

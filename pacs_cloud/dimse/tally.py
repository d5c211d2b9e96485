"""How far a transfer has come, and what it could not send."""

from dataclasses import dataclass, field

from pacs_cloud.dicom.status import Status


@dataclass(frozen=True, slots=True)
class Failure:
    """An instance that was not stored by the peer.

    Attributes:
        sop_instance_uid: which.
        reason: why, without patient data.
        status: the peer's answer, or None where there was none.
    """

    sop_instance_uid: str
    reason: str
    status: int | None = None


@dataclass(slots=True)
class Tally:
    """Counts of one transfer.

    Attributes:
        total: how many instances there are to send.
        completed: how many the peer has stored.
        warnings: how many it has stored with reservations.
        failures: those it has not.
    """

    total: int
    completed: int = 0
    warnings: int = 0
    failures: list[Failure] = field(default_factory=list[Failure])

    @property
    def failed(self) -> int:
        """How many the peer has not stored."""
        return len(self.failures)

    @property
    def stored(self) -> int:
        """How many the peer has stored, with or without reservations."""
        return self.completed + self.warnings

    @property
    def done(self) -> int:
        """How many have been tried."""
        return self.stored + self.failed

    @property
    def remaining(self) -> int:
        """How many are still to be tried."""
        return self.total - self.done

    def answered(self, sop_instance_uid: str, status: int) -> None:
        """Count the peer's answer to one C-STORE."""
        if status == Status.SUCCESS:
            self.completed += 1
        elif status >> 12 == 0xB or status in _WARNINGS:
            self.warnings += 1
        else:
            self.failures.append(
                Failure(sop_instance_uid, f"refused with status {status:04X}", status)
            )

    def lost(self, sop_instance_uid: str, reason: str) -> None:
        """Count an instance that could not be sent."""
        self.failures.append(Failure(sop_instance_uid, reason))


_WARNINGS = frozenset((Status.ATTRIBUTE_LIST_ERROR, Status.ATTRIBUTE_VALUE_OUT_OF_RANGE))

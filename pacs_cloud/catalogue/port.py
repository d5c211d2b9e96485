"""The catalogue's port: key look-ups, conditional commits, and study searches by anchor."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

from pacs_cloud.catalogue.records import (
    ConflictRecord,
    IndexFrames,
    OutboxEvent,
    PackRecord,
    SeriesRecord,
    StagedPack,
    StudyChange,
    StudyRecord,
    StudyState,
    UidRef,
)


@dataclass(frozen=True, slots=True)
class ByPatient:
    """Studies of one patient ID (exact), of one issuer when `issuer` is not None."""

    patient_id: str
    issuer: str | None = None


@dataclass(frozen=True, slots=True)
class ByAccession:
    """Studies of one accession number (exact)."""

    accession_number: str


class NamePart(StrEnum):
    """Which part of a patient's name a search gives, normalised (`dicom.person_name`)."""

    NAME = "name"
    """The beginning of a whole component group, "SMITH^J"; every group of the name counts."""
    GIVEN = "given"
    """The beginning of any component behind the family name, of any group, "ANNA"."""
    INFIX = "infix"
    """Anywhere in the name, at least three characters."""
    SOUND = "sound"
    """The beginning of how any word of the name sounds, "SMT" (`dicom.name_words`)."""


@dataclass(frozen=True, slots=True)
class ByName:
    """Studies whose patient's name has `text` at the beginning (or inside) of `part`."""

    part: NamePart
    text: str


@dataclass(frozen=True, slots=True)
class ByDate:
    """Studies by Study Date, both ends inclusive "YYYYMMDD", "" open.

    With both ends open: every study, undated ones last. `modality` is a hint an
    adapter may use to read less.
    """

    first: str = ""
    last: str = ""
    modality: str = ""


Anchor: TypeAlias = ByPatient | ByAccession | ByName | ByDate
"""What a study search starts from."""


@dataclass(frozen=True, slots=True)
class StudyPage:
    """Some studies, and how to go on.

    Attributes:
        studies: newest first: by Study Date, Study Time (none last), then UID, descending.
        cursor: where the next page begins; None at the end.
        examined: how many records or index entries were read for it.
    """

    studies: tuple[StudyRecord, ...]
    cursor: str | None
    examined: int


class Catalogue(Protocol):
    """Small records in an ordinary or a DynamoDB-style table.

    Reads by Study Instance UID are strongly consistent. `Unavailable` means the
    table cannot be reached; whatever a write returned from is durable.
    """

    async def stage(self, pack: StagedPack) -> None:
        """Write a pack's index and UID items, invisible until its commit; repeatable.

        An index over the adapter's limit is left to the object store.
        """
        ...

    async def commit(self, change: StudyChange) -> None:
        """Apply `change` atomically, with its search keys.

        Raises:
            Conflict: the study's `rev` is not `change.before`'s; nothing was changed.
        """
        ...

    async def unstage(self, tenant: str, ref: UidRef, sop_instance_uids: Sequence[str]) -> None:
        """Remove the index and UID items of a pack that is not, or no longer, committed.

        `sop_instance_uids` are all of its instances'.
        """
        ...

    async def study(self, tenant: str, study_instance_uid: str) -> StudyState | None:
        """Return a study whole, consistent at one moment; None where there is none."""
        ...

    async def studies_by_uid(
        self, tenant: str, study_instance_uids: Sequence[str]
    ) -> tuple[StudyRecord, ...]:
        """Return those that exist, newest first."""
        ...

    async def series(self, tenant: str, study_instance_uid: str) -> tuple[SeriesRecord, ...]:
        """Return a study's series, by UID."""
        ...

    async def packs(
        self, tenant: str, study_instance_uid: str, series_instance_uid: str | None = None
    ) -> tuple[PackRecord, ...]:
        """Return the committed packs of a study or one series, by series UID and pack id."""
        ...

    async def index(self, tenant: str, ref: UidRef) -> IndexFrames | None:
        """Return a pack's index; None where it was over the limit or never staged."""
        ...

    async def table(self, tenant: str, ref: UidRef) -> bytes | None:
        """Return the table frame alone, as `index`, without paying for the headers."""
        ...

    async def find_uids(
        self, tenant: str, uids: Collection[str]
    ) -> Mapping[str, tuple[UidRef, ...]]:
        """Return where each SOP or Series Instance UID was staged; may hold packs never committed.

        Strongly consistent, and exact: the pack that a reference names holds the UID.
        """
        ...

    async def studies(
        self, tenant: str, anchor: Anchor, *, after: str | None = None, limit: int = 100
    ) -> StudyPage:
        """Return up to `limit` studies that may match `anchor`, newest first.

        A page may hold studies that do not match (callers filter), may be short or
        empty while `cursor` says that there is more, and never misses a match. Studies
        of which nothing is visible are not found.

        Raises:
            InvalidRequest: `after` is no cursor of a page, or a text for `NamePart.INFIX`
                is too short.
        """
        ...

    async def events(self, limit: int = 100) -> list[OutboxEvent]:
        """Return the oldest events that nobody has passed on."""
        ...

    async def forget_events(self, event_ids: Collection[str]) -> None:
        """Remove events that have been passed on."""
        ...

    async def conflicts(self, tenant: str, *, limit: int = 1000) -> list[ConflictRecord]:
        """Return the newest conflicts first: by the newcomer's pack id, then conflict id."""
        ...

    def export(self, tenant: str | None = None) -> AsyncIterator[StudyState]:
        """Yield every study, by tenant and UID: for `rebuild`, `fsck` and comparison."""
        ...

    async def wipe(self, tenant: str | None = None) -> None:
        """Remove everything (of one tenant): only `rebuild` does this."""
        ...

    async def ready(self) -> None:
        """Return when the catalogue answers; raises Unavailable."""
        ...

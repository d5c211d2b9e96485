"""What the catalogue holds: a few small records per study, none per instance."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pacs_cloud.dicom.amendment import Amendment
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.errors import InvalidRequest

COLD_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Where a pack lies that must be recalled before it is read: `objectstore.storage_classes`
says the same, of which this room knows nothing."""


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient as a study names one: issuer (0010,0021) and ID (0010,0020), either may be ""."""

    issuer: str
    patient_id: str


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """One study: an order-free function of its visible instances, and of what amends them.

    Attributes:
        tenant: whose.
        study_instance_uid: which.
        rev: the time of its last commit in microseconds since 1970 UTC, and later than
            the one before (`commit.next_rev`); a commit is conditional on it.
        attributes: patient and study attributes as searches return them.
        ranks: for each attribute, the rank (`aggregate.rank_of`) of the instance
            that gave it: a value beats no value, then the smallest rank wins.
        patients: every patient its instances name; more than one is a conflict.
        modalities: every Modality (0008,0060) in it.
        sop_classes: every SOP Class UID in it.
        series_count: of series with a visible instance.
        instance_count: of visible instances.
        length_bytes: of their Part 10 files.
        first_received_us: of its first visible instance, microseconds since 1970 UTC.
        last_received_us: of its last.
        has_cold_packs: whether a pack of it may lie in one of COLD_CLASSES, so that searches
            look at its packs; that is about objects, and so no part of what makes two
            studies equal.
        amendments: all that stand over it, in order; `attributes` shows what they say, and
            so do the records of its series.
        erased: SOP Instance UIDs of which no byte may be kept: what comes in under one of
            them again is not shown, and is taken out of its pack.
        labels: what was said of it that no instance says: "vip", "teaching". Rules of access
            go by them; they are no DICOM, and leave the archive as none.
    """

    tenant: str
    study_instance_uid: str
    rev: int
    attributes: Elements
    ranks: Mapping[str, str]
    patients: frozenset[Patient]
    modalities: frozenset[str]
    sop_classes: frozenset[str]
    series_count: int
    instance_count: int
    length_bytes: int
    first_received_us: int
    last_received_us: int
    has_cold_packs: bool = field(default=False, compare=False)
    amendments: tuple[Amendment, ...] = ()
    erased: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SeriesRecord:
    """One series: an order-free function of its visible instances; fields as `StudyRecord`."""

    tenant: str
    study_instance_uid: str
    series_instance_uid: str
    attributes: Elements
    ranks: Mapping[str, str]
    modalities: frozenset[str]
    sop_classes: frozenset[str]
    instance_count: int
    length_bytes: int
    first_received_us: int
    last_received_us: int


class HiddenReason(StrEnum):
    """Why an instance in a pack is not shown."""

    DUPLICATE = "duplicate"
    """Another pack shows the same content under the same UID."""
    KEPT_FIRST = "kept-first"
    """Other content under the same UID came first, and the policy keeps that."""
    REPLACED = "replaced"
    """Other content under the same UID came later, and the policy shows that."""
    QUARANTINED = "quarantined"
    """Other content under the same UID came first; an admin decides."""
    VARIANT = "variant"
    """The same instance in another transfer syntax; the first is shown."""
    DELETED = "deleted"
    """Somebody deleted it, and may still take that back."""
    PURGED = "purged"
    """It was deleted, and the time to take that back is over."""
    REJECTED = "rejected"
    """A rejection note names it (IHE RAD IOCM); shown again once no note in force does."""


GONE = frozenset({HiddenReason.DELETED, HiddenReason.PURGED})
"""Why an instance is hidden that was shown and shall not be any more."""
STAYS_HIDDEN = GONE | {HiddenReason.REJECTED}
"""Why an instance is hidden whatever commits say that had not seen it."""


@dataclass(frozen=True, slots=True)
class PackRecord:
    """One committed pack.

    Attributes:
        tenant: whose.
        study_instance_uid: of its instances.
        series_instance_uid: of its instances.
        pack_id: which; the object's key follows from these four names.
        length_bytes: of the object.
        instance_count: of all its instances, hidden ones too.
        hidden: SOP Instance UIDs that are not shown, and why.
        storage_class: where its object lies, "STANDARD" when fresh.
        committed_us: when it became visible first, microseconds since 1970 UTC.
        recalled_until_us: how long the restored copy of its object stays readable, where
            that lies in a cold class; 0 where there was none.
        amendments: of its study's, those that touch its series, in order: whoever reads a
            pack knows of them without another read.
    """

    tenant: str
    study_instance_uid: str
    series_instance_uid: str
    pack_id: str
    length_bytes: int
    instance_count: int
    committed_us: int
    hidden: Mapping[str, HiddenReason] = field(default_factory=dict[str, HiddenReason])
    storage_class: str = "STANDARD"
    recalled_until_us: int = 0
    amendments: tuple[Amendment, ...] = ()


@dataclass(frozen=True, slots=True)
class StudyState:
    """Everything the catalogue holds of one study but its pack indexes, read consistently."""

    study: StudyRecord
    series: tuple[SeriesRecord, ...]
    packs: tuple[PackRecord, ...]


@dataclass(frozen=True, slots=True)
class UidRef:
    """Where a SOP Instance UID or a Series Instance UID was seen (committed or not)."""

    study_instance_uid: str
    series_instance_uid: str
    pack_id: str


@dataclass(frozen=True, slots=True)
class StagedPack:
    """What is written before the commit, and stays invisible until it.

    Attributes:
        tenant: whose.
        study_instance_uid: of its instances.
        series_instance_uid: of its instances.
        pack_id: which.
        table: the index's table frame (`pack.index.split_index`).
        headers: the index's headers frame.
        sop_instance_uids: of its instances.
    """

    tenant: str
    study_instance_uid: str
    series_instance_uid: str
    pack_id: str
    table: bytes
    headers: bytes
    sop_instance_uids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IndexFrames:
    """A staged pack's two frames as the catalogue gives them back."""

    table: bytes
    headers: bytes


class ConflictKind(StrEnum):
    """What disagrees."""

    CONTENT = "content"
    """Two contents under one SOP Instance UID in one series."""
    ELSEWHERE = "elsewhere"
    """One SOP Instance UID in two studies or series."""
    PATIENT = "patient"
    """One Study Instance UID with two patients."""


@dataclass(frozen=True, slots=True)
class ConflictRecord:
    """A disagreement that an admin can see and decide.

    Attributes:
        conflict_id: unique and the same when found again (a digest of what disagrees).
        tenant: whose.
        kind: what disagrees.
        study_instance_uid: of the pack whose commit found it.
        sop_instance_uid: "" for `PATIENT`.
        pack_id: of the newcomer.
        other_study_instance_uid: where the other one is.
        other_pack_id: of the other one; "" for `PATIENT`.
        resolution: what the policy did, a `HiddenReason` or "shown".
        found_us: when, microseconds since 1970 UTC.
    """

    conflict_id: str
    tenant: str
    kind: ConflictKind
    study_instance_uid: str
    sop_instance_uid: str
    pack_id: str
    other_study_instance_uid: str
    other_pack_id: str
    resolution: str
    found_us: int


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """Something that happened, kept in the commit's transaction until a worker has passed it on.

    Attributes:
        event_id: unique; sorts by time (a version 7 UUID).
        kind: e.g. "pack-stored"; becomes the job's kind.
        tenant: whose.
        body: the job's body; UIDs, never patient data.
    """

    event_id: str
    kind: str
    tenant: str
    body: Mapping[str, str]


CHANGED_AT_ONCE = 90
"""How many series, packs and events one change may put: a DynamoDB transaction has 100
actions. What it drops, and its conflicts, are not limited."""


@dataclass(frozen=True, slots=True)
class StudyChange:
    """One atomic change of one study; raises InvalidRequest over `CHANGED_AT_ONCE` puts.

    Attributes:
        tenant: whose.
        study_instance_uid: which.
        before: the study as it was read, None when there was none: the commit is
            conditional on its `rev` (or on there still being none).
        after: the study as it shall be, of a higher `rev`; None removes it.
        put_series: series records that are new or changed.
        drop_series: UIDs of series that are gone.
        put_packs: pack records that are new or changed.
        drop_packs: ids, with their series, of packs that are gone.
        conflicts: found on the way.
        events: for the outbox.
    """

    tenant: str
    study_instance_uid: str
    before: StudyRecord | None
    after: StudyRecord | None
    put_series: tuple[SeriesRecord, ...] = ()
    drop_series: tuple[str, ...] = ()
    put_packs: tuple[PackRecord, ...] = ()
    drop_packs: tuple[UidRef, ...] = ()
    conflicts: tuple[ConflictRecord, ...] = ()
    events: tuple[OutboxEvent, ...] = ()

    def __post_init__(self) -> None:
        puts = len(self.put_series) + len(self.put_packs) + len(self.events)
        if puts > CHANGED_AT_ONCE:
            raise InvalidRequest(f"a change puts {puts} records, {CHANGED_AT_ONCE} at most")

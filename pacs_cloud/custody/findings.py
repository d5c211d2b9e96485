"""What a check can find."""

from dataclasses import dataclass
from enum import StrEnum

from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.objectstore.port import ObjectInfo

REBUILD = "rebuild the catalogue"
"""The repair where the objects are right and the catalogue is not."""


class Severity(StrEnum):
    """How bad it is."""

    NOTE = "note"
    """Nothing is wrong; something could not be checked, or will be noted by itself."""
    WARNING = "warning"
    """Nothing is lost, and something is not as it should be."""
    ERROR = "error"
    """An instance is lost, damaged, or shown wrongly."""


class FindingKind(StrEnum):
    """What was found."""

    ORPHAN = "orphan"
    """A pack object that the catalogue does not know."""
    DANGLING = "dangling"
    """A pack in the catalogue whose object is not there."""
    SIZE = "size"
    """A pack object that is longer or shorter than the catalogue says."""
    DAMAGED = "damaged"
    """A pack object that is not a readable pack."""
    INDEX_MISSING = "index-missing"
    """A pack without its index object."""
    INDEX_ORPHAN = "index-orphan"
    """An index object without its pack."""
    INDEX_DIFFERS = "index-differs"
    """An index object, or the catalogue's copy, that differs from the pack's own index."""
    MISPLACED = "misplaced"
    """A pack whose index names another tenant, study, series or pack than its key."""
    COUNT = "count"
    """A pack record that disagrees with the pack's table."""
    OUTSIDE = "outside"
    """A table that names instances where the pack has none."""
    AGGREGATE = "aggregate"
    """A study or series record that its visible instances do not give."""
    DOUBLE = "double"
    """One SOP Instance UID visible twice in a series."""
    UNKNOWN_KEY = "unknown-key"
    """An object whose key is none of this archive's."""
    LEDGER = "ledger"
    """A decision that cannot be read."""
    CHECKSUM = "checksum"
    """A member whose bytes do not have the CRC-32 of its ZIP entry."""
    DIGEST = "digest"
    """A data set whose bytes do not have the digest of the pack's table."""
    UNFINDABLE = "unfindable"
    """An instance that the catalogue cannot find by its UID."""
    UNSTAGED = "unstaged"
    """A pack whose index the catalogue lacks, so that each read of it asks the store."""
    STAGED = "staged"
    """What the catalogue keeps of a pack that it does not show, and that is nowhere."""
    STORAGE_CLASS = "storage-class"
    """A pack that lies in another storage class than the catalogue says."""
    DENIED = "denied"
    """An object that the store does not let us read."""
    LOCK = "lock"
    """An object that the store does not lock as the holds of its study want it."""
    COLD = "cold"
    """A pack in a cold tier: its bytes were not checked."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        kind: what.
        severity: how bad.
        detail: in words, without patient data.
        repair: what would mend it.
        tenant: whose; "" where it cannot be told.
        key: the object it is about; "" when it is about the catalogue alone.
        study_instance_uid: which study; "" where none.
        series_instance_uid: which series; "" where none or several.
        pack_id: which pack; "" where none or several.
    """

    kind: FindingKind
    severity: Severity
    detail: str
    repair: str
    tenant: str = ""
    key: str = ""
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    pack_id: str = ""

    @property
    def is_fault(self) -> bool:
        """Whether something is wrong, rather than merely unchecked."""
        return self.severity is not Severity.NOTE


def about_pack(
    key: PackKey,
    kind: FindingKind,
    severity: Severity,
    detail: str,
    repair: str,
    *,
    object_key: str = "",
) -> Finding:
    """Return a finding about the pack of `key`."""
    return Finding(
        kind,
        severity,
        detail,
        repair,
        tenant=key.tenant,
        key=object_key,
        study_instance_uid=key.study_instance_uid,
        series_instance_uid=key.series_instance_uid,
        pack_id=key.pack_id,
    )


def unknown_key(info: ObjectInfo) -> Finding:
    """Return the finding that `info` is none of this archive's objects."""
    return Finding(
        FindingKind.UNKNOWN_KEY,
        Severity.WARNING,
        "an object whose key is none of this archive's",
        "find out who wrote it; this archive never reads it",
        key=info.key,
    )

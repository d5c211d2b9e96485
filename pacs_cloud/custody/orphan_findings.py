"""Why an orphan is left where it is."""

from pacs_cloud.custody.findings import Finding, FindingKind, Severity, about_pack
from pacs_cloud.custody.pack_check import RESTORE
from pacs_cloud.errors import Denied, PacsError
from pacs_cloud.objectstore.keys import PackKey


def waiting(key: PackKey) -> Finding:
    """Return the finding that its study's record has to hear of erasures first."""
    return about_pack(
        key,
        FindingKind.ORPHAN,
        Severity.WARNING,
        "a pack waits until its study's record knows what was erased",
        "start the archive: its worker sees to that, and adopts the pack then",
        object_key=key.pack,
    )


def unusable(key: PackKey, error: PacsError) -> Finding:
    """Return the finding that a pack can be neither adopted nor removed."""
    if isinstance(error, Denied):
        detail, repair = "the store refuses", "see what the store locks, and what it lets us do"
    else:
        detail, repair = "a pack that it meets cannot be read", RESTORE
    return about_pack(
        key,
        FindingKind.ORPHAN,
        Severity.ERROR,
        f"a pack can be neither adopted nor removed: {detail}: {error}",
        repair,
        object_key=key.pack,
    )


def undecidable(key: PackKey, error: PacsError) -> Finding:
    """Return the finding that nothing tells whether it may be shown."""
    return about_pack(
        key,
        FindingKind.LEDGER,
        Severity.ERROR,
        f"what was decided or said of its study cannot be read: {error}",
        RESTORE,
        object_key=key.pack,
    )

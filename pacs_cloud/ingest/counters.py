"""What an intake has done since its process started."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Plain numbers, for the ops pages.

    Attributes:
        received: instances admitted and durable, duplicates within a pack included.
        received_bytes: of their Part 10 files.
        refused: instances that could not be admitted.
        unavailable: instances turned away for want of disk, or after a failed sync.
        repeated: instances that a pack still open held already.
        packs_closed: packs whose spool file is complete.
        packs_committed: packs visible in the catalogue.
        packs_dropped: packs of which every instance was stored before.
        packs_quarantined: packs, or instances from a torn one, put aside for an admin.
        packs_recovered: packs found in a spool after a crash.
        instances_stored: committed and shown.
        duplicates: instances stored before with the same content.
        conflicts: instances stored before with other content, or elsewhere.
        retries: commits that were tried again.
        failed_syncs: packs abandoned because a sync failed.
        backlog_packs: closed and not yet committed, now.
        backlog_bytes: of those.
    """

    received: int = 0
    received_bytes: int = 0
    refused: int = 0
    unavailable: int = 0
    repeated: int = 0
    packs_closed: int = 0
    packs_committed: int = 0
    packs_dropped: int = 0
    packs_quarantined: int = 0
    packs_recovered: int = 0
    instances_stored: int = 0
    duplicates: int = 0
    conflicts: int = 0
    retries: int = 0
    failed_syncs: int = 0
    backlog_packs: int = 0
    backlog_bytes: int = 0

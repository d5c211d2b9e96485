"""What the catalogue hides of a pack, against what the ledger says."""

from collections.abc import Mapping

from pacs_cloud.catalogue.records import GONE, HiddenReason, PackRecord
from pacs_cloud.custody.findings import REBUILD, Finding, FindingKind, Severity, about_pack
from pacs_cloud.objectstore.keys import PackKey

TEND = (
    "start the archive, and do not rebuild before: within the hour its worker ends the purge"
    " or takes it back"
)
OF_THE_TRASH = "rebuild the catalogue: that brings it back into the trash, and nothing else does"


def against_ledger(
    key: PackKey,
    record: PackRecord,
    decided: Mapping[str, Mapping[str, HiddenReason]],
    settled: Mapping[str, Mapping[str, HiddenReason]],
) -> list[Finding]:
    """Return how what the catalogue hides of a pack differs from the ledger.

    Args:
        key: of the pack.
        record: of the pack.
        decided: what the ledger says, up to the study's last commit.
        settled: with what came later and should be committed by now.
    """
    # A rebuild would hide it for good, and the sweep for orphans remove it.
    if any(
        why is HiddenReason.PURGED and record.hidden.get(uid) not in GONE
        for uid, why in settled.get(key.pack_id, {}).items()
    ):
        detail, repair = (
            "the ledger has a purge of instances that the catalogue does not have in the trash",
            TEND,
        )
    elif dict(record.hidden) != dict(decided.get(key.pack_id, {})):
        detail, repair = (
            "what the catalogue hides of the pack is not what the ledger decided",
            REBUILD,
        )
    else:
        return []
    return [about_pack(key, FindingKind.LEDGER, Severity.WARNING, detail, repair)]

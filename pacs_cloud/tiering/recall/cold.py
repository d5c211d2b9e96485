"""Which packs have to be recalled before they are read, as far as their records say."""

from collections.abc import Collection

from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.objectstore.storage_classes import is_at_hand


def can_be_read(pack: PackRecord, now_us: int) -> bool:
    """Tell whether a pack can be read now."""
    return is_at_hand(pack.storage_class, pack.recalled_until_us, now_us)


def cold_packs(packs: Collection[PackRecord], now_us: int) -> list[PackRecord]:
    """Return those that must be recalled, and of which something is shown."""
    return [
        pack
        for pack in packs
        if len(pack.hidden) < pack.instance_count and not can_be_read(pack, now_us)
    ]

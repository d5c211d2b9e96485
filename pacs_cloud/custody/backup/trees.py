"""Which objects a backup takes, and how each kind is put back."""

from dataclasses import dataclass
from typing import Final

from pacs_cloud.custody.walk import (
    ACCESS,
    AUDIT,
    CORRECTING,
    CORRECTIONS,
    DEID,
    DEVICES,
    ERASURES,
    FIXITY,
    GLASS,
    HOLDS,
    INDEX,
    KEYS,
    LABELS,
    LEDGER,
    PINS,
    REJECTIONS,
    SHARES,
    TRASH,
    USERS,
)


@dataclass(frozen=True, slots=True)
class Tree:
    """One kind of objects.

    Attributes:
        prefix: what their keys begin with.
        comes_and_goes: whether such objects are removed when they have served. One that is
            missing may then be over, so that a tenant's are put back all, or none: where the
            store has some that the backup has not, it knows better.
    """

    prefix: str
    comes_and_goes: bool = False


TREES: Final = (
    Tree(LEDGER),
    Tree(HOLDS),
    Tree(CORRECTIONS),
    Tree(ERASURES),
    Tree(REJECTIONS),
    Tree(TRASH, comes_and_goes=True),
    Tree(CORRECTING, comes_and_goes=True),
    Tree(PINS),
    Tree(FIXITY, comes_and_goes=True),
    Tree(ACCESS, comes_and_goes=True),
    Tree(DEVICES),
    Tree(DEID),
    Tree(AUDIT),
    Tree(USERS),
    Tree(KEYS),
    Tree(SHARES),
    Tree(LABELS),
    Tree(GLASS),
)
"""All that is no pack, and cannot be made again from packs: not recalls and turns, nor tries and
ends of sessions, which are of the moment, and no thumbnails."""

INDEXES: Final = Tree(INDEX)
"""What can be made again from packs, at a read of each."""

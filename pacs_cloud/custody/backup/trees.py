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
        is_numbered: whether what changes is a further object, behind which the one before goes
            (`objectstore/numbered`): one that goes while it is read has another in its place.
    """

    prefix: str
    comes_and_goes: bool = False
    is_numbered: bool = False


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
    Tree(DEVICES, is_numbered=True),
    Tree(DEID),
    Tree(AUDIT),
    Tree(USERS, is_numbered=True),
    Tree(KEYS, is_numbered=True),
    Tree(SHARES, is_numbered=True),
    Tree(LABELS),
    Tree(GLASS, is_numbered=True),
)
"""All that is no pack, and cannot be made again from packs: not recalls, turns, checks and
sendings, nor tries and ends of sessions, which are of the moment, and no thumbnails."""

INDEXES: Final = Tree(INDEX)
"""What can be made again from packs, at a read of each."""

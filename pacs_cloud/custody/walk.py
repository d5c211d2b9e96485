"""All objects of an archive, study by study, in one pass over sorted listings."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from pacs_cloud.objectstore.keys import PackKey, parse_pack_key, spread_of, study_path
from pacs_cloud.objectstore.port import ObjectInfo, ObjectStore
from pacs_cloud.objectstore.turns import TURNS

PACKS, INDEX, LEDGER, THUMBS, TRASH = "packs/", "index/", "ledger/", "thumbs/", "trash/"
RECALLS, FIXITY, HOLDS, ACCESS = "recalls/", "fixity/", "holds/", "access/"
REJECTIONS, PINS, ERASURES = "rejections/", "pins/", "erasures/"
CORRECTIONS, CORRECTING = "corrections/", "correcting/"
DEVICES = "devices/"
DEID = "deid/"
AUDIT = "audit/"
USERS, KEYS, TRIES, SESSIONS = "users/", "keys/", "tries/", "sessions/"
SHARES = "shares/"
LABELS = "labels/"
GLASS = "glass/"
CHECKS = "checks/"
SENDS = "sends/"
KNOWN = (
    *(PACKS, INDEX, LEDGER, THUMBS, TRASH, RECALLS, FIXITY),
    *(HOLDS, ACCESS, REJECTIONS, PINS, ERASURES, CORRECTIONS, CORRECTING, TURNS),
    DEVICES,
    DEID,
    AUDIT,
    *(USERS, KEYS, TRIES, SESSIONS),
    SHARES,
    LABELS,
    GLASS,
    CHECKS,
    SENDS,
)
"""What the keys of this archive begin with."""

_OF_STUDIES = (PACKS, INDEX, LEDGER, ERASURES, LABELS)
_BEHIND_ALL = "~"
"""Sorts behind every character of a key."""


@dataclass(slots=True)
class StudyObjects:
    """The objects of one study.

    Attributes:
        tenant: whose.
        study_instance_uid: which study.
        packs: its pack objects.
        indexes: its index objects.
        ledger: its decisions' objects, in key order.
        erasures: what was entered about its erasures, likewise.
        labels: what was entered about its labels, likewise.
        strange: objects below its prefixes that are none of these.
    """

    tenant: str
    study_instance_uid: str
    packs: dict[PackKey, ObjectInfo] = field(default_factory=dict[PackKey, ObjectInfo])
    indexes: dict[PackKey, ObjectInfo] = field(default_factory=dict[PackKey, ObjectInfo])
    ledger: list[ObjectInfo] = field(default_factory=list[ObjectInfo])
    erasures: list[ObjectInfo] = field(default_factory=list[ObjectInfo])
    labels: list[ObjectInfo] = field(default_factory=list[ObjectInfo])
    strange: list[ObjectInfo] = field(default_factory=list[ObjectInfo])


async def walk_studies(
    objects: ObjectStore, tenant: str | None = None
) -> AsyncIterator[StudyObjects | ObjectInfo]:
    """Yield each study's objects, and every object of the five trees that is of no study.

    Packs, indexes, decisions, erasures and labels lie in five trees of one shape,
    `{tenant}/{ss}/{study}/…`, so that five listings side by side are enough: one
    study is in memory at a time.
    """
    below = f"{tenant}/" if tenant is not None else ""
    trees = [_Tree(objects, tree, below) for tree in _OF_STUDIES]
    for tree in trees:
        await tree.advance()
    while heads := [tree.place for tree in trees if tree.head is not None]:
        place = min(heads)
        study = _study_of(place)
        for tree in trees:
            while tree.head is not None and tree.place == place:
                if study is None:
                    yield tree.head
                else:
                    _add(study, tree.name, tree.head)
                await tree.advance()
        if study is not None:
            yield study


async def objects_of_study(
    objects: ObjectStore, tenant: str, study_instance_uid: str
) -> StudyObjects:
    """Return one study's objects as they are now."""
    study = StudyObjects(tenant, study_instance_uid)
    below = study_path(tenant, study_instance_uid)
    for tree in _OF_STUDIES:
        async for info in objects.list(tree + below):
            _add(study, tree, info)
    return study


async def walk_unknown(objects: ObjectStore) -> AsyncIterator[ObjectInfo]:
    """Yield the objects outside all of `KNOWN`, without listing those within."""
    after = ""
    while True:
        async for info in objects.list("", after=after):
            known = next((tree for tree in KNOWN if info.key.startswith(tree)), None)
            if known is not None:
                after = known + _BEHIND_ALL
                break
            yield info
        else:
            return


class _Tree:
    """One listing, and the object it has come to."""

    def __init__(self, objects: ObjectStore, name: str, below: str) -> None:
        self.name = name
        self.head: ObjectInfo | None = None
        self.place = ""
        self._listing = objects.list(name + below)

    async def advance(self) -> None:
        self.head = await anext(self._listing, None)
        if self.head is not None:
            self.place = _place(self.head.key.removeprefix(self.name))


def _place(path: str) -> str:
    """Return the `{tenant}/{ss}/{study}/` of a path; the path itself where it has none.

    With its last slash, places sort as the keys below them do.
    """
    parts = path.split("/", 3)
    return path[: len(path) - len(parts[3])] if len(parts) == 4 else path


def _study_of(place: str) -> StudyObjects | None:
    parts = place.split("/")
    if len(parts) != 4 or parts[3] or parts[1] != spread_of(parts[2]):
        return None
    return StudyObjects(parts[0], parts[2])


def _add(study: StudyObjects, tree: str, info: ObjectInfo) -> None:
    entered = {LEDGER: study.ledger, ERASURES: study.erasures, LABELS: study.labels}
    if tree in entered:
        entered[tree].append(info)
        return
    key = parse_pack_key(info.key)
    if key is None:
        study.strange.append(info)
    else:
        (study.packs if tree == PACKS else study.indexes)[key] = info

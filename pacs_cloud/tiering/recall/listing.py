"""What is being recalled, study by study, and how far it has come."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.errors import Corrupt, NotFound
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.objectstore.storage_classes import needs_recall
from pacs_cloud.tiering.recall.cold import cold_packs
from pacs_cloud.tiering.recall.marks import Recall, RecallMark, get_recall, key_of, recall_marks


class RecallState(StrEnum):
    """How a study can be read."""

    ONLINE = "online"
    """All of it, at once."""
    RESTORING = "restoring"
    """What is cold of it is on its way."""
    OFFLINE = "offline"
    """Some of it is cold, and nobody has asked for that."""


@dataclass(frozen=True, slots=True)
class StudyRecall:
    """How far a study's recall has come.

    Attributes:
        tenant: whose.
        study_instance_uid: which.
        state: of all of it.
        packs: how many of its packs are in a cold class, and shown.
        arrived: how many of them can be read.
        since_us: when the first of the others was asked for; 0: none was.
        expected_us: when the last of them should arrive; likewise.
        until_us: how long all that has arrived stays, at least; 0: nothing has.
        causes: why its recalls were started, each once.
        speeds: how fast what has not arrived was asked for, each once.
    """

    tenant: str
    study_instance_uid: str
    state: RecallState
    packs: int
    arrived: int
    since_us: int = 0
    expected_us: int = 0
    until_us: int = 0
    causes: tuple[str, ...] = ()
    speeds: tuple[str, ...] = ()


async def list_recalls(
    objects: ObjectStore, catalogue: Catalogue, tenant: str, now_us: int
) -> AsyncIterator[StudyRecall]:
    """Yield the studies that are being recalled, or whose readable copies are still there.

    A mark that cannot be read is passed over, as if nobody had asked.

    Raises:
        Unavailable: a store cannot be reached.
    """
    async for marks in recall_marks(objects, tenant):
        yield await _of_study(objects, catalogue, marks[0].study, marks, now_us)


async def recall_of(
    objects: ObjectStore,
    catalogue: Catalogue,
    tenant: str,
    study_instance_uid: str,
    now_us: int,
    *,
    series: frozenset[str] | None = None,
) -> StudyRecall:
    """Return how far the recall of one study has come, asked for or not; raises as `list_recalls`.

    With `series` as if it had no others.

    Raises:
        NotFound: there is no such study.
    """
    study = recall_marks(objects, tenant, study_instance_uid)
    marks = [mark async for some in study for mark in some]
    names = tenant, study_instance_uid
    found = await _of_study(objects, catalogue, names, marks, now_us, series)
    if not found.packs and await catalogue.study(tenant, study_instance_uid) is None:
        raise NotFound("There is no such study.")
    return found


async def _of_study(
    objects: ObjectStore,
    catalogue: Catalogue,
    study: tuple[str, str],
    marks: Sequence[RecallMark],
    now_us: int,
    series: frozenset[str] | None = None,
) -> StudyRecall:
    shown = [
        pack
        for pack in await catalogue.packs(*study)
        if needs_recall(pack.storage_class)
        and len(pack.hidden) < pack.instance_count
        and (series is None or pack.series_instance_uid in series)
    ]
    by_key = {key_of(pack): pack for pack in shown}
    cold = {key_of(pack) for pack in cold_packs(shown, now_us)}
    since: list[int] = []
    expected: list[int] = []
    causes: set[str] = set()
    speeds: set[str] = set()
    for mark in marks:
        pack = by_key.get(mark.pack)
        if pack is None:
            continue
        try:
            recall = await get_recall(objects, mark)
        except (NotFound, Corrupt):
            continue  # it is over since, or whoever comes next drops it and asks anew
        causes.add(str(recall.cause))
        if mark.pack not in cold or pack.recalled_until_us != mark.after_us:
            continue
        since.append(recall.asked_us)
        expected.append(recall.expected_us)
        speeds.add(_speed(recall))
    return StudyRecall(
        *study,
        _state(len(cold), len(since)),
        len(shown),
        len(shown) - len(cold),
        min(since, default=0),
        max(expected, default=0),
        _until_us(shown, now_us),
        tuple(sorted(causes)),
        tuple(sorted(speeds)),
    )


def _speed(recall: Recall) -> str:
    wanted = f" instead of {recall.instead_of}" if recall.instead_of else ""
    return f"{recall.speed}{wanted}"


def _state(cold: int, asked: int) -> RecallState:
    if not cold:
        return RecallState.ONLINE
    return RecallState.RESTORING if asked == cold else RecallState.OFFLINE


def _until_us(shown: Sequence[PackRecord], now_us: int) -> int:
    arrived = [pack.recalled_until_us for pack in shown if pack.recalled_until_us > now_us]
    return min(arrived, default=0)

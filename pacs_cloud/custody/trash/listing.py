"""What lies in the trash."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from pacs_cloud.catalogue.decisions import deleted_since
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import HiddenReason, PackRecord
from pacs_cloud.custody.in_order import in_order
from pacs_cloud.custody.ledger import decisions_of
from pacs_cloud.custody.trash.marks import Action, Mark, Scope, marks
from pacs_cloud.objectstore.port import ObjectStore

_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class Deleted:
    """One deletion that can be taken back.

    Attributes:
        scope: what was deleted.
        deleted_us: when, microseconds since 1970 UTC.
        instances: how many of it are in the trash still.
    """

    scope: Scope
    deleted_us: int
    instances: int


async def list_trash(
    objects: ObjectStore, catalogue: Catalogue, tenant: str, *, newest_first: bool = False
) -> AsyncGenerator[Deleted]:
    """Yield the deletions that can be taken back, by the study that was touched first.

    A deletion of which everything was restored or purged is passed over. With `newest_first`
    the study comes first that was touched last. Few studies are looked at ahead.

    Raises:
        Corrupt: a decision cannot be read.
        Unavailable: a store cannot be reached.
    """
    by_study: dict[str, list[Mark]] = {}
    async for mark in marks(objects, tenant):
        if mark.action is Action.DELETE:
            by_study.setdefault(mark.scope.study_instance_uid, []).append(mark)
    order = [*by_study]
    if newest_first:
        order.sort(key=lambda study: -by_study[study][-1].marked_us)

    async def studies() -> AsyncIterator[str]:
        for study in order:
            yield study

    async def look(study: str) -> list[Deleted]:
        some = by_study[study]
        packs = await catalogue.packs(tenant, study)
        since = deleted_since(await decisions_of(objects, tenant, study))
        counts = dict.fromkeys(reversed(some) if newest_first else some, 0)
        for pack in packs:
            for mark in _of_pack(pack, some, since.get(pack.pack_id, {})):
                counts[mark] += 1
        return [Deleted(one.scope, one.marked_us, count) for one, count in counts.items() if count]

    async with aclosing(in_order(look, studies(), _AT_ONCE)) as looked:
        async for found in looked:
            for one in found:
                yield one


def _of_pack(pack: PackRecord, some: list[Mark], since: Mapping[str, int]) -> list[Mark]:
    """Return, for each instance of `pack` in the trash, the mark of its deletion.

    That is the last one which it is of and which is no later than its deletion: a
    mark has the time of the deletion's first decision.
    """
    found: list[Mark] = []
    for uid, why in pack.hidden.items():
        if why is not HiddenReason.DELETED:
            continue
        mark = next(
            (
                mark
                for mark in reversed(some)
                if mark.marked_us <= since.get(uid, 0)
                and mark.scope.has_pack(pack)
                and mark.scope.has(uid)
            ),
            None,
        )
        if mark is not None:
            found.append(mark)
    return found

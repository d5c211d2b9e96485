"""Marks: small objects that say which deletions still have to be looked after.

The ledger holds what was decided, for ever, study by study. A mark lies beside it
under `trash/{tenant}/`, in the order of time, until what it stands for is purged or
restored: so the trash is listed, and what is due is found, without a look at every
study. It is written before the ledger; one without a decision does no harm. A release
that does not know an action passes its marks over.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum

import orjson

from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.objectstore.keys import parse_trash_key, trash_key, trash_prefix
from pacs_cloud.objectstore.port import ObjectStore


@dataclass(frozen=True, slots=True)
class Scope:
    """What is deleted or restored: a study, one of its series, or one instance.

    Attributes:
        tenant: whose.
        study_instance_uid: which study.
        series_instance_uid: which series; "" for all of the study.
        sop_instance_uid: which instance; "" for all of the series.
    """

    tenant: str
    study_instance_uid: str
    series_instance_uid: str = ""
    sop_instance_uid: str = ""

    @property
    def uids(self) -> tuple[str, ...]:
        """Its UIDs, from the study's down."""
        every = self.study_instance_uid, self.series_instance_uid, self.sop_instance_uid
        return tuple(uid for uid in every if uid)

    @property
    def level(self) -> str:
        """What it is: "study", "series" or "instance"."""
        return ("study", "series", "instance")[len(self.uids) - 1]

    def has_pack(self, pack: PackRecord) -> bool:
        """Return whether `pack` may hold something of it."""
        return self.series_instance_uid in {"", pack.series_instance_uid}

    def has(self, sop_instance_uid: str) -> bool:
        """Return whether an instance of one of its packs is of it."""
        return self.sop_instance_uid in {"", sop_instance_uid}


class Action(StrEnum):
    """What was done."""

    DELETE = "delete"
    RESTORE = "restore"
    TEND = "tend"
    """A purge was begun, or the study could not be read: it has to be looked at again."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One deletion that is not over, or something that was not seen to end.

    Attributes:
        scope: of what.
        action: what was done.
        marked_us: when, microseconds since 1970 UTC: the time of its first decision.
    """

    scope: Scope
    action: Action
    marked_us: int

    @property
    def key(self) -> str:
        """Where it lies."""
        return trash_key(self.scope.tenant, self.marked_us, self.action, self.scope.uids)


async def put_mark(objects: ObjectStore, mark: Mark) -> None:
    """Write `mark`; its key says all of it, and its content the same again."""
    fields = {
        "version": 1,
        "action": mark.action,
        "marked_us": mark.marked_us,
        "tenant": mark.scope.tenant,
        "study": mark.scope.study_instance_uid,
        "series": mark.scope.series_instance_uid,
        "instance": mark.scope.sop_instance_uid,
    }
    await objects.put_new(mark.key, orjson.dumps(fields))


async def marks(objects: ObjectStore, tenant: str | None = None) -> AsyncIterator[Mark]:
    """Yield the marks of a tenant (None: of each in turn), oldest first."""
    async for info in objects.list(trash_prefix(tenant)):
        named = parse_trash_key(info.key)
        if named is not None and named[2] in set(Action):
            owner, marked_us, action, uids = named
            yield Mark(Scope(owner, *uids), Action(action), marked_us)


async def remove_mark(objects: ObjectStore, mark: Mark) -> None:
    """Remove `mark`: what it stood for is over."""
    await objects.delete(mark.key)

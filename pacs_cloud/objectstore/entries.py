"""Entries: what was said of a study, an object each, written once and never removed.

Their keys are `{tree}{tenant}/{ss}/{study}/{time}-{what}.json`, the time in sixteen hex
digits: a listing has a study's in the order in which they were entered.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

import orjson

from pacs_cloud.errors import Conflict, Corrupt
from pacs_cloud.objectstore.keys import study_path
from pacs_cloud.objectstore.naming import naming
from pacs_cloud.objectstore.port import ObjectStore

VERSION: Final = 1
"""What every kind of entries says of its form, beside what it says."""
_PARTS: Final = 5


class Entry(Protocol):
    """One thing that was said."""

    @property
    def key(self) -> str:
        """Where it lies."""
        ...


E = TypeVar("E", bound=Entry)


@dataclass(frozen=True, slots=True)
class Entries(Generic[E]):
    """One kind of them.

    Attributes:
        tree: what their keys begin with.
        noun: what one is called: "a hold".
        encode: returns an entry's bytes, JSON with `version`.
        entry_of: returns the entry that has these fields; raises ValueError, TypeError,
            KeyError or AttributeError where it cannot.
    """

    tree: str
    noun: str
    encode: Callable[[E], bytes]
    entry_of: Callable[[dict[str, Any]], E]

    def prefix(self, tenant: str | None = None, study_instance_uid: str = "") -> str:
        """Return what the keys of a study's entries begin with; of a tenant's, or of all."""
        if tenant is None:
            return self.tree
        below = study_path(tenant, study_instance_uid) if study_instance_uid else f"{tenant}/"
        return self.tree + below

    def key(self, tenant: str, study_instance_uid: str, entered_us: int, what: str) -> str:
        """Return where an entry of that moment lies, microseconds since 1970 UTC."""
        return f"{self.prefix(tenant, study_instance_uid)}{entered_us:016x}-{what}.json"

    async def keys(self, objects: ObjectStore, tenant: str, study_instance_uid: str) -> list[str]:
        """Return the keys of a study's entries, oldest first."""
        prefix = self.prefix(tenant, study_instance_uid)
        return [info.key async for info in objects.list(prefix)]

    async def by_study(
        self, objects: ObjectStore, tenant: str | None
    ) -> AsyncIterator[tuple[tuple[str, str], list[str]]]:
        """Yield tenant and UID of each study that has any, of a tenant or of all, and its keys."""
        names, keys = ("", ""), list[str]()
        async for info in objects.list(self.prefix(tenant)):
            parts = info.key.split("/")
            if len(parts) != _PARTS:
                continue  # of no study
            if keys and names != (parts[1], parts[3]):
                yield names, keys
                keys = []
            names = parts[1], parts[3]
            keys.append(info.key)
        if keys:
            yield names, keys

    async def read(self, objects: ObjectStore, key: str) -> E:
        """Return the entry under a key.

        Raises:
            Corrupt: it cannot be read: nobody may take that for none. Names it.
        """
        data = await objects.get(key)
        with naming(key):
            entry = self.decode(data)
            if entry.key != key:
                raise Corrupt(f"{self.noun} says something else than its key")
        return entry

    def decode(self, data: bytes) -> E:
        """Return the entry in an object; raises Corrupt."""
        try:
            fields = orjson.loads(data)
            if fields["version"] != VERSION:
                raise Corrupt(f"{self.noun} is of a version that is not known here")
            return self.entry_of(fields)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Corrupt(f"{self.noun} cannot be read") from error

    async def enter(
        self,
        objects: ObjectStore,
        tenant: str,
        study_instance_uid: str,
        entry_at: Callable[[int], E],
        *,
        now_us: int,
    ) -> E:
        """Write an entry behind all that a study has, at `now_us` or as soon as can be.

        Behind what is there also where another machine's clock has written it.

        Args:
            objects: the store.
            tenant: whose.
            study_instance_uid: which study.
            entry_at: returns the entry as of a moment, microseconds since 1970 UTC.
            now_us: microseconds since 1970 UTC.

        Raises:
            Corrupt: the last key tells no time.
        """
        while True:
            keys = await self.keys(objects, tenant, study_instance_uid)
            entry = entry_at(max(now_us, _time_in(keys[-1]) + 1 if keys else 0))
            try:
                await objects.put_new(entry.key, self.encode(entry))
            except Conflict:
                continue  # somebody else's, of the same moment
            return entry


def _time_in(key: str) -> int:
    try:
        return int(key.rpartition("/")[2].partition("-")[0], 16)
    except ValueError as error:
        raise Corrupt(f"{key} is none of a study's entries") from error

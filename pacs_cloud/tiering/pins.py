"""Pins: studies that stay as warm as they are, whatever a policy says.

Each pinning and unpinning is an object at
`pins/{tenant}/{ss}/{study}/{time}-{set|released}.json`, written once and never removed;
the latest stands. The catalogue knows nothing of them, so a rebuild takes none away.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass, replace
from typing import Final

import orjson
from pydantic import TypeAdapter, ValidationError

from pacs_cloud.errors import Conflict, Corrupt
from pacs_cloud.objectstore.hot_keys import pins_prefix
from pacs_cloud.objectstore.port import ObjectStore


@dataclass(frozen=True, slots=True)
class Pin:
    """One change of a study's pin.

    Attributes:
        tenant: whose.
        study_instance_uid: which study.
        is_set: whether it was pinned, rather than unpinned.
        until_us: when the pin ends by itself, microseconds since 1970 UTC; 0 never.
        brings_back: whether the study is brought back to STANDARD, too.
        reason: why, in the words of whoever did it.
        who: who did it.
        entered_us: when; later than all before it.
    """

    tenant: str
    study_instance_uid: str
    is_set: bool
    until_us: int = 0
    brings_back: bool = False
    reason: str = ""
    who: str = ""
    entered_us: int = 0

    def holds_at(self, now_us: int) -> bool:
        """Return whether the study is pinned, if this is its latest entry."""
        return self.is_set and (not self.until_us or now_us < self.until_us)

    @property
    def key(self) -> str:
        """Where it lies."""
        what = "set" if self.is_set else "released"
        below = pins_prefix(self.tenant, self.study_instance_uid)
        return f"{below}{self.entered_us:016x}-{what}.json"


_VERSION: Final = 1
_ENTRY: Final = TypeAdapter(Pin)


async def pin_of(
    objects: ObjectStore, tenant: str, study_instance_uid: str, *, now_us: int
) -> Pin | None:
    """Return the pin that a study has now, None where it has none; raises Corrupt."""
    last = await _last_key(objects, tenant, study_instance_uid)
    pin = await _read(objects, last) if last else None
    return pin if pin is not None and pin.holds_at(now_us) else None


async def pins(
    objects: ObjectStore,
    tenant: str,
    *,
    now_us: int,
    damaged: Callable[[Corrupt], None] | None = None,
) -> AsyncIterator[Pin]:
    """Yield the pins that a tenant's studies have now, a study's one.

    Args:
        objects: where they are.
        tenant: whose.
        now_us: microseconds since 1970 UTC.
        damaged: is told of each that cannot be read, and is passed over.

    Raises:
        Corrupt: one cannot be read, and nobody is told.
        Unavailable: the store cannot be reached.
    """
    async for key in _last_keys(objects, tenant):
        try:
            pin = await _read(objects, key)
        except Corrupt as error:
            if damaged is None:
                raise
            damaged(error)
            continue
        if pin.holds_at(now_us):
            yield pin


async def _last_keys(objects: ObjectStore, tenant: str) -> AsyncIterator[str]:
    last = ""
    async for info in objects.list(pins_prefix(tenant)):
        if last and _study_of(last) != _study_of(info.key):
            yield last
        last = info.key
    if last:
        yield last


async def write_pin(objects: ObjectStore, pin: Pin, *, now_us: int) -> Pin:
    """Write `pin` behind all that a study has, at `now_us` or as soon as can be; return it so."""
    while True:
        last = await _last_key(objects, pin.tenant, pin.study_instance_uid)
        # Behind what is there also where another machine's clock has written it.
        least_us = (await _read(objects, last)).entered_us + 1 if last else 0
        entry = replace(pin, entered_us=max(now_us, least_us))
        try:
            await objects.put_new(entry.key, orjson.dumps({"version": _VERSION, **asdict(entry)}))
        except Conflict:
            continue  # somebody else's, of the same moment
        return entry


async def _last_key(objects: ObjectStore, tenant: str, study_instance_uid: str) -> str:
    last = ""
    async for info in objects.list(pins_prefix(tenant, study_instance_uid)):
        last = info.key  # a listing is in order, and the time stands in front
    return last


async def _read(objects: ObjectStore, key: str) -> Pin:
    data = await objects.get(key)
    try:
        pin = _ENTRY.validate_json(data)
    except ValidationError as error:
        raise Corrupt("a pin cannot be read") from error
    if orjson.loads(data).get("version") != _VERSION:
        raise Corrupt("a pin is of a version that is not known here")
    if pin.key != key:
        raise Corrupt("a pin says something else than its key")
    return pin


def _study_of(key: str) -> str:
    return key.rpartition("/")[0]

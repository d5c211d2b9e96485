"""Pins: studies that stay as warm as they are, whatever a policy says.

Each pinning and unpinning is an object at
`pins/{tenant}/{ss}/{study}/{time}-{set|released}.json`, written once and never removed;
the latest stands. The catalogue knows nothing of them, so a rebuild takes none away.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass, replace
from typing import Final

import orjson
from pydantic import TypeAdapter

from pacs_cloud.errors import Corrupt
from pacs_cloud.objectstore.entries import VERSION, Entries
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
        return _PINS.key(self.tenant, self.study_instance_uid, self.entered_us, what)


def _encode(pin: Pin) -> bytes:
    return orjson.dumps({"version": VERSION, **asdict(pin)})


_PINS: Final = Entries("pins/", "a pin", _encode, TypeAdapter(Pin).validate_python)


async def pin_of(
    objects: ObjectStore, tenant: str, study_instance_uid: str, *, now_us: int
) -> Pin | None:
    """Return the pin that a study has now, None where it has none; raises Corrupt."""
    keys = await _PINS.keys(objects, tenant, study_instance_uid)
    pin = await _PINS.read(objects, keys[-1]) if keys else None
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
    async for _, keys in _PINS.by_study(objects, tenant):
        try:
            pin = await _PINS.read(objects, keys[-1])
        except Corrupt as error:
            if damaged is None:
                raise
            damaged(error)
            continue
        if pin.holds_at(now_us):
            yield pin


async def write_pin(objects: ObjectStore, pin: Pin, *, now_us: int) -> Pin:
    """Write `pin` behind all that a study has, at `now_us` or as soon as can be; return it so."""
    return await _PINS.enter(
        objects,
        pin.tenant,
        pin.study_instance_uid,
        lambda entered_us: replace(pin, entered_us=entered_us),
        now_us=now_us,
    )

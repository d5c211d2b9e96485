"""What came in within the last hour, from what the processes of this host count."""

import asyncio
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pacs_cloud.metrics import Snapshot, snapshot

log = logging.getLogger(__name__)

EVERY_S: Final = 15
"""Between two looks at the counters."""
_LOOKS: Final = 3600 // EVERY_S + 1
_NOW_S: Final = 60
"""What a rate is reckoned over."""
_INSTANCES: Final = "pacs_instances_received_total"
_BYTES: Final = "pacs_received_bytes_total"


@dataclass(frozen=True, slots=True)
class Rate:
    """What came in by one device, or by all.

    Attributes:
        device: its AE title, or what else the counters call it.
        instances: within the hour.
        length_bytes: of these.
        instances_per_s: within the last minute.
        bytes_per_s: likewise.
    """

    device: str
    instances: int
    length_bytes: int
    instances_per_s: float
    bytes_per_s: float


@dataclass(frozen=True, slots=True)
class _Look:
    """The counters at one moment: instances and bytes by device."""

    at_s: float
    counts: Mapping[str, tuple[float, float]]


class Traffic:
    """Looks at the counters every now and then, and remembers an hour of them.

    Every process that shows pages looks for itself: what it shows begins when it started.
    """

    def __init__(
        self,
        count: Callable[[], Snapshot] = lambda: snapshot("counter"),
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Look by `count`, which may read files; `now_s` is the clock."""
        self._count = count
        self._now_s = now_s
        self._looks: deque[_Look] = deque(maxlen=_LOOKS)

    async def run(self) -> None:
        """Look until it is cancelled."""
        was_read = True
        while True:
            try:
                self.look(await asyncio.to_thread(self._count))
                was_read = True
            except OSError as error:
                if was_read:
                    log.warning("traffic_not_read", extra={"reason": error.strerror})
                was_read = False
            await asyncio.sleep(EVERY_S)

    def look(self, found: Snapshot) -> None:
        """Remember what was counted until now."""
        instances = found.by("device", _INSTANCES)
        lengths = found.by("device", _BYTES)
        counts = {name: (count, lengths.get(name, 0.0)) for name, count in instances.items()}
        self._looks.append(_Look(self._now_s(), counts))

    @property
    def since_s(self) -> float:
        """When it looked first, of what it remembers; seconds since 1970 UTC, 0: never."""
        return self._looks[0].at_s if self._looks else 0.0

    @property
    def since_us(self) -> int:
        """The same in microseconds."""
        return round(self.since_s * 1e6)

    def total(self) -> Rate:
        """Return what came in altogether."""
        rates = self.rates()
        return Rate(
            "",
            sum(one.instances for one in rates),
            sum(one.length_bytes for one in rates),
            sum(one.instances_per_s for one in rates),
            sum(one.bytes_per_s for one in rates),
        )

    def rates(self) -> list[Rate]:
        """Return what came in by each device that sent something, the most first."""
        if len(self._looks) < 2:
            return []
        first, last = self._looks[0], self._looks[-1]
        lately = next(one for one in self._looks if one.at_s >= last.at_s - _NOW_S)
        if lately is last:
            lately = self._looks[-2]
        found = [_rate(name, first, lately, last) for name in last.counts]
        return sorted(
            (one for one in found if one.instances), key=lambda one: (-one.instances, one.device)
        )

    def minutes(self) -> Sequence[float]:
        """Return the instances per second from each look to the next, the oldest first."""
        looks = list(self._looks)
        return [
            _grown(before, after) / max(after.at_s - before.at_s, 1e-9)
            for before, after in itertools.pairwise(looks)
        ]


def _rate(name: str, first: _Look, lately: _Look, last: _Look) -> Rate:
    seconds = max(last.at_s - lately.at_s, 1e-9)
    instances, length_bytes = _since(name, first, last)
    now, now_bytes = _since(name, lately, last)
    return Rate(name, round(instances), round(length_bytes), now / seconds, now_bytes / seconds)


def _since(name: str, before: _Look, after: _Look) -> tuple[float, float]:
    """Return what was counted between two looks; counters that began anew began at nothing."""
    was, was_bytes = before.counts.get(name, (0.0, 0.0))
    now, now_bytes = after.counts[name]
    return (now, now_bytes) if now < was else (now - was, now_bytes - was_bytes)


def _grown(before: _Look, after: _Look) -> float:
    return sum(_since(name, before, after)[0] for name in after.counts)

"""How long a series' packs stay open: longer each time, where the options say so."""

from dataclasses import dataclass

from pacs_cloud.ingest.options import IntakeOptions
from pacs_cloud.ingest.sealing import SeriesKey

_FORGET_S = 900.0
_REMEMBERED = 10_000


@dataclass(slots=True)
class _Seen:
    packs: int
    at: float


class Pacing:
    """Remembers how many packs each series had of late.

    In the cloud, slices of a slow acquisition arrive seconds apart, or one per
    association: a fixed wait would make a pack of each.
    """

    def __init__(self, options: IntakeOptions) -> None:
        self._options = options
        self._seen: dict[SeriesKey, _Seen] = {}

    def opened(self, series: SeriesKey, now: float) -> tuple[float, float]:
        """Return how long the next pack of `series` may be idle, and how old it may become.

        Args:
            series: whose pack is being opened.
            now: by the loop's clock, in seconds.
        """
        options = self._options
        if options.linger_limit_s <= options.linger_s and options.age_limit_s <= options.age_s:
            return options.linger_s, options.age_s
        seen = self._seen.pop(series, None)
        packs = seen.packs if seen is not None and now - seen.at < _FORGET_S else 0
        self._seen[series] = _Seen(packs + 1, now)  # at the end: the oldest are at the front
        if len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        factor = 2.0 ** min(packs, 30)
        return (
            min(options.linger_s * factor, max(options.linger_limit_s, options.linger_s)),
            min(options.age_s * factor, max(options.age_limit_s, options.age_s)),
        )

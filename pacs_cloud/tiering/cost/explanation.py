"""What each line of a bill is, and what it costs in a region."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from pacs_cloud.objectstore.storage_classes import StorageClass, needs_recall
from pacs_cloud.tiering.cost.figures import price
from pacs_cloud.tiering.cost.prices import Ladder, Region
from pacs_cloud.tiering.cost.tariffs import TARIFFS
from pacs_cloud.tiering.cost.usage import Counted, Measure, rules_in

_CLASSLESS = frozenset(
    {
        Measure.TAGGED,
        Measure.LEAVES,
        Measure.WRITE_UNITS,
        Measure.READ_UNITS,
        Measure.CATALOGUE,
    }
)


def explained(region: Region) -> Iterator[Mapping[str, str]]:
    """Yield a row for each price of the region that is not nothing, in the bill's order."""
    for measure, tariff in TARIFFS.items():
        for counted in _priced(measure, region):
            ladder = tariff.ladder(region, counted)
            if any(rung.price for rung in ladder):
                yield {
                    "line": measure.value,
                    "class": counted.storage_class or "",
                    "speed": counted.speed or "",
                    "price": _in_words(ladder, region.currency),
                    "per": tariff.unit.value,
                    "what": tariff.says,
                }


def _priced(measure: Measure, region: Region) -> Iterator[Counted]:
    if measure in _CLASSLESS:
        yield Counted(measure)
        return
    for storage_class, prices in region.classes.items():
        one = Counted(measure, storage_class)
        if measure in {Measure.RETRIEVED, Measure.RESTORE}:
            yield from (replace(one, speed=speed) for speed in prices.recall)
        if measure is not Measure.RESTORE and _arises(measure, region, storage_class):
            yield one


def _arises(measure: Measure, region: Region, storage_class: StorageClass) -> bool:
    """Tell whether a class of the region can have such a line at all."""
    rules = rules_in(region, storage_class)
    match measure:
        case Measure.FLOOR:
            return rules.billed_bytes > 0
        case Measure.COLD_OVERHEAD:
            return rules.cold_overhead_bytes > 0
        case Measure.HOT_OVERHEAD:
            return rules.hot_overhead_bytes > 0
        case Measure.EARLY:
            return rules.minimum_days > 0
        case Measure.RESTORED:
            return needs_recall(storage_class)
        case _:
            return True


def _in_words(ladder: Ladder, currency: str) -> str:
    said = [
        price(rung.price) + (f" up to {rung.up_to:,f}" if rung.up_to else "") for rung in ladder
    ]
    return f"{', '.join(said)} {currency}"

"""A small hospital's bill, computed again event by event, study by study, day by day.

Nothing of the simulation, the layouts, the tariffs or the bill is used for that: only
the hospital's studies and reads, and the price table's text.
"""

import tomllib
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from importlib.resources import files

import numpy as np
import pytest

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.objectstore.storage_classes import StorageClass
from pacs_cloud.tiering.cost.calendar import Calendar
from pacs_cloud.tiering.cost.hospital import KINDS, Hospital, Reads, Studies, made
from pacs_cloud.tiering.cost.layouts import LAYOUTS, OBJECTS, PACKS, REPACKED, Layout
from pacs_cloud.tiering.cost.prices import Speed, load_prices, parse_prices
from pacs_cloud.tiering.cost.simulation import Terms, simulate
from pacs_cloud.tiering.policy import Clock, Match, Policy, Step

FIRST = date(2027, 1, 1)
MONTHS = 27
CALENDAR = Calendar(FIRST, MONTHS)
HOSPITAL = Hospital(studies=90, seed=7, outside_percent=37)
# Rungs so low that a small hospital climbs them.
PRICES = (
    (files("pacs_cloud.tiering.cost") / "prices.toml")
    .read_text()
    .replace("gb_month = [{ up_to = 51200,", "gb_month = [{ up_to = 6,")
    .replace("up_to = 512000,", "up_to = 9,")
    .replace("up_to = 100,", "up_to = 0.2,")
    .replace("up_to = 10240,", "up_to = 0.6,")
)

S = StorageClass
POLICIES: dict[str, tuple[Policy, ...]] = {
    "nothing moves": (),
    "by age": (Policy("p", steps=(Step(S.GLACIER_IR, 30),)),),
    "a step overtaken": (
        Policy(
            "p",
            steps=(Step(S.STANDARD_IA, 200, Clock.UNREAD), Step(S.GLACIER_IR, 60)),
            retention_days=110,
        ),
    ),
    "cold and gone": (
        Policy(
            "p",
            steps=(
                Step(S.STANDARD_IA, 3, Clock.UNREAD),
                Step(S.GLACIER, 20, Clock.UNREAD),
                Step(S.DEEP_ARCHIVE, 90, Clock.STORED),
            ),
            retention_days=400,
        ),
    ),
    "gone before it is repacked": (Policy("p", steps=(Step(S.GLACIER_IR, 2),), retention_days=5),),
    "by itself": (
        Policy("p", steps=(Step(S.INTELLIGENT_TIERING, 2), Step(S.DEEP_ARCHIVE, 500))),
    ),
    "by modality and size": (
        Policy("big CT", Match(modalities=frozenset({"CT"}), least_bytes=200_000_000),
               (Step(S.GLACIER, 0),)),
        Policy("CT", Match(modalities=frozenset({"CT"})), (Step(S.STANDARD_IA, 10),)),
        Policy("small", Match(most_bytes=3_000_000), (), 30),
        Policy("described", Match(descriptions=("*THORAX*",)), (Step(S.GLACIER_IR, 0),)),
    ),
}  # fmt: skip

MINIMUM_DAYS = {S.STANDARD_IA: 30, S.GLACIER_IR: 90, S.GLACIER: 90, S.DEEP_ARCHIVE: 180}
COLD = (S.GLACIER, S.DEEP_ARCHIVE)
KB = 1024
REQUESTS = "PUT, COPY, POST, LIST requests"


@dataclass
class Lying:
    size: int
    instances: int


@dataclass
class Book:
    """Counts by month, by what is written on the bill's line."""

    days: int
    month_of: list[int]
    counts: defaultdict[int, Counter] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, day: int, amount: int, what: str, storage_class=None, speed=None) -> None:
        if day < self.days and amount:
            self.counts[self.month_of[day]][what, storage_class, speed] += amount


def split(instances: int, each: int, most: int, most_bytes: int) -> list[int]:
    fitting = max(1, min(most, most_bytes // each))
    packs = []
    while instances:
        packs.append(min(fitting, instances))
        instances -= packs[-1]
    return packs


def packs_of(series: int, instances: int, each: int, most: int, most_bytes: int) -> list[Lying]:
    return [
        Lying(n * (each + 342) + 2650 + 133 * n, n)
        for _ in range(series)
        for n in split(instances, each, most, most_bytes)
    ]


def up(amount: int, of: int) -> int:
    return (amount + of - 1) // of


def pack_units(packs: list[Lying]) -> int:
    return 24 + sum(
        13 + up(1500 + 91 * one.instances, KB) + up(1150 + 42 * one.instances, KB) for one in packs
    )


def pack_reads(packs: list[Lying]) -> int:
    return sum(up(1500 + 91 * one.instances, 4 * KB) for one in packs) + up(
        3500 + 900 * len(packs), 4 * KB
    )


def pack_items(packs: list[Lying]) -> int:
    return 3500 + sum(900 + 2650 + 133 * one.instances for one in packs)


def policy_of(policies, modality: str, size: int) -> Policy | None:
    for policy in policies:
        match = policy.match
        if match.modalities and modality not in match.modalities:
            continue
        if size < match.least_bytes or match.descriptions:
            continue
        if match.most_bytes is not None and size > match.most_bytes:
            continue
        return policy
    return None


class OneStudy:
    """One study's life, in the order in which things happen."""

    def __init__(self, book, numbers, read_days, policy, layout, ruled, percent) -> None:
        self.book, self.policy, self.layout, self.ruled = book, policy, layout, ruled
        self.day, kind, self.series, self.instances, self.each = numbers
        self.kind, self.read_days, self.percent = KINDS[kind], read_days, percent
        self.storage_class, self.since = S.STANDARD, self.day
        self.accessed = self.last_read = self.day
        self.restored_until, self.restored = -1, (None, 0)
        self.tagged, self.leftover, self.leftover_until = False, 0, -1
        self.put_day = self.day
        self.step, self.due = -1, set()

    def live(self) -> None:
        self.come_in()
        retention = self.policy.retention_days if self.policy else None
        for day in range(self.day, self.book.days + 1):
            if retention is not None and day - self.day >= retention:
                self.leave(day)
                return
            if day == self.book.days:
                return
            if day == self.leftover_until:
                self.book.add(day, self.leftovers, REQUESTS, S.STANDARD)
            self.repack(day)
            self.move(day)
            for read in self.read_days:
                if read == day:
                    self.read(day)
            self.keep(day)

    def place(self, objects: list[Lying]) -> None:
        small = 128 * KB if self.ruled else 0
        self.moving = [one for one in objects if one.size >= small]
        self.still = [one for one in objects if one.size < small]

    def come_in(self) -> None:
        every = self.series * self.instances
        if self.layout.packed:
            packs = packs_of(self.series, self.instances, self.each, 200, 64 << 20)
            self.place(packs)
            self.index = [2650 + 133 * one.instances for one in packs]
            self.items, self.units = pack_items(packs), pack_units(packs)
            if self.layout.repack is not None:
                # Its catalogue is billed as that of the packs that stay.
                self.items = pack_items(self.merged())
            self.read_units, self.note = pack_reads(packs), 2 * (1 + len(packs))
        else:
            self.place([Lying(self.each, 1)] * every)
            self.index, self.items = [], 3500 + 1000 * every
            self.units, self.note = 24 + 2 * self.series + every, 0
            self.read_units = up(self.items, 4 * KB)
        self.put(self.day)

    def put(self, day: int) -> None:
        self.put_day = day
        objects = len(self.moving) + len(self.still) + len(self.index)
        self.book.add(day, objects, "PUT, COPY, POST, LIST requests", S.STANDARD)
        self.book.add(day, self.units, "catalogue write units")

    def repack(self, day: int) -> None:
        if self.layout.repack is None or day != self.day + 7:
            return
        old = self.moving + self.still
        self.book.add(day, len(old), "GET and all other requests", S.STANDARD)
        self.leftover = sum(one.size for one in old) + sum(self.index)
        self.leftovers = len(old) + len(self.index)
        self.leftover_until = day + 1
        packs = self.merged()
        self.place(packs)
        self.index = [2650 + 133 * one.instances for one in packs]
        self.units = pack_units(packs)
        self.read_units, self.note = pack_reads(packs), 2 * (1 + len(packs))
        self.put(day)

    def merged(self) -> list[Lying]:
        smaller = max(1, self.each * 1000 // round(self.kind.ratio * 1000))
        return packs_of(self.series, self.instances, smaller, 1000, 64 << 20)

    def move(self, day: int) -> None:
        if self.policy is None or (self.layout.repack and day < self.day + 7):
            return
        for number, step in enumerate(self.policy.steps):
            since = self.last_read if step.clock is Clock.UNREAD else self.day
            if day - since >= step.after_days:
                self.due.add(number)
        young = self.ruled and day - self.put_day < 30
        waiting = {n for n in self.due if young and self.policy.steps[n].to is S.STANDARD_IA}
        reached = max({self.step, *self.due} - waiting)
        if reached == self.step:
            return
        self.early(day)
        self.step = reached
        self.storage_class = self.policy.steps[reached].to
        self.since = self.accessed = day
        self.book.add(day, len(self.moving), "lifecycle transitions", self.storage_class)
        self.book.add(day, self.note, "catalogue write units")
        if self.layout.packed:
            self.tagged = True
            # What is due on the day on which it is put is put with its tag.
            if day > self.put_day:
                self.book.add(day, len(self.moving), REQUESTS, S.STANDARD)

    def early(self, day: int) -> None:
        missing = MINIMUM_DAYS.get(self.storage_class, 0) - (day - self.since)
        if self.ruled and missing > 0:
            beside = 32 * KB if self.storage_class in COLD else 0
            billed = sum(one.size + beside for one in self.moving)
            self.book.add(
                day, billed * missing, "days missing to the minimum duration", self.storage_class
            )

    def leave(self, day: int) -> None:
        self.early(day)
        if self.layout.packed:
            gone = len(self.moving) + len(self.still) + len(self.index)
            self.book.add(day, gone, REQUESTS, S.STANDARD)
            if day < self.leftover_until:
                self.book.add(day, self.leftovers, REQUESTS, S.STANDARD)

    def read(self, day: int) -> None:
        book, here = self.book, self.storage_class
        size = sum(one.size for one in self.moving)
        book.add(day, sum(one.instances for one in self.moving), "GET and all other requests", here)
        book.add(
            day, sum(one.instances for one in self.still), "GET and all other requests", S.STANDARD
        )
        everything = size + sum(one.size for one in self.still)
        book.add(day, everything * self.percent // 100, "data transfer out")
        book.add(day, self.read_units, "catalogue read units")
        if here in (S.STANDARD_IA, S.GLACIER_IR):
            book.add(day, size, "retrieved bytes", here)
        if here in COLD and day >= self.restored_until:
            book.add(day, size, "retrieved bytes", here, "standard")
            book.add(day, len(self.moving), "restore requests", here, "standard")
            self.restored_until, self.restored = day + 7, (here, size)
        self.accessed = self.last_read = day

    def keep(self, day: int) -> None:
        book, here = self.book, self.storage_class
        size, objects = sum(one.size for one in self.moving), len(self.moving)
        rest = sum(one.size for one in self.still) + sum(self.index)
        book.add(day, rest, "storage", S.STANDARD)
        if day < self.leftover_until:
            book.add(day, self.leftover, "storage", S.STANDARD)
        what = "storage"
        if here is S.INTELLIGENT_TIERING:
            idle = day - self.accessed
            if idle >= 30:
                what = "storage, infrequent access tier"
            if idle >= 90:
                what = "storage, archive instant access tier"
            book.add(day, objects, "monitoring and automation", here)
        book.add(day, size, what, here)
        if here in COLD and self.ruled:
            book.add(day, objects * 32 * KB, "storage of the service's index", here)
            book.add(day, objects * 8 * KB, "storage of names and metadata", here)
        if day < self.restored_until:
            book.add(day, self.restored[1], "storage of restored copies", self.restored[0])
        if self.tagged:
            book.add(day, objects, "object tags")
        book.add(day, self.items, "catalogue storage")


def counted(studies, reads, policies, layout: Layout, region: dict) -> Book:
    months = [(FIRST + timedelta(days=day)) for day in range(CALENDAR.days)]
    book = Book(CALENDAR.days, [(one.year - FIRST.year) * 12 + one.month - 1 for one in months])
    read_days = defaultdict(list)
    for study, day in zip(reads.study.tolist(), reads.day.tolist(), strict=True):
        read_days[study].append(day)
    arrays = (studies.day, studies.kind, studies.series, studies.instances, studies.instance_bytes)
    for at, numbers in enumerate(zip(*(one.tolist() for one in arrays), strict=True)):
        _, kind, series, instances, each = numbers
        policy = policy_of(policies, KINDS[kind].modality, series * instances * each)
        ruled = region["service_rules"]
        one = OneStudy(
            book, numbers, read_days[at], policy, layout, ruled, HOSPITAL.outside_percent
        )
        one.live()
    return book


def exact(value) -> Fraction:
    return Fraction(str(value))


def climbed(rungs: list[dict], start: Fraction, amount: Fraction) -> Fraction:
    paid, low = Fraction(0), Fraction(0)
    for rung in rungs:
        high = exact(rung["up_to"]) if "up_to" in rung else start + amount + 1
        inside = max(Fraction(0), min(high, start + amount) - max(low, start))
        paid += inside * exact(rung["price"])
        low = high
    return paid


def priced(counts: Counter, region: dict, days: int) -> dict[tuple, Fraction]:
    """Return a month's amounts by line, STANDARD's rungs shared by what is billed there."""
    gb_month, gb = Fraction((1 << 30) * days), Fraction(1 << 30)
    classes, amounts = region["classes"], {}
    standard = Fraction(0)

    def rungs(name: str) -> list[dict]:
        prices = classes[name]
        if "gb_month" in prices:
            return prices["gb_month"]
        hardware = prices["hardware"]
        a_year = exact(hardware["tb_year"]) * exact(hardware["copies"]) * (1 << 30) / 10**12
        return [{"price": Decimal((a_year / 12).numerator) / Decimal((a_year / 12).denominator)}]

    in_order = sorted(counts.items(), key=lambda one: ORDER.index(one[0][0]))
    for (what, name, speed), amount in in_order:
        prices = classes[name] if name else {}
        match what:
            case "storage" | "storage of names and metadata" | "storage of restored copies":
                at = name if what == "storage" else "STANDARD"
                used = amount / gb_month
                start = standard if at == "STANDARD" else Fraction(0)
                paid = climbed(rungs(at), start, used)
                standard += used if at == "STANDARD" else 0
            case "storage of the service's index" | "days missing to the minimum duration":
                paid = amount / gb_month * exact(rungs(name)[0]["price"])
            case "storage, infrequent access tier":
                paid = amount / gb_month * exact(prices["infrequent_gb_month"])
            case "storage, archive instant access tier":
                paid = amount / gb_month * exact(prices["archive_instant_gb_month"])
            case "monitoring and automation":
                paid = Fraction(amount, 1000 * days) * exact(prices["monitoring_1000_month"])
            case "object tags":
                paid = Fraction(amount, 10_000 * days) * exact(region.get("tags_10k_month", 0))
            case "PUT, COPY, POST, LIST requests":
                paid = Fraction(amount, 1000) * exact(prices.get("put_1000", 0))
            case "GET and all other requests":
                paid = Fraction(amount, 1000) * exact(prices.get("get_1000", 0))
            case "lifecycle transitions":
                paid = Fraction(amount, 1000) * exact(prices.get("transition_1000", 0))
            case "retrieved bytes" if speed:
                paid = amount / gb * exact(prices.get("recall", {}).get(speed, {}).get("gb", 0))
            case "retrieved bytes":
                paid = amount / gb * exact(prices.get("retrieval_gb", 0))
            case "restore requests":
                each = prices.get("recall", {}).get(speed, {}).get("requests_1000", 0)
                paid = Fraction(amount, 1000) * exact(each)
            case "data transfer out":
                out = region.get("transfer_out_gb", [{"price": 0}])
                paid = climbed(out, Fraction(0), amount / gb)
            case "catalogue storage":
                paid = amount / gb_month * exact(region.get("catalogue", {}).get("gb_month", 0))
            case _:
                verb = "write_million" if "write" in what else "read_million"
                each = region.get("catalogue", {}).get(verb, 0)
                paid = Fraction(amount, 10**6) * exact(each)
        amounts[what, name, speed] = paid
        price = region["energy"].get("kwh_price", 0)
        if what == "storage" and "hardware" in prices and price:
            hardware = prices["hardware"]
            watts = amount / gb_month * (1 << 30) / 10**12
            watts *= exact(hardware["copies"]) * exact(hardware["watts_tb"])
            kwh = watts * exact(region["energy"]["pue"]) * exact("730.5") / 1000
            amounts["electricity", name, None] = kwh * exact(price)
    return amounts


ORDER = [
    "storage",
    "storage of the service's index",
    "storage of names and metadata",
    "days missing to the minimum duration",
    "storage, infrequent access tier",
    "storage, archive instant access tier",
    "storage of restored copies",
    "monitoring and automation",
    "object tags",
    "PUT, COPY, POST, LIST requests",
    "GET and all other requests",
    "lifecycle transitions",
    "retrieved bytes",
    "restore requests",
    "data transfer out",
    "catalogue write units",
    "catalogue read units",
    "catalogue storage",
]


@pytest.fixture(scope="module")
def hospital() -> tuple[Studies, Reads]:
    return made(HOSPITAL, CALENDAR)


def on_the_edge() -> tuple[Studies, Reads]:
    """Return studies that are read on the very days on which something ends or begins."""
    kinds = len(KINDS)
    days = (0, 2, 3, 6, 7, 13, 14, 20, 30, 36, 37, 44, 90, 93, 99, 100, 120, 399, 400, 401, 500)
    every = [(study, study + day) for study in range(kinds) for day in days[study % 3 :: 2]]
    numbers = np.array(every, dtype=np.int64)
    kind = np.arange(kinds, dtype=np.int64)
    studies = Studies(
        day=kind,
        kind=kind,
        series=kind % 3 + 1,
        instances=np.array([1, 127, 128, 200, 201, 254, 400, 2], dtype=np.int64),
        instance_bytes=np.array(
            [131_072, 526_000, 1_000, 300_000, 66_000, 90_000_000, 40_000, 131_071], dtype=np.int64
        ),
    )
    return studies, Reads(numbers[:, 0], numbers[:, 1])


def places() -> list[tuple[str, str]]:
    """Return each candidate with each region that has its classes."""
    regions = load_prices().regions
    return [
        (name, region)
        for name, policies in POLICIES.items()
        for region in ("us-east-1", "eu-central-1", "on-site")
        if {step.to for policy in policies for step in policy.steps} <= set(regions[region].classes)
    ]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda one: one.name)
@pytest.mark.parametrize(("policies", "region"), places())
@pytest.mark.parametrize("edges", [False, True], ids=["a hospital", "edges"])
def test_the_bill_is_that_of_an_independent_count(
    hospital, edges, policies, layout, region
) -> None:
    chosen = POLICIES[policies]
    hospital = on_the_edge() if edges else hospital
    table = parse_prices(PRICES)
    outcome = simulate(HOSPITAL, *hospital, chosen, Terms(CALENDAR, table.region(region), layout))
    said = tomllib.loads(PRICES, parse_float=Decimal)["regions"][region]
    book = counted(*hospital, chosen, layout, said)
    assert len(outcome.bills) == MONTHS
    for month, bill in enumerate(outcome.bills):
        expected = priced(book.counts[month], said, CALENDAR.lengths[month])
        got = {(line.what, line.storage_class, line.speed): line.amount for line in bill.lines}
        assert got.keys() == expected.keys(), (month, got.keys() ^ expected.keys())
        for key, amount in expected.items():
            assert abs(exact(got[key]) - amount) < Fraction(1, 10**12), (month, key)
        cents = Decimal("0.01")
        total = sum(expected.values())
        written = (Decimal(total.numerator) / total.denominator).quantize(cents)
        assert bill.total.quantize(cents) == written


def test_lines_of_every_kind_are_compared(hospital) -> None:
    """The comparison above is worth nothing for lines that never come."""
    seen = set()
    for policies in POLICIES.values():
        terms = Terms(CALENDAR, parse_prices(PRICES).region("us-east-1"), PACKS)
        seen |= {line.what for line in simulate(HOSPITAL, *hospital, policies, terms).total.lines}
    assert seen == set(ORDER)


def test_the_same_seed_makes_the_same_hospital_and_another_another() -> None:
    one, again = made(HOSPITAL, CALENDAR), made(HOSPITAL, CALENDAR)
    other = made(Hospital(studies=90, seed=8), CALENDAR)
    assert np.array_equal(one[0].instance_bytes, again[0].instance_bytes)
    assert np.array_equal(one[1].day, again[1].day)
    assert not np.array_equal(one[0].instance_bytes, other[0].instance_bytes)


def test_reads_come_after_their_study_most_of_them_soon() -> None:
    studies, reads = made(Hospital(studies=20_000), Calendar(FIRST, 84))
    delay = reads.day - studies.day[reads.study]
    assert delay.min() >= 0
    assert 0.6 < (delay < 30).mean() < 0.95
    assert (delay > 365).mean() > 0.01, "priors are read again when a patient returns"
    assert (np.diff(studies.day) >= 0).all()
    same = reads.study[1:] == reads.study[:-1]
    assert (np.diff(reads.study) >= 0).all()
    assert (np.diff(reads.day)[same] >= 0).all()


def test_arrivals_grow_year_by_year() -> None:
    studies, _ = made(Hospital(studies=100_000, growth=0.1), Calendar(FIRST, 84))
    years = np.bincount(studies.day // 365, minlength=7)[:7]
    assert (np.diff(years) > 0).all()


def test_every_study_is_counted_under_one_policy(hospital) -> None:
    terms = Terms(CALENDAR, load_prices().region("us-east-1"), PACKS)
    told: list[int] = []
    outcome = simulate(HOSPITAL, *hospital, POLICIES["by modality and size"], terms, told.append)
    assert sum(outcome.studies.values()) == 90
    assert outcome.studies["described"] == 0, "simulated studies have no description"
    assert told[-1] == 90


def test_a_class_that_the_region_lacks_is_refused(hospital) -> None:
    terms = Terms(CALENDAR, load_prices().region("on-site"), PACKS)
    policy = Policy("deep", steps=(Step(S.DEEP_ARCHIVE, 1),))
    with pytest.raises(InvalidRequest, match="no prices for DEEP_ARCHIVE"):
        simulate(HOSPITAL, *hospital, [policy], terms)


def test_a_speed_that_a_class_lacks_is_refused(hospital) -> None:
    terms = Terms(CALENDAR, load_prices().region("us-east-1"), OBJECTS, Speed.EXPEDITED)
    policy = Policy("deep", steps=(Step(S.DEEP_ARCHIVE, 1),))
    with pytest.raises(InvalidRequest, match="no expedited restore"):
        simulate(HOSPITAL, *hospital, [policy], terms)


def test_repacked_studies_cost_less_to_keep(hospital) -> None:
    region = load_prices().region("us-east-1")
    plain, small = (
        simulate(HOSPITAL, *hospital, POLICIES["by age"], Terms(CALENDAR, region, layout))
        for layout in (PACKS, REPACKED)
    )
    assert small.total.total < plain.total.total


def test_hospitals_out_of_reason_are_refused() -> None:
    with pytest.raises(InvalidRequest):
        Hospital(studies=0)
    with pytest.raises(InvalidRequest):
        Hospital(outside_percent=101)
    with pytest.raises(InvalidRequest):
        made(HOSPITAL, Calendar(FIRST, 12 * 31))

"""What operations pages make of figures: words, lines, rates, alerts, policies."""

import asyncio
from dataclasses import replace

import pytest

from pacs_cloud.custody.state import ArchiveState, Stall
from pacs_cloud.metrics import Snapshot
from pacs_cloud.security.caller import Caller, Grant, Role
from pacs_cloud.tiering.cost.explanation import explained
from pacs_cloud.tiering.cost.prices import load_prices
from pacs_cloud.tiering.examples import EXAMPLES
from pacs_cloud.tiering.policy_file import parse_policies
from pacs_cloud.web.ops import traffic
from pacs_cloud.web.ops.alerts import alerts_of
from pacs_cloud.web.ops.cost_page import explained_at
from pacs_cloud.web.ops.kept import Kept
from pacs_cloud.web.ops.policy_words import words_of
from pacs_cloud.web.ops.sections import sections_of
from pacs_cloud.web.ops.spark import spark
from pacs_cloud.web.ops.traffic import Traffic
from pacs_cloud.web.ops.words import (
    ago_text,
    counted,
    left_text,
    rate_text,
    span_text,
    within_text,
)
from patience import PATIENCE_S

NOW_US = 1_800_000_000_000_000
FINE = ArchiveState(
    objects="yes",
    catalogue="yes",
    unmounted_tiers=(),
    spool_packs=0,
    spool_bytes=0,
    spool_oldest_us=0,
    quarantined_files=0,
    jobs_ready=0,
    jobs_leased=0,
    jobs_dead=0,
    counts={"conflicts": 0, "trash": 3},
    tier_policies=None,
    stalled=(),
    unsealed_us=NOW_US - 299_000_000,
    seal_s=300,
    disk_used=0.5,
    disk_limit=0.95,
)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (3600, "1 h"),
        (3 * 3600 + 300, "3 h 5 min"),
        (3 * 86_400, "3 days"),
        (1000 * 86_400, "2.7 years"),
    ],
)
def test_a_span_in_words(seconds: float, said: str) -> None:
    assert span_text(seconds) == said


def test_moments_in_words() -> None:
    assert ago_text(NOW_US - 90_000_000, NOW_US) == "1 min ago"
    assert ago_text(NOW_US, NOW_US) == ago_text(NOW_US + 5_000_000, NOW_US) == "just now"
    assert ago_text(0, NOW_US) == left_text(0, NOW_US) == ""
    assert left_text(NOW_US + 5_000_000, NOW_US) == "in 5 s"
    assert left_text(NOW_US - 1, NOW_US) == "overdue"


def test_over_how_long_it_was_counted_in_words() -> None:
    young = "since this page's process started, "
    for since_us, said in (
        (NOW_US - 3600_000_000, "within the hour"),
        (NOW_US - 3599_000_000, f"{young}59 min ago"),
        (NOW_US, f"{young}just now"),
        (0, f"{young}just now"),
    ):
        assert within_text(since_us, NOW_US) == said


def test_numbers_in_words() -> None:
    assert [rate_text(one) for one in (0, 0.01, 0.26, 9.96, 1234.6)] == [
        "0",
        "<0.1",
        "0.3",
        "10.0",
        "1,235",
    ]
    assert (counted(1, "study", "studies"), counted(2000, "pack")) == ("1 study", "2,000 packs")


def test_a_line_goes_from_edge_to_edge() -> None:
    drawn = spark([0, 5, 10])
    assert drawn.line == "M0.0,47.0L150.0,24.0L300.0,1.0"
    assert (drawn.area, drawn.top) == (f"{drawn.line}L300,48L0,48Z", 10)
    assert spark([1]).line == spark([]).line == ""
    assert spark([0, 0]).line == "M0.0,47.0L300.0,47.0"


class Counters:
    """Counters of a few devices, and a clock."""

    def __init__(self) -> None:
        self.now_s = 1_000_000.0
        self.counts: dict[str, tuple[int, int]] = {}
        self.traffic = Traffic(lambda: self.snapshot, lambda: self.now_s)

    @property
    def snapshot(self) -> Snapshot:
        return Snapshot(
            [
                (name, {"device": device, "transport": "dimse"}, value)
                for device, pair in self.counts.items()
                for name, value in zip(
                    ("pacs_instances_received_total", "pacs_received_bytes_total"),
                    pair,
                    strict=True,
                )
            ]
        )

    def look(self, after_s: float, **counts: tuple[int, int]) -> None:
        self.now_s += after_s
        self.counts |= counts
        self.traffic.look(self.snapshot)


def test_what_came_in_is_told_by_device_and_altogether() -> None:
    counters = Counters()
    assert (counters.traffic.since_s, counters.traffic.rates()) == (0, [])
    counters.look(0, CT1=(100, 1000), MR1=(5, 50))
    counters.look(600, CT1=(700, 7000))
    counters.look(15, CT1=(730, 7300), US1=(3, 30))
    ct, us = counters.traffic.rates()
    assert (ct.device, ct.instances, ct.length_bytes) == ("CT1", 630, 6300)
    # Within the last minute: 30 in 15 seconds.
    assert (ct.instances_per_s, ct.bytes_per_s) == (2, 20)
    assert (us.device, us.instances) == ("US1", 3)
    assert counters.traffic.total().instances == 633
    assert counters.traffic.minutes() == [1.0, 2.2]


def test_a_counter_that_began_anew_is_not_below_nothing() -> None:
    counters = Counters()
    counters.look(0, CT1=(500, 5000))
    counters.look(15, CT1=(20, 200))
    (rate,) = counters.traffic.rates()
    assert (rate.instances, rate.length_bytes) == (20, 200)


async def test_counters_that_cannot_be_read_for_a_while_are_looked_at_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(traffic, "EVERY_S", 0)
    counters, asked = Counters(), 0

    def count() -> Snapshot:
        nonlocal asked
        asked += 1
        if asked in {1, 2}:
            raise OSError(5, "it is away")
        return counters.snapshot

    looking = Traffic(count)
    async with asyncio.timeout(PATIENCE_S):
        task = asyncio.create_task(looking.run())
        while not looking.since_s:
            await asyncio.sleep(0)
    task.cancel()
    assert caplog.messages == ["traffic_not_read"]


def test_no_more_than_an_hour_is_remembered() -> None:
    counters = Counters()
    for number in range(500):
        counters.look(15, CT1=(number, number))
    (rate,) = counters.traffic.rates()
    assert rate.instances == 240
    assert counters.now_s - counters.traffic.since_s == 3600


def test_where_all_is_well_nothing_needs_anybody() -> None:
    assert alerts_of(FINE, NOW_US, sees_host=True) == []


@pytest.mark.parametrize(
    ("state", "title", "is_bad"),
    [
        (replace(FINE, objects="no: it is away"), "The object store does not answer", True),
        (replace(FINE, catalogue="no: it is away"), "The catalogue does not answer", True),
        (replace(FINE, unmounted_tiers=("GLACIER: /cold",)), "A tier is not mounted", True),
        (replace(FINE, tier_policies="no: no rule"), "Tier policies are not carried out", False),
        (replace(FINE, disk_used=0.96), "The disk of the spool is full", True),
        (replace(FINE, disk_used=0.92), "The disk of the spool is nearly full", False),
        (replace(FINE, spool_packs=1, spool_oldest_us=NOW_US - 300_000_000), "A pack has", True),
        (replace(FINE, quarantined_files=2), "2 files put aside", True),
        (replace(FINE, stalled=(Stall("trash", 1, 2, "why"),)), "A chore stands still", True),
        (replace(FINE, stalled="?: away"), "Whether chores stand still", True),
        (replace(FINE, unsealed_us=NOW_US - 3600_000_000), "The audit trail is not sealed", True),
        (replace(FINE, jobs_dead=1), "1 job failed for good", True),
        (replace(FINE, counts={"fixity_findings": 1}), "1 pack with damage", True),
        (replace(FINE, counts={"conflicts": 4}), "4 conflicts to be decided", False),
        (replace(FINE, counts={"trash": "?: away"}), "How many there are", False),
    ],
)
def test_what_is_wrong_is_told_with_what_to_do(
    state: ArchiveState, title: str, *, is_bad: bool
) -> None:
    (alert,) = alerts_of(state, NOW_US, sees_host=True)
    assert alert.title.startswith(title)
    assert (alert.is_bad, bool(alert.do)) == (is_bad, True)


def test_what_is_bad_comes_first() -> None:
    state = replace(FINE, counts={"conflicts": 1}, jobs_dead=1, disk_used=0.99)
    found = alerts_of(state, NOW_US, sees_host=True)
    assert [one.is_bad for one in found] == [True, True, False]


def test_policies_in_words() -> None:
    mammography, rest = map(words_of, parse_policies(EXAMPLES[2].text))
    assert (mammography.match, rest.match) == ("with MG", "every study")
    assert rest.steps == (
        ("STANDARD_IA", "60 days after the study"),
        ("DEEP_ARCHIVE", "3 years after the study"),
    )
    text = """
        [[policies]]
        name = "some"
        retention_years = 10
        match = { tenant = "a", description = "*HEAD*", min_bytes = 5000, max_bytes = 9000 }
        steps = [{ to = "GLACIER", unread_days = 30 }]
    """
    (some,) = map(words_of, parse_policies(text))
    assert some.match == "of a; described as *HEAD*; of 5.0 kB or more; of 9.0 kB or less"
    assert some.steps == (("GLACIER", "30 days after it was last read"),)
    assert some.keeps == "10 years after the study, then it may go"


def test_everybody_sees_their_own_sections() -> None:
    def paths(role: Role) -> set[str]:
        caller = Caller("default", "user:a", (Grant(role),))
        return {one.path for one in sections_of(caller)}

    assert "/ops" in paths(Role.OPS)
    assert "/ops/users" not in paths(Role.OPS)
    assert paths(Role.AUDITOR) == {"/ops/audit"}
    assert paths(Role.OPS) | paths(Role.AUDITOR) < paths(Role.ADMIN)
    assert paths(Role.CLINICIAN) == paths(Role.GUEST) == set()


async def test_whoever_asks_at_the_same_moment_shares_one_answer() -> None:
    asked: list[int] = []
    now_s = 0.0

    async def find() -> int:
        asked.append(1)
        await asyncio.sleep(0)
        return len(asked)

    kept = Kept(find, 5, now_s=lambda: now_s)
    assert await asyncio.gather(*(kept.get() for _ in range(5))) == [1] * 5
    now_s = 4.9
    assert await kept.get() == 1
    now_s = 5.1
    assert await kept.get() == 2
    kept.forget()
    assert await kept.get() == 3


def test_a_line_of_the_bill_that_is_free_so_far_leads_to_its_price() -> None:
    lines = {row["line"] for row in explained(load_prices().region("eu-central-1"))}
    assert explained_at("data transfer out", lines) == "/ops/cost/prices#data%20transfer%20out"
    assert explained_at("nothing of the kind", lines) == "/ops/cost/prices"

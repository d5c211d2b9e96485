"""Priors that are recalled before anybody asks: which, by what rule, and how much in a day."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from catalogue_samples import NOW_US, STUDY, TENANT, Shelf, attributes, element, instance, pack
from pacs_cloud.catalogue.records import Patient
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.cli.tier_commands import tier
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.objectstore.storage_classes import RecallSpeed
from pacs_cloud.tiering.policy_file import parse_policies, parse_prefetch
from pacs_cloud.tiering.prefetch_advice import advise_prefetch
from pacs_cloud.tiering.recall import priors as recalled_priors
from pacs_cloud.tiering.recall.causes import Cause, Why
from pacs_cloud.tiering.recall.demand import Recalls, RecallWish
from pacs_cloud.tiering.recall.listing import recall_of
from pacs_cloud.tiering.recall.marks import get_recall, key_of, mark_for
from pacs_cloud.tiering.recall.prefetch_rules import PrefetchRule, rule_for
from pacs_cloud.tiering.recall.prefetching import DailyBound, Prefetcher, PriorFate
from pacs_cloud.tiering.recall.priors import Newcomer, PriorsWanted, newcomer_of, priors
from pacs_cloud.tiering.recall.tending import tend_recalls
from recall_samples import DAY_US, Clock, CountingStore, chill

DELAY_S = 3600
RULE = Cause(Why.RULE, "thorax")
POLICY = '[[policies]]\nname = "a"\n'
COLD = """
[[policies]]
name = "cold"
steps = [{to = "DEEP_ARCHIVE", study_age_days = 3650}]
"""
FULL = f"""{POLICY}
[[prefetch]]
name = "thorax"
speed = "Bulk"
[prefetch.match]
tenant = "north"
modality = ["ct", "MR"]
body_part = "chest"
description = "*THORAX*"
institution = ["Clinic*"]
[prefetch.priors]
newest = 3
modality = "CT"
body_part = ["CHEST", "LUNG"]
description = "*THORAX*"
same_modality = true
same_body_part = true
max_age_years = 5

[[prefetch]]
name = "everything else"
[prefetch.priors]
newest = 1
"""


@dataclass
class House:
    """An archive, and the time in it."""

    objects: CountingStore
    catalogue: SqliteCatalogue
    clock: Clock

    async def fill(
        self, study: str, *, body_part: str = "", is_cold: bool = True, **more: Any
    ) -> None:
        """Store a study of one instance, and put it into a cold class."""
        own = {"00180015": element("CS", body_part)} if body_part else {}
        index = pack(
            [instance(f"{study}.1.1")],
            study=study,
            series=f"{study}.1",
            pack_id=f"p{study}",
            common=attributes(**more, **own),
        )
        await Shelf(self.catalogue).commit(index, now_us=self.clock())
        for one in await self.catalogue.packs(TENANT, study):
            await self.objects.put_new(key_of(one).pack, b"bytes")
        if is_cold:
            await chill(self.objects, self.catalogue, study)

    async def found(self, study: str = STUDY, newest: int = 9, **wanted: Any) -> list[str]:
        newcomer = await newcomer_of(self.catalogue, TENANT, study)
        some = await priors(
            self.catalogue, newcomer, PriorsWanted(newest, **wanted), now_us=self.clock()
        )
        return [one.study_instance_uid for one in some]

    def prefetcher(self, limit_bytes: int = 1 << 40) -> Prefetcher:
        recalls = Recalls(
            self.objects, self.catalogue, self.clock, arrival_s=lambda *_: float(DELAY_S)
        )
        bound = DailyBound(self.objects, limit_bytes, self.clock)
        return Prefetcher(self.objects, self.catalogue, recalls, bound, self.clock)

    async def prefetched(
        self, prefetcher: Prefetcher, newest: int = 9, cause: Cause = RULE
    ) -> list[tuple[str, PriorFate]]:
        newcomer = await newcomer_of(self.catalogue, TENANT, STUDY)
        wish = RecallWish(RecallSpeed.BULK, 2)
        done = await prefetcher.prefetch(newcomer, PriorsWanted(newest), wish, cause)
        return [(one.study_instance_uid, one.fate) for one in done]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    clock = Clock()
    async with (
        CountingStore(tmp_path / "objects", recall_delay_s=DELAY_S, now_us=clock) as objects,
        SqliteCatalogue(tmp_path / "catalogue.sqlite") as catalogue,
    ):
        yield House(objects, catalogue, clock)


async def test_of_a_patient_whom_everybody_is_only_the_newest_studies_are_looked_at(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recalled_priors, "MOST_LOOKED_AT", 3)
    await house.fill(STUDY, date="20240105")
    for day in range(4, 0, -1):
        await house.fill(f"1.9.{day}", body_part="HEAD" if day == 1 else "", date=f"2024010{day}")
    assert await house.found(body_parts=frozenset({"HEAD"})) == []
    assert len(await house.found()) == 2, "of the three one is the newcomer"


async def test_priors_are_chosen_by_modality_body_part_age_and_words(house: House) -> None:
    await house.fill(STUDY, body_part="CHEST", date="20250610")
    await house.fill("1.1", body_part="chest ", date="20250101")
    await house.fill("1.2", modality="MR", body_part="CHEST", date="20240101")
    await house.fill("1.3", body_part="KNEE", date="20230101")
    description = {"00081030": element("LO", "Thorax routine")}
    await house.fill("1.4", date="20220101", **description)
    assert await house.found() == ["1.1", "1.2", "1.3", "1.4"]
    assert await house.found(newest=2) == ["1.1", "1.2"]
    assert await house.found(same_modality=True) == ["1.1", "1.3", "1.4"]
    assert await house.found(modalities=frozenset({"MR"})) == ["1.2"]
    assert await house.found(same_body_part=True) == ["1.1", "1.2"]
    assert await house.found(body_parts=frozenset({"KNEE", "CHEST"})) == ["1.1", "1.2", "1.3"]
    both: dict[str, Any] = {"body_parts": frozenset({"KNEE"}), "same_body_part": True}
    assert await house.found(**both) == []
    assert await house.found(descriptions=("thorax*",)) == ["1.4"]
    assert await house.found(max_age_days=600) == ["1.1", "1.2"]
    # A newcomer that names no body part is compared by none.
    assert await house.found("1.4", same_body_part=True, newest=1) == [STUDY]


async def test_a_patient_is_the_same_by_id_and_issuer(house: House) -> None:
    await house.fill(STUDY, issuer="HERE")
    await house.fill("1.1", issuer="HERE")
    await house.fill("1.2", issuer="THERE")
    await house.fill("1.3")
    assert await house.found() == ["1.1"]
    assert await house.found("1.3") == []


async def test_rules_are_read_from_the_policy_file() -> None:
    assert [one.name for one in parse_policies(FULL)] == ["a"]
    thorax, rest = parse_prefetch(FULL)
    assert thorax == PrefetchRule(
        "thorax",
        PriorsWanted(
            3,
            frozenset({"CT"}),
            frozenset({"CHEST", "LUNG"}),
            ("*THORAX*",),
            same_modality=True,
            same_body_part=True,
            max_age_days=1827,
        ),
        frozenset({"north"}),
        frozenset({"CT", "MR"}),
        frozenset({"CHEST"}),
        ("*THORAX*",),
        ("Clinic*",),
        RecallSpeed.BULK,
    )
    assert rest == PrefetchRule("everything else", PriorsWanted(1))
    assert parse_prefetch(POLICY) == ()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[[prefetch]]\npriors = {newest = 1}\n", "prefetch rule 1: `name` is missing"),
        ('[[prefetch]]\nname = "b"\n', 'prefetch rule 1 "b": `priors` is missing'),
        (
            '[[prefetch]]\nname = "b"\npriors = {}\n',
            'prefetch rule 1 "b", priors: `newest` is missing',
        ),
        (
            '[[prefetch]]\nname = "b"\npriors = {newest = 0}\n',
            'prefetch rule 1 "b", priors: `newest` should be greater than or equal to 1',
        ),
        (
            '[[prefetch]]\nname = "b"\npriors = {newest = 1, max_age_days = 1, max_age_years = 1.0}\n',
            'prefetch rule 1 "b": `priors` takes max_age_days or max_age_years, not both',
        ),
        (
            '[[prefetch]]\nname = "b"\nmatch = {bodypart = "X"}\npriors = {newest = 1}\n',
            (
                'prefetch rule 1 "b", match: `bodypart` is not known; there are tenant, modality, '
                "body_part, description, institution"
            ),
        ),
        ("prefetch = [1]\n", "prefetch rule 1: should be a table"),
        ("prefetch = 1\n", "`prefetch` should be tables"),
    ],
)
def test_a_fault_of_a_rule_is_one_line_that_names_its_place(text: str, line: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse_prefetch(text + POLICY)
    assert str(raised.value).splitlines() == [line]


def test_two_rules_have_two_names() -> None:
    rule = '[[prefetch]]\nname = "b"\npriors = {newest = 1}\n'
    with pytest.raises(InvalidRequest, match='prefetch rule 2 "b": prefetch rule 1 has'):
        parse_prefetch(POLICY + rule + rule)


def test_the_first_rule_that_is_for_a_study_counts() -> None:
    rules = parse_prefetch(FULL)
    newcomer = Newcomer(
        "north",
        frozenset({Patient("", "P1")}),
        frozenset({"CT"}),
        frozenset({"CHEST"}),
        "CT thorax",
        "CLINIC east",
    )
    assert rule_for(rules, newcomer) == rules[0]
    others: Sequence[dict[str, Any]] = (
        {"tenant": "south"},
        {"modalities": frozenset({"US"})},
        {"body_parts": frozenset()},
        {"description": "CT knee"},
        {"institution": ""},
    )
    for other in others:
        assert rule_for(rules, replace(newcomer, **other)) == rules[1]
    assert rule_for(rules[:1], replace(newcomer, **others[0])) is None


def advised(rules: str, policies: str = COLD) -> list[tuple[str, str, str]]:
    advice = advise_prefetch(parse_prefetch(policies + rules), parse_policies(policies + rules))
    return [(one.severity.value, one.policy, one.sentence) for one in advice]


def rule(name: str, more: str = "", priors: str = "newest = 1") -> str:
    return f'[[prefetch]]\nname = "{name}"\n{more}\npriors = {{{priors}}}\n'


def test_what_is_hardly_meant_is_said_in_words() -> None:
    assert [one[0] for one in advised(rule("a"))] == ["note"]
    (_, _, sentence) = advised(rule("a", 'speed = "Bulk"'))[0]
    assert "48 hours" in sentence
    assert "recall worklist" in sentence
    (found,) = advised(rule("a"), POLICY)
    assert found[0] == "warning"
    assert "no policy" in found[2]
    found = advised(rule("a") + rule("b", 'match = {modality = "CT"}'))
    assert found[1][:2] == ("warning", "b")
    assert '"a"' in found[1][2]
    (found, _) = advised(rule("a", 'speed = "Expedited"'))
    assert "Expedited" in found[2]
    same = 'newest = 1, same_modality = true, modality = "MR"'
    (found, _) = advised(rule("a", 'match = {modality = "CT"}', same))
    assert "no prior" in found[2]
    both = rule("a", 'match = {body_part = "CHEST"}') + rule("b", 'match = {body_part = "KNEE"}')
    assert [one[0] for one in advised(both)] == ["note"]
    assert advised("") == []


def test_validate_says_it_too(tmp_path: Path) -> None:
    file = tmp_path / "tiers.toml"
    file.write_text(COLD + rule("a", 'speed = "Expedited"'), "utf-8")
    done = CliRunner().invoke(tier, ["validate", str(file), "--json"])
    assert done.exit_code == 0
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["severity"] for row in rows if row["policy"] == "a"] == ["warning", "note"]


async def test_it_is_asked_for_once_with_its_cause(house: House) -> None:
    await house.fill(STUDY, is_cold=False)
    await house.fill("1.1", date="20240101")
    await house.fill("1.2", date="20230101", is_cold=False)
    first, second = house.prefetcher(), house.prefetcher()
    assert await house.prefetched(first) == [("1.1", PriorFate.ASKED), ("1.2", PriorFate.AT_HAND)]
    assert await house.prefetched(first) == [(one, PriorFate.AT_HAND) for one in ("1.1", "1.2")]
    assert await house.prefetched(second) == [(one, PriorFate.AT_HAND) for one in ("1.1", "1.2")]
    assert house.objects.count("recall") == 1
    (one,) = await house.catalogue.packs(TENANT, "1.1")
    recall = await get_recall(house.objects, mark_for(one))
    assert (recall.cause, recall.speed, recall.days) == (RULE, RecallSpeed.BULK, 2)
    assert recall.length_bytes == one.length_bytes
    found = await recall_of(house.objects, house.catalogue, TENANT, "1.1", NOW_US)
    assert found.causes == ("rule: thorax",)
    # And so it stays when it has come.
    house.clock.advance(DELAY_S)
    await tend_recalls(house.objects, house.catalogue, now_us=house.clock())
    found = await recall_of(house.objects, house.catalogue, TENANT, "1.1", house.clock())
    assert (found.causes, found.arrived) == (("rule: thorax",), 1)


async def test_what_is_asked_anew_after_a_damaged_mark_counts(house: House) -> None:
    await house.fill(STUDY, is_cold=False)
    await house.fill("1.0")
    (one,) = await house.catalogue.packs(TENANT, "1.0")
    await house.objects.put_new(mark_for(one).key, b"damaged")
    bound = DailyBound(house.objects, 5000, house.clock)
    assert await bound.left_bytes(TENANT) == 5000
    await tend_recalls(house.objects, house.catalogue, now_us=house.clock())
    assert await house.prefetched(house.prefetcher()) == [("1.0", PriorFate.ASKED)]
    assert await bound.left_bytes(TENANT) == 5000 - one.length_bytes


async def test_a_day_has_its_bound_for_all_processes(house: House) -> None:
    await house.fill(STUDY, is_cold=False)
    for number, date in enumerate(("20240104", "20240103", "20240102", "20240101")):
        await house.fill(f"1.{number}", date=date)
    (one,) = await house.catalogue.packs(TENANT, "1.0")
    limit = 2 * one.length_bytes + 1
    # What somebody waits for is beside it.
    recalls = Recalls(house.objects, house.catalogue, house.clock)
    await recalls.start(await house.catalogue.packs(TENANT, "1.3"), RecallWish())
    asked, at_hand, over = PriorFate.ASKED, PriorFate.AT_HAND, PriorFate.OVER_BOUND
    assert await house.prefetched(house.prefetcher(limit), 1) == [("1.0", asked)]
    process = house.prefetcher(limit)
    worklist = Cause(Why.WORKLIST)
    assert [fate for _, fate in await house.prefetched(process, cause=worklist)] == [
        at_hand,
        asked,
        over,
        at_hand,
    ]
    house.clock.advance(DAY_US / 1e6 - 1)
    assert (await house.prefetched(process))[2] == ("1.2", over)
    house.clock.advance(2)
    assert (await house.prefetched(process))[2] == ("1.2", asked)
    assert (await house.prefetched(house.prefetcher(0), 9))[2] == ("1.2", at_hand)


async def test_a_prior_that_cannot_be_had_keeps_no_other_from_coming(house: House) -> None:
    await house.fill(STUDY)
    for study in ("1.1", "1.2"):
        await house.fill(study)
    (gone,) = await house.catalogue.packs(TENANT, "1.1")
    await house.objects.delete(key_of(gone).pack)
    assert dict(await house.prefetched(house.prefetcher())) == {
        "1.1": PriorFate.FAILED,
        "1.2": PriorFate.ASKED,
    }

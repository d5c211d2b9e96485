"""Which policy a study falls under, and which class it is due."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from pacs_cloud.objectstore.storage_classes import StorageClass
from pacs_cloud.tiering.policy import Clock, Facts, Match, Policy, Step, policy_for

AGES: Mapping[Clock, int] = {Clock.STUDY: 400, Clock.STORED: 100, Clock.UNREAD: 10}
FACTS = Facts(
    tenant="north",
    modalities=frozenset({"CT", "SR"}),
    description="CT HEAD [1]",
    institution="Zentralklinik Süd",
    length_bytes=1000,
    ages=AGES,
)


@pytest.mark.parametrize(
    "match",
    [
        Match(),
        Match(tenants=frozenset({"north", "south"})),
        Match(modalities=frozenset({"MR", "SR"})),
        Match(descriptions=("MR *", "ct head*")),
        Match(descriptions=("CT HEAD [1]",)),
        Match(descriptions=("*[?]",)),
        Match(institutions=("*SÜD",)),
        Match(least_bytes=1000, most_bytes=1000),
    ],
)
def test_a_match_that_fits(match: Match) -> None:
    assert Policy("p", match).matches(FACTS)


@pytest.mark.parametrize(
    "match",
    [
        Match(tenants=frozenset({"south"})),
        Match(modalities=frozenset({"MR"})),
        Match(descriptions=("CT HEAD",)),
        Match(descriptions=("CT [HA]EAD*",)),
        Match(institutions=("",)),
        Match(least_bytes=1001),
        Match(most_bytes=999),
        Match(tenants=frozenset({"north"}), modalities=frozenset({"MR"})),
    ],
)
def test_a_match_that_does_not_fit(match: Match) -> None:
    assert not Policy("p", match).matches(FACTS)


def test_brackets_have_no_meaning() -> None:
    assert not Policy("p", Match(descriptions=("CT HEAD [1-3]",))).matches(FACTS)
    other = replace(FACTS, description="CT HEAD [1-3]")
    assert Policy("p", Match(descriptions=("CT HEAD [1-3]",))).matches(other)


def test_the_first_policy_that_matches_counts() -> None:
    first, second = Policy("a", Match(modalities=frozenset({"MR"}))), Policy("b")
    assert policy_for([first, second, Policy("c")], FACTS) is second
    assert policy_for([first], FACTS) is None


def test_each_step_has_its_own_clock() -> None:
    policy = Policy(
        "p",
        steps=(
            Step(StorageClass.STANDARD_IA, 30, Clock.STORED),
            Step(StorageClass.GLACIER_IR, 90, Clock.UNREAD),
            Step(StorageClass.DEEP_ARCHIVE, 800, Clock.STUDY),
        ),
    )
    assert policy.due(AGES) is StorageClass.STANDARD_IA
    assert policy.due({**AGES, Clock.UNREAD: 90}) is StorageClass.GLACIER_IR
    assert policy.due({**AGES, Clock.STUDY: 800}) is StorageClass.DEEP_ARCHIVE
    assert policy.due({**AGES, Clock.STORED: 29}) is StorageClass.STANDARD


def test_retention_is_over_by_study_age_alone() -> None:
    assert not Policy("p").is_over({**AGES, Clock.STUDY: 100_000})
    assert not Policy("p", retention_days=401).is_over({**AGES, Clock.STORED: 9999})
    assert Policy("p", retention_days=400).is_over(AGES)

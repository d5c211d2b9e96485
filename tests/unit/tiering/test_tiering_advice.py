"""What is said about policies: each finding names its step and what to do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs_cloud.objectstore.storage_classes import StorageClass
from pacs_cloud.tiering.advice import Severity, advise, is_feasible
from pacs_cloud.tiering.policy import Clock, Facts, Match, Policy, Step

IA, IT = StorageClass.STANDARD_IA, StorageClass.INTELLIGENT_TIERING
IR, GLACIER, DEEP = StorageClass.GLACIER_IR, StorageClass.GLACIER, StorageClass.DEEP_ARCHIVE
STORED, UNREAD = Clock.STORED, Clock.UNREAD


def steps(*given: tuple[StorageClass, int] | tuple[StorageClass, int, Clock]) -> tuple[Step, ...]:
    return tuple(Step(*one) for one in given)


def said(policy: Policy, *before: Policy) -> list[str]:
    """What is said about `policy` behind `before`, without notes."""
    return [
        f"{one.severity} {one.step}: {one.sentence}"
        for one in advise([*before, policy])
        if one.policy == policy.name and one.severity is not Severity.NOTE
    ]


@pytest.mark.parametrize(
    "policy",
    [
        Policy("stays hot"),
        Policy("a", steps=steps((IA, 30), (IR, 60), (GLACIER, 150), (DEEP, 365))),
        Policy("a", steps=steps((IT, 0), (IR, 1))),
        Policy("a", steps=steps((IR, 90, STORED), (DEEP, 730)), retention_days=3653),
        Policy("a", steps=steps((IA, 30, STORED), (IR, 90, UNREAD)), retention_days=365),
        Policy("a", steps=steps((IR, 275)), retention_days=365),
        Policy("a", Match(modalities=frozenset({"SR", "CT"})), steps((IR, 90))),
    ],
)
def test_nothing_is_wrong(policy: Policy) -> None:
    assert said(policy) == []


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        (
            Policy("a", steps=steps((DEEP, 400), (IR, 800))),
            (
                "error 2: GLACIER_IR is not colder than DEEP_ARCHIVE, which a step before it moves to: "
                "order the steps from warm to cold, or take this one out"
            ),
        ),
        (
            Policy("a", steps=steps((IR, 90), (IR, 180))),
            (
                "error 2: GLACIER_IR is not colder than GLACIER_IR, which a step before it moves to: "
                "order the steps from warm to cold, or take this one out"
            ),
        ),
        (
            Policy("a", steps=steps((IT, 30), (IA, 60))),
            (
                "error 2: STANDARD_IA is no colder than INTELLIGENT_TIERING, which a step before it "
                "moves to: keep one of the two"
            ),
        ),
        (
            Policy("a", steps=steps((StorageClass.STANDARD, 1))),
            "error 1: nothing moves back to STANDARD: take the step out",
        ),
        (
            Policy("a", steps=steps((IA, 29))),
            (
                "error 1: S3 moves nothing to STANDARD_IA before it is 30 days old: "
                "write 30 or more instead of study_age_days = 29"
            ),
        ),
        (
            Policy("a", steps=steps((IA, 90, STORED), (IR, 90, STORED))),
            (
                "error 2: stored_days = 90 is no later than 90 days of a step before it: "
                "write 91 or more"
            ),
        ),
        (
            Policy("a", steps=steps((IA, 90), (IR, 10, STORED), (GLACIER, 89))),
            (
                "error 3: study_age_days = 89 is no later than 90 days of a step before it: "
                "write 91 or more"
            ),
        ),
        (
            Policy("a", steps=steps((IR, 365)), retention_days=365),
            (
                "error 1: study_age_days = 365 is never reached, since retention ends after 365: "
                "take the step out, or keep studies for longer"
            ),
        ),
        (
            Policy("a", steps=steps((IR, 400, UNREAD)), retention_days=365),
            (
                "error 1: unread_days = 400 is never reached, since retention ends after 365: "
                "take the step out, or keep studies for longer"
            ),
        ),
        (
            Policy("a", Match(least_bytes=2, most_bytes=1)),
            (
                "error None: no study has at least 2 and at most 1 bytes: "
                "min_bytes must not be above max_bytes"
            ),
        ),
    ],
)
def test_what_cannot_be_carried_out(policy: Policy, sentence: str) -> None:
    assert sentence in said(policy)
    assert not is_feasible(advise([policy]))


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        (
            Policy("a", steps=steps((IA, 30), (IR, 45))),
            (
                "warning 2: it leaves STANDARD_IA after 15 days, and S3 bills 30: "
                "write 60 or more, or take step 1 out"
            ),
        ),
        (
            Policy("a", steps=steps((IR, 90), (GLACIER, 100, UNREAD), (DEEP, 365 + 14))),
            None,
        ),
        (
            Policy("a", steps=steps((IR, 300), (GLACIER, 100, UNREAD), (DEEP, 370))),
            (
                "warning 3: it leaves GLACIER_IR after 70 days, and S3 bills 90: "
                "write 390 or more, or take step 1 out"
            ),
        ),
        (
            Policy("a", steps=steps((IA, 30), (DEEP, 400)), retention_days=401),
            (
                "warning 2: retention ends 1 day later, and S3 bills DEEP_ARCHIVE for 180: keep "
                "studies for 580 days, or see by `cost simulate` whether the step saves anything"
            ),
        ),
        (
            Policy("a", retention_days=364),
            (
                "warning None: studies need not be kept for longer than 364 days, and `tier expired "
                "--delete` deletes them then: see that no law asks for years (retention_years)"
            ),
        ),
        (
            Policy("a", steps=steps((DEEP, 180))),
            (
                "warning 1: a study may be 180 days old, and reading it from DEEP_ARCHIVE takes up to "
                "12 hours: write 365 or more, or use GLACIER_IR"
            ),
        ),
        (
            Policy("a", steps=steps((GLACIER, 1))),
            (
                "warning 1: a study may be 1 day old, and reading it from GLACIER takes up to 5 "
                "hours: write 90 or more, or use GLACIER_IR"
            ),
        ),
        (
            Policy("a", Match(most_bytes=131_071), steps((IR, 90))),
            (
                "warning 1: no pack of a study of 131071 bytes has the 128 KiB that a move takes: "
                "take the steps out, or raise max_bytes"
            ),
        ),
        (
            Policy("a", Match(modalities=frozenset({"SR", "KO"})), steps((IR, 90))),
            (
                "warning 1: packs of KO, SR are mostly smaller than the 128 KiB that a move "
                "takes, and stay where they are"
            ),
        ),
        (
            Policy("a", steps=steps((IA, 365, UNREAD), (IR, 365, STORED))),
            (
                "warning 1: step 2 is always due by then, so that this step moves nothing: "
                "take it out, or give it fewer days"
            ),
        ),
    ],
)
def test_what_is_hardly_meant(policy: Policy, sentence: str | None) -> None:
    assert said(policy) == ([] if sentence is None else [sentence])
    assert is_feasible(advise([policy]))


def test_what_is_worse_comes_first_then_by_step() -> None:
    policy = Policy("a", steps=steps((DEEP, 30, UNREAD), (IR, 40, UNREAD)))
    assert [(str(one.severity), one.step) for one in advise([policy])] == [
        ("error", 2),
        ("warning", 1),
        ("note", 1),
        ("note", 2),
    ]


def test_a_policy_behind_a_broader_one() -> None:
    broad = Policy("broad", Match(tenants=frozenset({"north"}), descriptions=("CT*",)))
    narrow = Policy("narrow", Match(tenants=frozenset({"north"}), descriptions=("ct head*",)))
    assert said(narrow, broad) == [
        (
            'warning None: every study that it is for falls under "broad" first: '
            "put it before that one, or take it out"
        )
    ]
    assert said(broad, narrow) == []


def test_unread_days_are_no_surprise_since_reading_is_recorded() -> None:
    assert said(Policy("a", steps=steps((IR, 90, UNREAD)))) == []


def test_what_a_class_makes_of_small_packs_is_said_once() -> None:
    policies = [
        Policy("a", steps=steps((IT, 0), (IR, 90))),
        Policy("b", steps=steps((IR, 90), (GLACIER, 365))),
    ]
    assert [(one.policy, one.step, one.sentence) for one in advise(policies)] == [
        (
            "a",
            1,
            (
                "INTELLIGENT_TIERING never moves an object under 128 KiB to a cheaper tier: "
                "packs under 128 KiB stay where they are"
            ),
        ),
        (
            "a",
            1,
            (
                "leave the bucket's archive access tiers of INTELLIGENT_TIERING off: whatever they "
                "take in has to be recalled before it is read, as from a cold class"
            ),
        ),
        (
            "a",
            2,
            (
                "GLACIER_IR bills every pack as 128 KiB or more: "
                "packs under 128 KiB stay where they are"
            ),
        ),
        (
            "b",
            None,
            (
                'every study that it is for falls under "a" first: '
                "put it before that one, or take it out"
            ),
        ),
        (
            "b",
            2,
            ("GLACIER bills 40 KiB more for every pack: packs under 128 KiB stay where they are"),
        ),
    ]


_WORDS = st.text("ab*?", max_size=3)
_TEXTS = st.text("ab", max_size=4)
_NAMES = st.frozensets(st.sampled_from("xy"))
_MATCHES = st.builds(
    Match,
    tenants=_NAMES,
    modalities=_NAMES,
    descriptions=st.lists(_WORDS, max_size=2).map(tuple),
    institutions=st.lists(_WORDS, max_size=1).map(tuple),
    least_bytes=st.integers(0, 2),
    most_bytes=st.none() | st.integers(0, 2),
)
_FACTS = st.builds(
    Facts,
    tenant=st.sampled_from("xy"),
    modalities=_NAMES,
    description=_TEXTS,
    institution=_TEXTS,
    length_bytes=st.integers(0, 3),
    ages=st.just({}),
)


@given(broad=_MATCHES, narrow=_MATCHES, facts=_FACTS)
def test_what_covers_matches_all_that_the_other_does(
    broad: Match, narrow: Match, facts: Facts
) -> None:
    if broad.covers(narrow) and Policy("n", narrow).matches(facts):
        assert Policy("b", broad).matches(facts)


@given(match=_MATCHES)
def test_a_match_covers_itself_and_everything_covers_it(match: Match) -> None:
    assert match.covers(match)
    assert Match().covers(match)


@pytest.mark.parametrize(
    ("wide", "narrow", "covers"),
    [
        ("CT*", "ct head?", True),
        ("*", "", True),
        ("*HEAD*", "CT HEAD*", True),
        ("CT?", "CT*", False),
        ("CT", "CT*", False),
        ("CT*", "*", False),
    ],
)
def test_which_pattern_covers_which(wide: str, narrow: str, covers: bool) -> None:
    assert Match(descriptions=(wide,)).covers(Match(descriptions=(narrow,))) is covers

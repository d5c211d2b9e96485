"""Sensitive studies: seen by whoever is named for their labels, and by administrators."""

from dataclasses import replace
from itertools import product

import pytest

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.security import access
from pacs_cloud.security.caller import Action, Caller, Grant, Role
from pacs_cloud.security.claims import grants_for, read_table
from pacs_cloud.security.grant_text import grant_texts, parse_grant
from pacs_cloud.security.labels import SENSITIVE, label_of
from pacs_cloud.security.rules import StudyFacts, StudyRule, rules_despite
from pacs_cloud.settings import Settings

PLAIN = StudyFacts("1.2.3", "North", "", frozenset({"CT"}), frozenset({"teaching"}))
VIP = replace(PLAIN, labels=frozenset({"teaching", "vip"}), is_sensitive_by=frozenset({"vip"}))
BOTH = replace(
    PLAIN, labels=frozenset({"sensitive", "vip"}), is_sensitive_by=frozenset({"sensitive", "vip"})
)
SHOWING = [action for action in Action if action is not Action.STORE]


def caller(*grants: str, **fields: object) -> Caller:
    made = tuple(replace(parse_grant(text), **fields) for text in grants)
    return Caller("default", "user:anna", made)


@pytest.mark.parametrize(("role", "action"), [*product(Role, SHOWING)], ids=str)
def test_no_role_but_the_administrator_s_shows_them(role: Role, action: Action) -> None:
    somebody = Caller("default", "user:anna", (Grant(role),))
    assert access.may_with(somebody, action, VIP) is (role is Role.ADMIN)
    assert access.is_bounded(somebody, action, SENSITIVE) is (role is not Role.ADMIN)


@pytest.mark.parametrize(
    ("grant", "plain", "vip", "both"),
    [
        ("radiologist;label=vip", False, True, False),
        ("radiologist;label=vip;label=sensitive", False, True, True),
        ("radiologist;label=teaching", True, False, False),
        ("radiologist;label=teaching;label=vip", True, True, False),
        ("radiologist;study=1.2.3", True, False, False),
        ("radiologist;institution=North", True, False, False),
        ("radiologist;institution=South;label=vip", False, False, False),
        ("guest;study=1.2.3", True, False, False),
        ("referrer;label=vip", False, True, False),
        ("admin;institution=North", True, True, True),
        ("admin;institution=South", False, False, False),
        ("auditor;label=vip", False, False, False),
    ],
)
def test_a_rule_names_each_label_whereby_a_study_is_sensitive(
    grant: str, plain: bool, vip: bool, both: bool
) -> None:
    somebody = caller(grant)
    for facts, sees in ((PLAIN, plain), (VIP, vip), (BOTH, both)):
        assert access.may_with(somebody, Action.READ, facts) is sees
        shown = access.series_with(somebody, Action.READ, facts)
        assert shown == (None if sees else frozenset())


def test_another_role_s_label_opens_nothing_to_this_one() -> None:
    assert not access.may_with(caller("radiologist", "auditor;label=vip"), Action.READ, VIP)
    assert access.may_with(caller("radiologist", "radiologist;label=vip"), Action.READ, VIP)


@pytest.mark.parametrize("role", [Role.DEVICE, Role.TECHNOLOGIST, Role.RADIOLOGIST])
def test_who_brings_in_whatever_comes_goes_on_with_a_sensitive_study(role: Role) -> None:
    assert access.may_with(caller(role), Action.STORE, VIP)
    assert not access.is_bounded(caller(role), Action.STORE, SENSITIVE)
    assert not access.may_with(caller(f"{role};study=1.2.3"), Action.STORE, VIP)
    assert not access.may_with(caller("guest;study=1.2.3"), Action.STORE, VIP)


def test_without_sensitive_labels_all_is_as_it_was() -> None:
    assert not access.is_bounded(caller("radiologist"), Action.READ)
    assert access.may_with(
        caller("radiologist"), Action.READ, replace(VIP, is_sensitive_by=frozenset())
    )


def test_rules_despite_labels_are_no_wider_than_they_were() -> None:
    rule = StudyRule(studies=frozenset({"1.2.3"}), series=frozenset({"1.2.3.1"}))
    plain, despite = rules_despite(rule, frozenset({"vip"}))
    assert plain == rule
    assert rules_despite(rule, frozenset()) == (rule,)
    for facts, fits in ((PLAIN, (True, False)), (VIP, (False, True)), (BOTH, (False, False))):
        assert (plain.fits(facts), despite.fits(facts)) == fits
        elsewhere = replace(facts, study_instance_uid="1.2.4")
        assert not plain.fits(elsewhere)
        assert not despite.fits(elsewhere)
    assert despite.series == rule.series


class TestBrokenGlass:
    @pytest.mark.parametrize("facts", [PLAIN, VIP, BOTH])
    @pytest.mark.parametrize("role", Role)
    def test_it_gives_seeing_to_who_may_and_nothing_besides(
        self, role: Role, facts: StudyFacts
    ) -> None:
        elsewhere = StudyRule(studies=frozenset({"9.9"}))
        before = Caller("default", "user:anna", (Grant(role, (elsewhere,)),))
        after = access.with_broken_glass(before, frozenset({"1.2.3"}), SENSITIVE)
        may = Action.BREAK_GLASS in access.ALLOWED[role]
        for action in Action:
            gained = may and action in {Action.SEARCH, Action.READ}
            assert access.may_with(after, action, facts) is gained
            other = replace(facts, study_instance_uid="1.2.4")
            assert not access.may_with(after, action, other)
            assert access.may(after, action) is access.may(before, action)
        assert (after.tenant, after.subject) == (before.tenant, before.subject)

    def test_it_gives_no_more_than_a_grant_leaves_of_its_role(self) -> None:
        finds = frozenset({Action.SEARCH, Action.BREAK_GLASS})
        after = access.with_broken_glass(
            caller("radiologist", actions=finds), frozenset({"1.2.3"}), SENSITIVE
        )
        assert access.may_with(after, Action.SEARCH, VIP)
        assert not access.may_with(after, Action.READ, VIP)

    def test_a_grant_without_it_gives_nothing(self) -> None:
        reads = frozenset({Action.SEARCH, Action.READ})
        before = caller("radiologist", actions=reads)
        assert access.with_broken_glass(before, frozenset({"1.2.3"}), SENSITIVE) == before


class TestWords:
    def test_a_label_is_written_as_the_other_words_are(self) -> None:
        grant = parse_grant("radiologist;label= VIP ;label=teaching;modality=CT")
        assert grant.rules == (
            StudyRule(modalities=frozenset({"CT"}), labels=frozenset({"vip", "teaching"})),
        )
        (text,) = grant_texts(grant)
        assert parse_grant(text) == grant

    @pytest.mark.parametrize("text", ["", "a b", "ä", "-a", "x" * 65])
    def test_what_is_no_label_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidRequest):
            parse_grant(f"radiologist;label={text}")
        with pytest.raises(InvalidRequest):
            label_of(text)

    def test_claims_give_them(self) -> None:
        row = {"claim": "groups", "value": "pacs", "role": "radiologist"}
        table = read_table([{**row, "rules": [{"labels": {"claim": "clears"}}]}])
        (grant,) = grants_for({"groups": ["pacs"], "clears": ["VIP"]}, table)
        assert grant.rules == (StudyRule(labels=frozenset({"vip"})),)
        assert grants_for({"groups": ["pacs"]}, table) == ()

    def test_what_settings_take_for_sensitive_is_what_the_core_does(self) -> None:
        assert Settings().sensitive_labels == SENSITIVE
        assert Settings(sensitive_labels="vip, other").sensitive_labels == {"vip", "other"}
        assert Settings(sensitive_labels="[]").sensitive_labels == frozenset()

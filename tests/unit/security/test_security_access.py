"""Who may do what: the table, and rules over studies."""

from itertools import product

import pytest

from pacs_cloud.errors import Denied
from pacs_cloud.security import access
from pacs_cloud.security.caller import Action, Caller, Grant, Role, system
from pacs_cloud.security.rules import StudyFacts, StudyRule

CT = StudyFacts("1.2.3", "St. Elsewhere", "Müller^Anna", frozenset({"CT", "SR"}))
READS = {Action.SEARCH, Action.READ, Action.DOWNLOAD}


def caller(*grants: Grant) -> Caller:
    return Caller("default", "user:somebody", grants)


def test_nobody_may_anything() -> None:
    for action in Action:
        assert not access.may(caller(), action)
        assert not access.may_with(caller(), action, CT)
        with pytest.raises(Denied):
            access.require(caller(), action)


def test_the_archive_itself_may_everything() -> None:
    assert all(access.may_with(system("default"), action, CT) for action in Action)
    assert not any(access.is_bounded(system("default"), action) for action in Action)


def test_every_role_has_its_line() -> None:
    assert set(access.ALLOWED) == set(Role)
    reading = {role for role in Role if access.ALLOWED[role] & READS}
    assert reading == set(Role) - {Role.OPS, Role.AUDITOR, Role.RESEARCHER}
    administering = {role for role in Role if Action.ADMINISTER in access.ALLOWED[role]}
    assert administering == {Role.ADMIN}


@pytest.mark.parametrize(("role", "action"), [*product(Role, Action)], ids=str)
def test_a_role_may_what_its_line_says_and_only_with_what_its_rules_fit(
    role: Role, action: Action
) -> None:
    fits, misses = StudyRule(modalities=frozenset({"CT"})), StudyRule(studies=frozenset({"9"}))
    allowed = action in access.ALLOWED[role]
    bounded = role in access.BOUNDED
    assert access.may(caller(Grant(role)), action) is allowed
    assert access.may_with(caller(Grant(role)), action, CT) is (allowed and not bounded)
    assert access.may_with(caller(Grant(role, (misses, fits))), action, CT) is allowed
    assert not access.may_with(caller(Grant(role, (misses,))), action, CT)
    assert not access.may_with(caller(Grant(role, ())), action, CT)
    assert access.is_bounded(caller(Grant(role)), action) is (bounded or not allowed)
    assert access.is_bounded(caller(Grant(role, (fits,))), action)


def test_one_grant_s_action_is_not_done_with_another_one_s_studies() -> None:
    everywhere = Grant(Role.AUDITOR)
    here = Grant(Role.CLINICIAN, (StudyRule(studies=frozenset({"9"})),))
    assert not access.may_with(caller(everywhere, here), Action.READ, CT)
    assert access.is_bounded(caller(everywhere, here), Action.READ)


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        (StudyRule(), True),
        (StudyRule(institutions=frozenset({"st.  elsewhere "})), True),
        (StudyRule(institutions=frozenset({"St. Elsewhere North"})), False),
        (StudyRule(referring_physicians=frozenset({"MULLER^ANNA"})), True),
        (StudyRule(referring_physicians=frozenset({"MULLER"})), False),
        (StudyRule(modalities=frozenset({"CT", "MR"})), True),
        (StudyRule(modalities=frozenset({"MR"})), False),
        (StudyRule(modalities=frozenset({"SR"})), False),
        (StudyRule(studies=frozenset({"1.2.3"})), True),
        (StudyRule(studies=frozenset({"1.2"})), False),
        (StudyRule(frozenset({"st. elsewhere"}), modalities=frozenset({"MR"})), False),
    ],
)
def test_a_rule_fits_where_all_that_it_says_is_met(rule: StudyRule, *, fits: bool) -> None:
    assert rule.fits(CT) is fits


def test_what_a_study_lacks_fits_no_rule() -> None:
    bare = StudyFacts("1.2.3", "", "", frozenset())
    assert StudyRule().fits(bare)
    assert not StudyRule(institutions=frozenset({""})).fits(bare)
    assert not StudyRule(referring_physicians=frozenset({"^"})).fits(bare)
    assert not StudyRule(modalities=frozenset({"CT"})).fits(bare)


def test_a_study_of_two_modalities_is_not_one_of_either() -> None:
    both = StudyFacts("1.2.3", "", "", frozenset({"CT", "US"}))
    assert not StudyRule(modalities=frozenset({"CT"})).fits(both)
    assert StudyRule(modalities=frozenset({"CT", "US"})).fits(both)

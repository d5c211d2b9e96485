"""Roles in words."""

import pytest

from pacs_cloud.security.access import ALLOWED, BOUNDED
from pacs_cloud.security.caller import Action, Grant, Role
from pacs_cloud.security.rules import StudyRule
from pacs_cloud.web.roles_text import _ACTIONS, ROLE_NAMES, grant_text


def test_every_role_and_action_has_its_words() -> None:
    assert set(ROLE_NAMES) == set(Role)
    assert set(_ACTIONS) == set(Action)


@pytest.mark.parametrize("role", Role)
def test_the_words_are_those_of_the_table_that_decides(role: Role) -> None:
    text = grant_text(Grant(role)).may
    if role is Role.ADMIN:
        assert text == "May do everything."
        return
    for action, words in _ACTIONS.items():
        assert (words in text) == (action in ALLOWED[role]), action


@pytest.mark.parametrize("role", sorted(BOUNDED))
def test_a_bounded_role_without_rules_sees_nothing(role: Role) -> None:
    assert grant_text(Grant(role)).studies == "No study is opened to this role yet."
    assert grant_text(Grant(role, ())).studies == "No study is opened to this role yet."


def test_narrowed_actions_are_told() -> None:
    grant = Grant(Role.DEVICE, None, frozenset({Action.STORE}))
    assert grant_text(grant).may == "May bring studies in."
    assert grant_text(Grant(Role.DEVICE, None, frozenset())).may == "May do nothing."


def test_rules_are_told() -> None:
    rules = (
        StudyRule(institutions=frozenset({"B", "A"}), modalities=frozenset({"CT"})),
        StudyRule(referring_physicians=frozenset({"C"}), studies=frozenset({"1.2"})),
        StudyRule(),
    )
    assert grant_text(Grant(Role.CLINICIAN, rules)).studies == (
        "Only studies of A or B and of modality CT, referred by C and named by its UID or of any"
        " kind."
    )

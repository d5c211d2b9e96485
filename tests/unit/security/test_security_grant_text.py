"""Grants as people write them."""

from dataclasses import fields

import pytest

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.security.access import BOUNDED
from pacs_cloud.security.caller import Grant, Role
from pacs_cloud.security.grant_text import WORDS, grant_of, grant_texts, parse_grant
from pacs_cloud.security.rules import StudyRule


def test_a_role_by_itself_is_for_every_study() -> None:
    for role in set(Role) - BOUNDED:
        assert parse_grant(f" {role.upper()} ") == Grant(role)
        assert grant_texts(Grant(role)) == [role]


def test_words_bound_it() -> None:
    text = (
        "clinician; institution = St. Elsewhere, Boston ;institution=North;referring=DOE^JOHN"
        ";modality=ct, MR;modality=US;study=1.2.3"
    )
    rule = StudyRule(
        frozenset({"St. Elsewhere, Boston", "North"}),
        frozenset({"DOE^JOHN"}),
        frozenset({"CT", "MR", "US"}),
        frozenset({"1.2.3"}),
    )
    assert parse_grant(text) == Grant(Role.CLINICIAN, (rule,))


def test_what_is_shown_can_be_written_again() -> None:
    rules = (StudyRule(frozenset({"North", "A=B, C"})), StudyRule(studies=frozenset({"1.2"})))
    grant = Grant(Role.REFERRER, rules)
    again = [parse_grant(text) for text in grant_texts(grant)]
    assert again == [Grant(Role.REFERRER, (rule,)) for rule in rules]
    assert grant_texts(Grant(Role.GUEST, ())) == []


def test_every_field_of_a_rule_has_its_word() -> None:
    assert set(WORDS.values()) == {field.name for field in fields(StudyRule)}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "root",
        "referrer",
        "guest",
        "researcher",
        "clinician;",
        "clinician;north",
        "clinician;institution=",
        "clinician;institution= ",
        "clinician;modality=CT,",
        "clinician;hospital=North",
        "clinician;study=abc",
        "clinician;study=../x",
        "clinician;institution=a\nb",
        "clinician;institution=" + "x" * 400,
    ],
)
def test_what_is_no_grant(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_grant(text)


def test_nothing_that_is_said_gets_lost() -> None:
    with pytest.raises(InvalidRequest):
        grant_of("clinician", {"institution": ["North; institution=South"]})
    # Never a rule that says nothing: it would be every study.
    with pytest.raises(InvalidRequest):
        grant_of("referrer", {"institution": [], "modality": []})

"""Whom claims are about."""

from dataclasses import replace
from typing import Any

import pytest

from pacs_cloud.identity.oidc_config import OidcConfig
from pacs_cloud.identity.oidc_jwt import TokenRefused
from pacs_cloud.identity.oidc_people import person_of
from pacs_cloud.security.caller import Grant, Role
from pacs_cloud.security.claims import read_table

TABLE = read_table([{"claim": "groups", "value": "doctors", "role": "clinician"}])
CONFIG = OidcConfig("https://login.example", "here", TABLE, name="login")


def test_a_person_with_grants() -> None:
    person = person_of({"sub": "42", "name": "Anna", "groups": ["doctors"]}, CONFIG)
    assert (person.tenant, person.subject, person.display_name, person.grants) == (
        *("here", "oidc:login:42", "Anna"),
        (Grant(Role.CLINICIAN),),
    )
    assert "Anna" not in repr(person)


def test_two_issuers_have_no_user_in_common() -> None:
    one, other = (OidcConfig(f"https://{host}", "t", ()) for host in ("a.example", "b.example"))
    assert person_of({"sub": "42"}, one).subject != person_of({"sub": "42"}, other).subject


@pytest.mark.parametrize(
    "user", [None, "", " ", 42, True, ["a", "b"], {"a": "b"}, "a\nb", "a\0", "a" * 256]
)
def test_who_has_no_name_is_nobody(user: object) -> None:
    with pytest.raises(TokenRefused, match="names no user"):
        person_of({"sub": user, "groups": ["doctors"]}, CONFIG)


def test_another_claim_may_name_users() -> None:
    config = replace(CONFIG, user_claim=("oid",))
    assert person_of({"sub": "pairwise", "oid": "7"}, config).subject == "oidc:login:7"
    with pytest.raises(TokenRefused):
        person_of({"sub": "pairwise"}, config)


def test_an_address_names_users_where_it_is_verified() -> None:
    config = replace(CONFIG, user_claim=("email",))
    said = {"sub": "1", "email": "a@x.example"}
    assert person_of({**said, "email_verified": True}, config).subject == "oidc:login:a@x.example"
    with pytest.raises(TokenRefused):
        person_of(said, config)


@pytest.mark.parametrize(
    ("claims", "shown"),
    [
        ({"preferred_username": "anna"}, "anna"),
        ({"name": ["Anna", "B"], "preferred_username": "anna"}, "anna"),
        ({}, "42"),
        ({"name": "A\n\x1b[31mB\u202ec"}, "A[31mBc"),
        ({"name": "x" * 200}, "x" * 80),
    ],
)
def test_how_somebody_is_greeted(claims: dict[str, Any], shown: str) -> None:
    assert person_of({"sub": "42", **claims}, CONFIG).display_name == shown


@pytest.mark.parametrize("tenant", [None, "", "A", "a/b", "../x", "a" * 64, ["a", "b"], "a\n", 7])
def test_who_has_no_tenant_where_a_claim_says_it_is_nobody(tenant: object) -> None:
    config = replace(CONFIG, tenant_claim=("org",))
    assert person_of({"sub": "1", "org": "there"}, config).tenant == "there"
    with pytest.raises(TokenRefused):
        person_of({"sub": "1", "org": tenant}, config)

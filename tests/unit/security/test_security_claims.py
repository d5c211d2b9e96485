"""What claims grant: the table's words, nothing beyond them, and never more for a lack."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.security import access
from pacs_cloud.security.caller import Action, Caller, Grant, Role
from pacs_cloud.security.claims import grants_for, read_path, read_table, values_at
from pacs_cloud.security.rules import StudyFacts, StudyRule

REFERRER = {
    "claim": "groups",
    "value": "referrers",
    "role": "referrer",
    "rules": [
        {"referring_physicians": {"claim": "dicom_name"}, "institutions": {"claim": "hospital"}}
    ],
}


def granted(row: dict[str, Any], claims: dict[str, Any]) -> tuple[Grant, ...]:
    return grants_for(claims, read_table([row]))


class TestValues:
    @pytest.mark.parametrize(
        ("claims", "path", "values"),
        [
            ({"groups": ["a", "b"]}, ["groups"], ("a", "b")),
            ({"groups": "a"}, ["groups"], ("a",)),
            ({"groups": "a b"}, ["groups"], ("a b",)),
            ({"realm_access": {"roles": ["a"]}}, ["realm_access", "roles"], ("a",)),
            ({"https://x.example/roles": ["a"]}, ["https://x.example/roles"], ("a",)),
            ({"scope": "openid pacs"}, ["scope"], ("openid", "pacs")),
            ({"scp": "a b"}, ["scp"], ("a", "b")),
            ({"groups": ["a", 1, None, ["b"], " ", "", "x" * 300, "\ud800"]}, ["groups"], ("a",)),
            ({"groups": {"a": True}}, ["groups"], ()),
            ({"groups": True}, ["groups"], ()),
            ({"groups": 7}, ["groups"], ()),
            ({"groups": "a"}, ["groups", "a"], ()),
            ({"groups": ["a"]}, ["groups", "0"], ()),
            ({}, ["groups"], ()),
            ({"email": "a@x", "email_verified": True}, ["email"], ("a@x",)),
            ({"email": "a@x", "email_verified": "true"}, ["email"], ()),
            ({"email": "a@x", "email_verified": False}, ["email"], ()),
            ({"email": "a@x"}, ["email"], ()),
        ],
    )
    def test_texts_at_a_path(
        self, claims: dict[str, Any], path: list[str], values: tuple[str, ...]
    ) -> None:
        assert values_at(claims, path) == values

    def test_a_list_is_read_so_far_only(self) -> None:
        assert len(values_at({"groups": [str(n) for n in range(5000)]}, ["groups"])) == 500


class TestGrants:
    def test_a_value_gives_a_role(self) -> None:
        row = {"claim": "realm_access.roles", "value": "doctors", "role": "radiologist"}
        claims = {"realm_access": {"roles": ["other", "doctors"]}}
        assert granted(row, claims) == (Grant(Role.RADIOLOGIST),)

    @pytest.mark.parametrize("said", ["Doctors", "doctors2", "doctor", "admin", ""])
    def test_another_value_gives_nothing(self, said: str) -> None:
        row = {"claim": "groups", "value": "doctors", "role": "radiologist"}
        assert granted(row, {"groups": [said]}) == ()

    def test_no_table_gives_nothing(self) -> None:
        assert grants_for({"groups": ["admin"], "role": "admin"}, read_table([])) == ()

    def test_rules_take_values_from_claims(self) -> None:
        claims = {"groups": ["referrers"], "dicom_name": "DOE^JANE", "hospital": ["A", "B"]}
        rule = StudyRule(
            referring_physicians=frozenset({"DOE^JANE"}), institutions=frozenset({"A", "B"})
        )
        assert granted(REFERRER, claims) == (Grant(Role.REFERRER, (rule,)),)

    @pytest.mark.parametrize("lack", [None, "", " ", [], [""], 7, {"a": "b"}, True])
    def test_a_rule_whose_claim_is_lacking_is_none_and_not_a_wider_one(self, lack: object) -> None:
        claims = {"groups": ["referrers"], "dicom_name": lack, "hospital": "A"}
        assert granted(REFERRER, claims) == ()

    def test_an_unbounded_role_is_not_unlimited_where_its_rules_are_lacking(self) -> None:
        row = {**REFERRER, "role": "radiologist"}
        assert granted(row, {"groups": ["referrers"], "hospital": "A"}) == ()

    def test_the_rules_that_are_met_remain(self) -> None:
        row = {
            **REFERRER,
            "rules": [{"institutions": {"claim": "hospital"}}, {"modalities": ["CT"]}],
        }
        rule = StudyRule(modalities=frozenset({"CT"}))
        assert granted(row, {"groups": ["referrers"]}) == (Grant(Role.REFERRER, (rule,)),)

    def test_actions_narrow_a_role(self) -> None:
        row = {"claim": "scope", "value": "pacs.find", "role": "clinician", "actions": ["search"]}
        (grant,) = granted(row, {"scope": "openid pacs.find"})
        caller = Caller("t", "oidc:x:y", (grant,))
        assert access.may(caller, Action.SEARCH)
        assert not access.may(caller, Action.READ)

    @given(
        claims=st.dictionaries(
            st.sampled_from(["groups", "dicom_name", "hospital", "sub"]),
            st.recursive(
                st.none()
                | st.booleans()
                | st.integers()
                | st.text(max_size=4)
                | st.just("referrers"),
                lambda inner: (
                    st.lists(inner, max_size=3)
                    | st.dictionaries(st.text(max_size=3), inner, max_size=2)
                ),
            ),
        )
    )
    def test_whatever_claims_say_a_referrer_never_sees_a_strangers_study(
        self, claims: dict[str, Any]
    ) -> None:
        caller = Caller("t", "oidc:x:y", granted(REFERRER, claims))
        facts = StudyFacts("1.2.3", "ELSEWHERE", "STRANGER^A", frozenset({"CT"}))
        assert not access.may_with(caller, Action.READ, facts)


class TestTable:
    @pytest.mark.parametrize(
        "change",
        [
            {"rules": None},
            {"rules": []},
            {"rules": [{}]},
            {"rules": [{"institutions": []}]},
            {"rules": [{"institutions": [""]}]},
            {"rules": [{"institution": ["A"]}]},
            {"rules": [{"institutions": {"claims": "hospital"}}]},
            {"role": "superuser"},
            {"value": ""},
            {"value": None},
            {"claim": ""},
            {"claim": "a..b"},
            {"claim": []},
            {"claim": "["},
            {"actions": []},
            {"actions": ["everything"]},
            {"else": "x"},
        ],
    )
    def test_a_row_that_means_nothing_is_refused(self, change: dict[str, Any]) -> None:
        with pytest.raises(InvalidRequest, match=r"^oidc_grants: 0"):
            read_table([REFERRER | change])

    def test_what_is_wrong_is_said_by_its_place(self) -> None:
        with pytest.raises(InvalidRequest, match="oidc_grants: 1: referrer sees nothing"):
            read_table([REFERRER, {"claim": "a", "value": "b", "role": "referrer"}])

    def test_a_name_with_a_dot_is_a_list_of_names(self) -> None:
        assert read_path("a.b", "x") == ("a", "b")
        assert read_path('["https://x.example/roles"]', "x") == ("https://x.example/roles",)
        with pytest.raises(InvalidRequest, match="oidc_user_claim"):
            read_path("a..b", "oidc_user_claim")

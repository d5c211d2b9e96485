"""A sign-in under way: what the browser keeps is ours, for a while, and gives no secret away."""

import base64
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.identity.oidc_flow import Flows, local_path

NOW_US = 1_800_000_000_000_000
TEN_MINUTES_US = 600_000_000
SECRET, OLD, OTHER = b"s" * 32, b"o" * 32, b"x" * 32


def test_a_sign_in_is_known_again_until_it_is_too_old() -> None:
    flows = Flows([SECRET], "provider")
    flow, token = flows.begin("/studies?q=1", now_us=NOW_US)
    assert flow.return_to == "/studies?q=1"
    assert flows.known(token, now_us=NOW_US) == flow
    assert flows.known(token, now_us=NOW_US + TEN_MINUTES_US - 1) == flow
    assert flows.known(token, now_us=NOW_US + TEN_MINUTES_US) is None


def test_each_sign_in_has_secrets_of_its_own() -> None:
    flows = Flows([SECRET], "provider")
    begun = [flows.begin("/", now_us=NOW_US)[0] for _ in range(50)]
    secrets = {value for flow in begun for value in (flow.state, flow.nonce, flow.verifier)}
    assert len(secrets) == 150
    assert all(43 <= len(value) <= 128 for value in secrets)  # RFC 7636 4.1


def test_the_challenge_is_the_verifiers_digest() -> None:
    flow, _ = Flows([SECRET], "provider").begin("/", now_us=NOW_US)
    digest = hashlib.sha256(flow.verifier.encode()).digest()
    assert flow.challenge == base64.urlsafe_b64encode(digest).decode().rstrip("=")


def test_what_the_browser_keeps_holds_none_of_the_secrets() -> None:
    flow, token = Flows([SECRET], "provider").begin("/", now_us=NOW_US)
    body = base64.urlsafe_b64decode(token.partition(".")[0] + "==").decode()
    for value in (flow.state, flow.nonce, flow.verifier):
        assert value not in token
        assert value not in body
        assert value not in repr(flow)


def test_a_secret_that_was_in_use_before_is_still_known() -> None:
    flow, token = Flows([OLD], "provider").begin("/", now_us=NOW_US)
    assert Flows([SECRET, OLD], "provider").known(token, now_us=NOW_US) == flow


@pytest.mark.parametrize(
    "others", [Flows([OTHER], "provider"), Flows([SECRET], "another provider")]
)
def test_anothers_sign_in_is_not_known(others: Flows) -> None:
    _, token = others.begin("/", now_us=NOW_US)
    assert Flows([SECRET], "provider").known(token, now_us=NOW_US) is None


def test_a_changed_value_is_not_known() -> None:
    flows = Flows([SECRET], "provider")
    _, token = flows.begin("/", now_us=NOW_US)
    body, _, signature = token.partition(".")
    name, _, _ = json.loads(base64.urlsafe_b64decode(body + "=="))
    longer = json.dumps([name, NOW_US * 2, "//evil.example"]).encode()
    forged = base64.urlsafe_b64encode(longer).decode().rstrip("=")
    for changed in (f"{forged}.{signature}", f"{body}.", body, "", ".", f"{token}A", f"{token}="):
        assert flows.known(changed, now_us=NOW_US) is None


@given(st.text(max_size=100))
def test_no_text_at_all_is_a_sign_in_of_ours(text: str) -> None:
    assert Flows([SECRET], "provider").known(text, now_us=NOW_US) is None


@pytest.mark.parametrize("secrets", [[], [b"short"], [SECRET, b"short"]])
def test_a_short_secret_is_none(secrets: list[bytes]) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Flows(secrets, "provider")


@pytest.mark.parametrize("path", ["/", "/a", "/a/b?c=d&e=%2F%2F#f", "/a//b", "/%5Cevil"])
def test_a_path_of_this_archive(path: str) -> None:
    assert local_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        " //evil.example",
        "\t//evil.example",
        "https://evil.example",
        "https:evil.example",
        "javascript:alert(1)",
        "/é",
        "/" + "a" * 1024,
    ],
)
def test_what_may_lead_elsewhere_is_no_path(path: str) -> None:
    with pytest.raises(InvalidRequest, match="not a path of this archive"):
        local_path(path)
    with pytest.raises(InvalidRequest):
        Flows([SECRET], "provider").begin(path, now_us=NOW_US)

"""Tokens: what their header may say, whose signature counts, when they count."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oidc_forging import jwk, private_key, signed, text64
from pacs_cloud.identity.oidc_config import OidcConfig
from pacs_cloud.identity.oidc_jwt import (
    LARGEST_CHARACTERS,
    Fault,
    TokenRefused,
    audiences_of,
    check_times,
    read_header,
    unverified_issuer,
    verified_claims,
)
from pacs_cloud.identity.oidc_keys import read_keys

ALLOWED = OidcConfig("https://x.example", "t", ()).algorithms
NOW_US = 1_800_000_000_000_000
NOW_S = NOW_US // 1_000_000


def refused(fault: Fault) -> Any:
    return pytest.raises(TokenRefused, match=f"^token refused: {fault}$")


@pytest.mark.parametrize("algorithm", sorted(ALLOWED))
def test_a_signature_of_each_allowed_algorithm_counts(algorithm: str) -> None:
    key = private_key(algorithm)
    token = signed({"sub": "a"}, algorithm, key, {"kid": "k"})
    (known,) = read_keys({"keys": [jwk(key, kid="k")]})
    header = read_header(token, ALLOWED)
    assert (header.algorithm, header.key_id, header.type) == (algorithm, "k", "")
    assert algorithm in known.algorithms
    assert verified_claims(token, header, known) == {"sub": "a"}
    head, body, signature = token.split(".")
    for forged in (
        f"{head}.{text64(json.dumps({'sub': 'b'}).encode())}.{signature}",
        f"{head}.{body}.{text64(bytes(len(signature) * 3 // 4))}",
        f"{head}.{body}.{signed({'sub': 'a'}, algorithm, private_key(algorithm, 1)).split('.')[2]}",
    ):
        with refused(Fault.SIGNATURE):
            verified_claims(forged, read_header(forged, ALLOWED), known)


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS256", "HS384", "HS512", "ES256K"])
def test_an_algorithm_that_is_not_allowed_is_refused(algorithm: str) -> None:
    head = text64(json.dumps({"alg": algorithm}).encode())
    with refused(Fault.ALGORITHM):
        read_header(f"{head}.e30.AAAA", ALLOWED)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "RS256", "crit": ["exp"]},
        {"alg": "RS256", "crit": []},
        {"alg": "RS256", "b64": False},
        {"alg": 7},
        {"alg": ["RS256"]},
        {"alg": "RS256", "kid": 7},
        {"alg": "RS256", "typ": ["JWT"]},
    ],
)
def test_a_header_with_odd_words_is_refused(header: dict[str, Any]) -> None:
    with refused(Fault.MALFORMED):
        read_header(f"{text64(json.dumps(header).encode())}.e30.AAAA", ALLOWED)


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "e30.e30.",
        "e30..AAAA",
        "e30=.e30.AAAA",
        "e3 0.e30.AAAA",
        "e30.e30.AAAA\n",
        "é.e30.AAAA",
        "A.e30.AAAA",
        f"{text64(b'[]')}.e30.AAAA",
        f"{text64(b'null')}.e30.AAAA",
        f"{text64(b'{')}.e30.AAAA",
        f"{text64(bytes([0xFF, 0xFE]))}.e30.AAAA",
        f"{text64(b'[' * 9000)}.e30.AAAA",
        f"{text64(b'{' + b' ' * LARGEST_CHARACTERS + b'}')}.e30.AAAA",
    ],
    ids=range(18),
)
def test_what_is_no_token_is_refused(token: str) -> None:
    with refused(Fault.MALFORMED):
        read_header(token, ALLOWED)


@given(st.text(max_size=200) | st.from_regex(r"[A-Za-z0-9_-]{1,80}(\.[A-Za-z0-9_-]{1,80}){2}"))
def test_nothing_but_a_refusal_comes_of_any_text(text: str) -> None:
    for read in (lambda: read_header(text, ALLOWED), lambda: unverified_issuer(text)):
        with contextlib.suppress(TokenRefused):
            read()


@pytest.mark.parametrize("payload", [b"[]", b'"a"', b"{", b"[" * 9000, b'{"exp": NaN}'])
def test_a_signed_payload_that_is_no_object_is_refused(payload: bytes) -> None:
    key = private_key("EdDSA")
    token = signed(payload, "EdDSA", key)
    (known,) = read_keys({"keys": [jwk(key)]})
    with refused(Fault.MALFORMED):
        verified_claims(token, read_header(token, ALLOWED), known)


@pytest.mark.parametrize(
    ("typ", "kind"),
    [("JWT", "jwt"), ("at+jwt", "at+jwt"), ("application/AT+JWT", "at+jwt"), ("x", "x")],
)
def test_the_kind_of_a_token(typ: str, kind: str) -> None:
    token = signed({}, "EdDSA", private_key("EdDSA"), {"typ": typ})
    assert read_header(token, ALLOWED).type == kind


class TestTimes:
    @pytest.mark.parametrize(
        ("claims", "fault"),
        [
            ({"exp": NOW_S + 1}, None),
            ({"exp": NOW_S - 29}, None),
            ({"exp": NOW_S - 30}, Fault.EXPIRED),
            ({"exp": NOW_S - 30.5}, Fault.EXPIRED),
            ({"exp": NOW_S + 9, "nbf": NOW_S + 30, "iat": NOW_S + 30}, None),
            ({"exp": NOW_S + 99, "nbf": NOW_S + 31}, Fault.EARLY),
            ({"exp": NOW_S + 99, "iat": NOW_S + 31}, Fault.EARLY),
            ({}, Fault.MALFORMED),
            ({"exp": None}, Fault.MALFORMED),
            ({"exp": str(NOW_S + 9)}, Fault.MALFORMED),
            ({"exp": True}, Fault.MALFORMED),
            ({"exp": -1}, Fault.MALFORMED),
            ({"exp": 1e300}, Fault.MALFORMED),
            ({"exp": float("nan")}, Fault.MALFORMED),
            ({"exp": float("inf")}, Fault.MALFORMED),
            ({"exp": 10**400}, Fault.MALFORMED),
            ({"exp": NOW_S + 9, "nbf": "0"}, Fault.MALFORMED),
            ({"exp": NOW_S + 9, "iat": []}, Fault.MALFORMED),
        ],
    )
    def test_a_token_counts_in_its_time(self, claims: dict[str, Any], fault: Fault | None) -> None:
        if fault is None:
            assert check_times(claims, now_us=NOW_US, skew_s=30) == claims["exp"] + 30
        else:
            with refused(fault):
                check_times(claims, now_us=NOW_US, skew_s=30)


@pytest.mark.parametrize(
    ("said", "audiences"),
    [
        ("a", {"a"}),
        (["a", "b"], {"a", "b"}),
        (["a", 1], set()),
        ([["a"]], set()),
        ({"a": 1}, set()),
        (None, set()),
        ([], set()),
    ],
)
def test_whom_a_token_is_for(said: object, audiences: set[str]) -> None:
    assert audiences_of({"aud": said}) == audiences

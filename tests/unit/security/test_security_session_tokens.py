"""Signed tokens, checked by a reader of our own, and forged in the usual ways."""

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace
from hashlib import sha256

import jwt
import pytest

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.security.session_tokens import SessionClaims, SessionSigner

OLD, NEW = b"o" * 32, b"n" * 40
CLAIMS = SessionClaims("default", "user:anna", "sid", "mark", 1000, 1000, 2800, 44_200)


def part(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def derived(secret: bytes, use: bytes) -> bytes:
    """HKDF by RFC 5869 2.2 and 2.3: one block is enough."""
    prk = hmac.digest(bytes(32), secret, sha256)
    return hmac.digest(prk, b"pacs-cloud " + use + b"\x01", sha256)


def resigned(header: dict, payload: dict, key: bytes) -> str:
    body = f"{text(json.dumps(header).encode())}.{text(json.dumps(payload).encode())}"
    return f"{body}.{text(hmac.digest(key, body.encode(), sha256))}"


def test_a_token_says_what_was_signed() -> None:
    token = SessionSigner([NEW]).signed(CLAIMS)
    header, payload, signature = token.split(".")
    assert json.loads(part(header)) == {"alg": "HS256", "typ": "pacs-session+jwt"}
    assert json.loads(part(payload))["sub"] == "user:anna"
    expected = hmac.digest(derived(NEW, b"session"), f"{header}.{payload}".encode(), sha256)
    assert part(signature) == expected
    assert SessionSigner([NEW]).read(token) == CLAIMS


def test_secrets_are_exchanged_one_behind_the_other() -> None:
    before, between, after = SessionSigner([OLD]), SessionSigner([NEW, OLD]), SessionSigner([NEW])
    assert between.read(before.signed(CLAIMS)) == CLAIMS
    assert before.read(between.signed(CLAIMS)) is None
    assert after.read(between.signed(CLAIMS)) == CLAIMS
    assert after.read(before.signed(CLAIMS)) is None
    assert between.is_csrf("sid", before.csrf_of("sid"))
    assert not after.is_csrf("sid", before.csrf_of("sid"))


@pytest.mark.parametrize("secrets", [[], [b""], [b"x" * 31], [NEW, b"short"]])
def test_short_secrets_are_refused(secrets: list[bytes]) -> None:
    with pytest.raises(InvalidRequest):
        SessionSigner(secrets)


def test_forgeries() -> None:
    signer = SessionSigner([NEW])
    token = signer.signed(CLAIMS)
    header, payload, signature = token.split(".")
    said, head = json.loads(part(payload)), json.loads(part(header))
    key = derived(NEW, b"session")
    assert signer.read(resigned(head, said, key)) == CLAIMS
    forged = [
        "",
        "x",
        token[:-2],
        f"{header}.{payload}.",
        f"{header}.{text(json.dumps(said | {'sub': 'user:admin'}).encode())}.{signature}",
        resigned(head | {"alg": "none"}, said, key),
        f"{text(json.dumps(head | {'alg': 'none'}).encode())}.{payload}.",
        resigned(head | {"alg": "HS512"}, said, key),
        resigned(head | {"typ": "JWT"}, said, key),
        resigned({"alg": "HS256"}, said, key),
        resigned(head, said, NEW),
        resigned(head, said, derived(NEW, b"csrf")),
        resigned(head, {**said, "sub": 7}, key),
        resigned(head, {**said, "exp": True}, key),
        resigned(head, {**said, "exp": 2800.5}, key),
        resigned(head, {name: said[name] for name in said if name != "end"}, key),
        jwt.encode(said, None, "none", headers={"typ": head["typ"]}),
        token + "A" * 5000,
    ]
    for one in forged:
        assert signer.read(one) is None, one[:200]


def test_a_session_is_over_when_idle_and_at_its_end() -> None:
    assert CLAIMS.is_good(1000)
    assert CLAIMS.is_good(2799.9)
    assert not CLAIMS.is_good(2800)
    renewed = replace(CLAIMS, idle_s=99_999)
    assert renewed.is_good(44_199)
    assert not renewed.is_good(44_200)
    # Another machine's clock may go before ours, by a little.
    assert CLAIMS.is_good(960)
    assert not CLAIMS.is_good(900)


def test_a_form_is_bound_to_its_session() -> None:
    signer = SessionSigner([NEW])
    given = signer.csrf_of("sid")
    assert signer.is_csrf("sid", given)
    for wrong in ("", given[:-1], given + "=", signer.csrf_of("other"), "é", "\ud800"):
        assert not signer.is_csrf("sid", wrong)

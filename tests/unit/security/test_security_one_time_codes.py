"""One-time codes by the vectors of RFC 6238, and recovery codes."""

from base64 import b32decode, b32encode
from urllib.parse import parse_qs, urlsplit

import pytest

from pacs_cloud.security.one_time_codes import (
    enrolment_uri,
    new_recovery_codes,
    new_secret,
    recovery_hash,
    recovery_used,
    step_of,
)

SECRET = b32encode(b"12345678901234567890").decode()
S = 1_000_000


@pytest.mark.parametrize(
    ("time_s", "code"),
    [  # RFC 6238, appendix B, the last six of eight digits
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_the_vectors_of_rfc_6238(time_s: int, code: str) -> None:
    assert step_of(SECRET, code, now_us=time_s * S, after=-1) == time_s // 30
    assert step_of(SECRET, f" {code[:3]} {code[3:]}", now_us=time_s * S, after=-1) == time_s // 30


def test_a_code_counts_a_step_before_and_behind_and_no_more() -> None:
    for late_s, step in ((-31, 1), (0, 1), (30, 1), (60, None), (-61, None)):
        now_us = (59 + late_s) * S
        if now_us >= 0:
            assert step_of(SECRET, "287082", now_us=now_us, after=-1) == step


def test_no_code_is_taken_twice_nor_one_before_it() -> None:
    assert step_of(SECRET, "287082", now_us=59 * S, after=0) == 1
    assert step_of(SECRET, "287082", now_us=59 * S, after=1) is None
    assert step_of(SECRET, "287082", now_us=59 * S, after=2) is None


@pytest.mark.parametrize("code", ["", "28708", "2870822", "28708x", "²87082", "٢87082", "9" * 9999])
def test_what_is_no_code(code: str) -> None:
    assert step_of(SECRET, code, now_us=59 * S, after=-1) is None


def test_what_an_authenticator_is_told() -> None:
    secret = new_secret()
    assert len(b32decode(secret)) >= 20
    assert secret != new_secret()
    uri = urlsplit(enrolment_uri(secret, "anna@x.example", "pacs-cloud"))
    assert (uri.scheme, uri.netloc) == ("otpauth", "totp")
    assert parse_qs(uri.query) == {"secret": [secret], "issuer": ["pacs-cloud"]}


def test_recovery_codes_open_once_each() -> None:
    codes = new_recovery_codes()
    kept = [recovery_hash(one) for one in codes]
    assert len(set(codes)) == len(set(kept)) == 10
    assert not set(codes) & set(kept)
    assert recovery_used(codes[3], kept) == kept[3]
    assert recovery_used(codes[3].upper().replace("-", " "), kept) == kept[3]
    assert recovery_used(codes[3], [*kept[:3], *kept[4:]]) is None
    for wrong in ("", codes[3][:-1], codes[3][:-1] + "1", kept[3], "287082"):
        assert recovery_used(wrong, kept) is None

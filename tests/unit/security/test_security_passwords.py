"""Which passwords are taken, and what is kept of them."""

import base64
import unicodedata

import pytest
from argon2 import extract_parameters
from argon2.low_level import Type
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id as PeerArgon2id

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.security.passwords import LONGEST, Argon2id, accepted

CHEAP = Argon2id(passes=1, memory_kib=8, lanes=1)
GOOD = "horse staple lamp"


@pytest.mark.parametrize(
    "password",
    [
        GOOD,
        "ultra!9x7-kQ2mm",
        "лошадь скрепка лампа",
        "plum" + " tree" * 3 + "x",
        "a long sentence about nothing in particular, " + "and then some " * 9,
        "            yes twelve",
    ],
)
def test_length_is_enough(password: str) -> None:
    assert accepted(password) == password


@pytest.mark.parametrize(
    ("password", "word"),
    [
        ("", "12 characters"),
        ("short1!Aa", "12 characters"),
        ("x" * (LONGEST + 1), "at most"),
        ("123456789012", "anybody"),
        ("012345678901", "anybody"),
        ("987654321098", "anybody"),
        ("password12345", "anybody"),
        ("PASSWORD!!!!!", "anybody"),
        ("P@ssw0rd1234", "anybody"),
        ("Welcome2026!!", "anybody"),
        ("passwordpassword", "anybody"),
        ("qwertyuiopas", "anybody"),
        ("asdfgh123456!", "anybody"),
        ("qwertzuiop12", "anybody"),
        ("aaaaaaaaaaaab", "anybody"),
        ("abcabcabcabc", "anybody"),
        ("correct horse battery staple", "anybody"),
        ("anna.smith2026", "anybody"),
        ("AnnaSmith!!!", "anybody"),
        ("anna-smith-anna-smith", "anybody"),
        ("x.example12345", "anybody"),
    ],
)
def test_what_anybody_would_try_is_refused_without_repeating_it(password: str, word: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        accepted(password, name="anna.smith", email="Anna@x.example")
    assert word in str(refused.value)
    assert not password or password not in str(refused.value)


def test_a_password_is_the_same_however_it_is_typed() -> None:
    composed = unicodedata.normalize("NFC", "müßige Pferde ﬁnden")
    decomposed = unicodedata.normalize("NFD", composed)
    assert composed != decomposed
    kept = CHEAP.hashed(accepted(composed))
    assert CHEAP.is_right(kept, decomposed)
    assert CHEAP.is_right(CHEAP.hashed(decomposed), composed)
    # What looks the same counts as the same before its length is measured.
    with pytest.raises(InvalidRequest):
        accepted("e\u0301" * 6 + "abcde")


def test_a_hash_is_argon2id_at_the_cost_of_rfc_9106() -> None:
    kept = Argon2id().hashed(GOOD)
    found = extract_parameters(kept)
    assert (found.type, found.version) == (Type.ID, 19)
    assert (found.time_cost, found.memory_cost, found.parallelism) == (3, 65_536, 4)
    assert (found.salt_len, found.hash_len) == (16, 32)
    assert Argon2id().is_right(kept, GOOD)
    assert kept != Argon2id().hashed(GOOD)


def test_another_implementation_makes_the_same_hash() -> None:
    *_, salt, made = Argon2id().hashed(GOOD).split("$")

    def data(text: str) -> bytes:
        return base64.b64decode(text + "=" * (-len(text) % 4))

    try:
        peer = PeerArgon2id(salt=data(salt), length=32, iterations=3, lanes=4, memory_cost=65_536)
    except UnsupportedAlgorithm:
        pytest.skip("this OpenSSL knows no Argon2 (3.2 does)")
    assert peer.derive(GOOD.encode()) == data(made)


def test_only_the_password_is_right() -> None:
    kept = CHEAP.hashed(GOOD)
    assert CHEAP.is_right(kept, GOOD)
    for wrong in ("", GOOD + " ", GOOD[:-1], GOOD.upper(), GOOD * 200, "\ud800" * 20):
        assert not CHEAP.is_right(kept, wrong)


def test_nothing_is_right_where_none_is_kept() -> None:
    # Of all that `verify` could take for a hash, this one is of the same cost.
    assert not CHEAP.is_right("", GOOD)
    assert not CHEAP.is_right("", "")
    assert not CHEAP.is_right("no hash", GOOD)
    assert extract_parameters(Argon2id()._nobody) == extract_parameters(Argon2id().hashed("x"))


def test_a_hash_at_another_cost_is_outdated() -> None:
    kept = CHEAP.hashed(GOOD)
    dearer = Argon2id(passes=2, memory_kib=8, lanes=1)
    assert not CHEAP.is_outdated(kept)
    assert dearer.is_outdated(kept)
    assert dearer.is_right(kept, GOOD)

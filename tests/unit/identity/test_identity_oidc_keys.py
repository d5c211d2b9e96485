"""A provider's key set: which of its keys a signature may be checked with."""

from typing import Any

import pytest

from oidc_forging import jwk, private_key
from pacs_cloud.identity.oidc_keys import fitting, read_keys

RSA_FAMILY = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}


@pytest.mark.parametrize(
    ("algorithm", "allowed"),
    [("RS256", RSA_FAMILY), *((one, {one}) for one in ("ES256", "ES384", "ES512", "EdDSA"))],
)
def test_a_key_is_for_one_kind_of_signature(algorithm: str, allowed: set[str]) -> None:
    (key,) = read_keys({"keys": [jwk(private_key(algorithm), kid="k", use="sig")]})
    assert (key.key_id, key.algorithms) == ("k", allowed)


def test_a_key_that_names_its_algorithm_is_for_no_other() -> None:
    (key,) = read_keys({"keys": [jwk(private_key("RS256"), alg="PS384")]})
    assert key.algorithms == {"PS384"}


def test_a_set_that_gives_private_parts_away_makes_no_private_key() -> None:
    numbers = private_key("EdDSA").private_bytes_raw()
    given_away = jwk(private_key("EdDSA"), d=numbers.hex())
    (key,) = read_keys({"keys": [given_away]})
    assert not hasattr(key.key, "sign")


@pytest.mark.parametrize(
    "entry",
    [
        {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "alg": "HS256"},
        {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "alg": "RS256"},
        jwk(private_key("RS256", bits=1024)),
        jwk(private_key("RS256"), use="enc"),
        jwk(private_key("RS256"), use=["sig"]),
        jwk(private_key("RS256"), key_ops=["encrypt"]),
        jwk(private_key("RS256"), key_ops="verify"),
        jwk(private_key("RS256"), alg="RSA-OAEP"),
        jwk(private_key("RS256"), alg="HS256"),
        jwk(private_key("RS256"), alg="ES256"),
        jwk(private_key("RS256"), alg=["RS256"]),
        jwk(private_key("RS256"), kid=7),
        {**jwk(private_key("RS256")), "n": "!"},
        {**jwk(private_key("RS256")), "n": 7},
        {**jwk(private_key("RS256")), "e": "AA"},
        {**jwk(private_key("RS256")), "e": "Ag"},
        {"kty": "RSA"},
        {**jwk(private_key("ES256")), "crv": "secp256k1"},
        {**jwk(private_key("ES256")), "crv": "P-384"},
        {**jwk(private_key("ES256")), "x": "AAAA"},
        {**jwk(private_key("ES256")), "crv": ["P-256"]},
        {**jwk(private_key("EdDSA")), "crv": "X25519"},
        {**jwk(private_key("EdDSA")), "x": "AAAA"},
        {"kty": "OKP", "crv": "Ed25519"},
        {},
        [],
        "key",
        None,
    ],
    ids=range(28),
)
def test_a_key_that_nothing_may_be_checked_with_is_left_out(entry: Any) -> None:
    strong = jwk(private_key("EdDSA"), kid="strong")
    assert [key.key_id for key in read_keys({"keys": [entry, strong]})] == ["strong"]


def test_an_rsa_key_that_takes_a_processor_long_is_left_out() -> None:
    huge = {"kty": "RSA", "n": "_" * (9000 * 4 // 3 // 8), "e": "AQAB"}
    assert read_keys({"keys": [huge]}) == ()


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": {}}, {"keys": "a"}])
def test_what_is_no_set_has_no_keys(document: dict[str, Any]) -> None:
    assert read_keys(document) == ()


def test_a_set_is_read_so_far_only() -> None:
    assert len(read_keys({"keys": [jwk(private_key("EdDSA"))] * 1000})) == 100


def test_a_header_means_the_key_it_names_and_any_where_it_names_none() -> None:
    keys = read_keys(
        {
            "keys": [
                jwk(private_key("RS256"), kid="a"),
                jwk(private_key("ES256"), kid="b"),
                jwk(private_key("RS256", 1), kid="c"),
            ]
        }
    )
    assert [key.key_id for key in fitting(keys, "a", "RS256")] == ["a"]
    assert [key.key_id for key in fitting(keys, "", "PS512")] == ["a", "c"]
    assert [key.key_id for key in fitting(keys, "b", "RS256")] == []
    assert [key.key_id for key in fitting(keys, "d", "RS256")] == []

"""A provider's public keys (RFC 7517): those strong enough, each for what it is for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

_MOST_KEYS: Final = 100
_RSA_BITS: Final = range(2048, 8192 + 1)
"""At least (RFC 7518 3.3); at most, since larger ones take a processor long."""
_RSA: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVES: Final = {
    ("EC", "P-256"): "ES256",
    ("EC", "P-384"): "ES384",
    ("EC", "P-521"): "ES512",
    ("OKP", "Ed25519"): "EdDSA",
}
_PUBLIC: Final = ("kty", "n", "e", "crv", "x", "y")


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """One key that can have signed a token.

    Attributes:
        key_id: its name; "" where it has none.
        algorithms: with which it may have been used: one kind of key, never two.
        key: the key.
    """

    key_id: str
    algorithms: frozenset[str]
    key: PublicKey = field(repr=False)


def read_keys(document: Mapping[str, Any]) -> tuple[VerifyingKey, ...]:
    """Return the keys of a set that signatures may be checked with; the others are left out.

    Left out are keys for encryption, secrets, weak keys, curves that no allowed algorithm
    goes by, and whatever is malformed.
    """
    entries: object = document.get("keys")
    if not isinstance(entries, list):
        return ()
    found = (_read_key(entry) for entry in cast("list[object]", entries)[:_MOST_KEYS])
    return tuple(key for key in found if key is not None)


def fitting(keys: Iterable[VerifyingKey], key_id: str, algorithm: str) -> Sequence[VerifyingKey]:
    """Return the keys that a token's header can mean; one without a name means any."""
    return [
        key for key in keys if algorithm in key.algorithms and (not key_id or key.key_id == key_id)
    ]


def _read_key(entry: object) -> VerifyingKey | None:
    if not isinstance(entry, dict):
        return None
    said = cast("dict[str, object]", entry)
    key_id, algorithm, use = said.get("kid", ""), said.get("alg"), said.get("use", "sig")
    operations = said.get("key_ops", ["verify"])
    if not isinstance(key_id, str) or use != "sig":
        return None
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    allowed = _algorithms(said)
    if algorithm is not None:
        allowed = frozenset(one for one in allowed if one == algorithm)
    if not allowed:
        return None
    # Only what is public: a set that gives private parts away makes no private key of ours.
    public = {name: said[name] for name in _PUBLIC if name in said}
    try:
        key: object = jwt.PyJWK(public, algorithm=min(allowed)).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    if isinstance(key, RSAPublicKey):
        if key.key_size not in _RSA_BITS:
            return None
    elif not isinstance(key, (EllipticCurvePublicKey, Ed25519PublicKey)):
        return None
    return VerifyingKey(key_id, allowed, key)


def _algorithms(said: Mapping[str, object]) -> frozenset[str]:
    kind, curve = said.get("kty"), said.get("crv")
    if kind == "RSA":
        return _RSA
    if not (isinstance(kind, str) and isinstance(curve, str)):
        return frozenset()
    algorithm = _CURVES.get((kind, curve))
    return frozenset({algorithm}) if algorithm else frozenset()

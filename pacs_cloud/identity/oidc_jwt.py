"""A JSON Web Token's signature and claims, checked (RFC 7519, RFC 8725); pure."""

import base64
import binascii
import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, cast

import jwt

from pacs_cloud.errors import Unidentified
from pacs_cloud.identity.oidc_keys import VerifyingKey

LARGEST_CHARACTERS: Final = 32 << 10
"""Of a token: room for some hundred groups."""

_SEGMENT: Final = re.compile(r"[A-Za-z0-9_-]+")
_LATEST_S: Final = 1 << 40
_VERIFIER: Final = jwt.PyJWS()


class Fault(StrEnum):
    """Why a token is not believed; nothing of the token itself."""

    MALFORMED = "malformed"
    ALGORITHM = "algorithm not allowed"
    TYPE = "not that kind of token"
    KEY = "no key of the provider's fits"
    SIGNATURE = "signature is wrong"
    ISSUER = "another issuer"
    AUDIENCE = "for somebody else"
    EXPIRED = "expired"
    EARLY = "not valid yet"
    USER = "names no user"
    NONCE = "not of this sign-in"


class TokenRefused(Unidentified):
    """A token that proves nothing.

    Attributes:
        fault: why.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__(f"token refused: {fault}")
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Header:
    """What an unverified token says of its own signature.

    Attributes:
        algorithm: one of those allowed.
        key_id: which key; "" where it says none.
        type: in lower case, without `application/`; "" where it says none.
    """

    algorithm: str
    key_id: str
    type: str


def read_header(token: str, algorithms: Collection[str]) -> Header:
    """Return a token's header.

    Keys that it brings or points at (`jwk`, `jku`, `x5u`) are never looked at (RFC 8725 3.10).

    Raises:
        TokenRefused: it is no signed token, or one whose algorithm is not allowed.
    """
    header = _part(token, 0)
    algorithm, key_id, kind = (header.get(name, "") for name in ("alg", "kid", "typ"))
    if not (isinstance(algorithm, str) and isinstance(key_id, str) and isinstance(kind, str)):
        raise TokenRefused(Fault.MALFORMED)
    if algorithm not in algorithms:
        raise TokenRefused(Fault.ALGORITHM)
    if "crit" in header or "b64" in header:
        # Extensions that must be understood (RFC 7515 4.1.11); we know none.
        raise TokenRefused(Fault.MALFORMED)
    return Header(algorithm, key_id, kind.lower().removeprefix("application/"))


def unverified_issuer(token: str) -> object:
    """Return who a token says it is from, to pass over those of others; proves nothing.

    Raises:
        TokenRefused: it is no token.
    """
    return _part(token, 1).get("iss")


def verified_claims(token: str, header: Header, key: VerifyingKey) -> dict[str, Any]:
    """Return a token's claims, which its signature covers; nothing else of them is checked.

    Raises:
        TokenRefused: it was not signed by that key's owner.
    """
    try:
        decoded = _VERIFIER.decode_complete(token, key.key, algorithms=[header.algorithm])
    except jwt.PyJWTError as error:
        raise TokenRefused(Fault.SIGNATURE) from error
    return _object(decoded["payload"])


def check_times(claims: Mapping[str, Any], *, now_us: int, skew_s: float) -> float:
    """Return when a token ends, in seconds since 1970, allowing for a clock that is off.

    Raises:
        TokenRefused: it has ended, has no end, or has not begun (RFC 7519 4.1.4 to 4.1.6).
    """
    now_s = now_us / 1_000_000
    end_s = _moment(claims, "exp")
    if end_s is None:
        raise TokenRefused(Fault.MALFORMED)
    if now_s >= end_s + skew_s:
        raise TokenRefused(Fault.EXPIRED)
    for name in ("nbf", "iat"):
        begin_s = _moment(claims, name)
        if begin_s is not None and begin_s > now_s + skew_s:
            raise TokenRefused(Fault.EARLY)
    return end_s + skew_s


def audiences_of(claims: Mapping[str, Any]) -> frozenset[str]:
    """Return whom a token is for: one text, or a list of them (RFC 7519 4.1.3)."""
    said: object = claims.get("aud")
    if isinstance(said, str):
        return frozenset({said})
    if not isinstance(said, list):
        return frozenset()
    parts = cast("list[object]", said)
    texts = [part for part in parts if isinstance(part, str)]
    return frozenset(texts) if len(texts) == len(parts) else frozenset()


def _moment(claims: Mapping[str, Any], name: str) -> float | None:
    value: object = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TokenRefused(Fault.MALFORMED)
    if not 0 <= value <= _LATEST_S or not math.isfinite(value):
        raise TokenRefused(Fault.MALFORMED)
    return float(value)


def _part(token: str, index: int) -> dict[str, Any]:
    if len(token) > LARGEST_CHARACTERS:
        raise TokenRefused(Fault.MALFORMED)
    parts = token.split(".")
    if len(parts) != 3 or not all(_SEGMENT.fullmatch(part) for part in parts):
        raise TokenRefused(Fault.MALFORMED)
    part = parts[index]
    try:
        return _object(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except binascii.Error as error:
        raise TokenRefused(Fault.MALFORMED) from error


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise TokenRefused(Fault.MALFORMED) from error
    if not isinstance(found, dict):
        raise TokenRefused(Fault.MALFORMED)
    return cast("dict[str, Any]", found)


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")

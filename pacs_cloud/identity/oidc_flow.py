"""One sign-in under way: a signed value in the browser, from which its secrets follow."""

import base64
import hashlib
import hmac
import json
import secrets as randomness
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from pacs_cloud.errors import InvalidRequest

_LIFE_US: Final = 10 * 60 * 1_000_000
"""For typing a password, and a second factor."""
_LONGEST_PATH: Final = 1024
_LONGEST_TOKEN: Final = 4096


def local_path(text: str) -> str:
    """Return `text` where it is a path of this archive, with its query.

    Raises:
        InvalidRequest: browsers could read another host in it, or it is no path at all.
    """
    is_plain = all("!" <= character <= "~" and character != "\\" for character in text)
    if not is_plain or len(text) > _LONGEST_PATH:
        raise InvalidRequest("the address to return to is not a path of this archive")
    if not text.startswith("/") or text.startswith("//"):
        raise InvalidRequest("the address to return to is not a path of this archive")
    return text


@dataclass(frozen=True, slots=True)
class Flow:
    """One sign-in that has begun.

    `state`, `nonce` and `verifier` are not in the browser: they are digests of the identifier,
    under a key that only this archive has.

    Attributes:
        return_to: the path that it was begun for.
        until_us: from then on it has to be begun anew.
        state: what the provider has to give back (RFC 6749 10.12).
        nonce: what the ID token has to hold (OIDC Core 15.5.2).
        verifier: what proves that the code is ours (RFC 7636 4.1).
    """

    return_to: str
    until_us: int
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)

    @property
    def challenge(self) -> str:
        """What the provider is told of the verifier beforehand: S256 (RFC 7636 4.2)."""
        return _text(hashlib.sha256(self.verifier.encode()).digest())


class Flows:
    """Begins sign-ins, and knows its own again; keeps nothing."""

    def __init__(self, secrets: Sequence[bytes], purpose: str) -> None:
        """Sign with the first of `secrets`, and know what any of them has signed.

        Args:
            secrets: 32 bytes or more each, the same in all processes.
            purpose: which provider and client; another one's sign-ins are not known.
        """
        if not secrets or min(map(len, secrets)) < 32:
            raise ValueError("a secret has 32 bytes or more")
        label = f"oidc-flow\0{purpose}".encode()
        self._keys = [hmac.digest(secret, label, "sha256") for secret in secrets]

    def begin(self, return_to: str, *, now_us: int) -> tuple[Flow, str]:
        """Return a new sign-in, and the value that the browser keeps until it is back.

        Raises:
            InvalidRequest: `return_to` is not a path of this archive.
        """
        name, until_us = randomness.token_urlsafe(24), now_us + _LIFE_US
        said = json.dumps([name, until_us, local_path(return_to)], separators=(",", ":"))
        body = _text(said.encode())
        key = self._keys[0]
        token = f"{body}.{_text(_digest(key, 'token', body))}"
        return _flow(key, name, until_us, return_to), token

    def known(self, token: str, *, now_us: int) -> Flow | None:
        """Return the sign-in that a value is of; None where it is not ours, or too old."""
        body, dot, signature = token.partition(".")
        if not dot or len(token) > _LONGEST_TOKEN or not token.isascii():
            return None
        for key in self._keys:
            if hmac.compare_digest(_text(_digest(key, "token", body)), signature):
                return _read(key, body, now_us)
        return None


def _read(key: bytes, body: str, now_us: int) -> Flow | None:
    try:
        name, until_us, return_to = json.loads(base64.urlsafe_b64decode(body + "=="))
    except ValueError:
        return None  # another release's
    return _flow(key, name, until_us, return_to) if now_us < until_us else None


def _flow(key: bytes, name: str, until_us: int, return_to: str) -> Flow:
    state, nonce, verifier = (
        _text(_digest(key, purpose, name)) for purpose in ("state", "nonce", "verifier")
    )
    return Flow(return_to, until_us, state, nonce, verifier)


def _digest(key: bytes, purpose: str, text: str) -> bytes:
    return hmac.digest(key, f"{purpose}\0{text}".encode(), "sha256")


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

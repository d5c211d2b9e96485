"""Secrets that programs show: `pacs_{id}_{secret}`; the id names the key, the rest proves it.

The secret has 256 random bits, so a plain hash of it tells nobody anything, and checking
one costs no time. The form is one that scanners for leaked secrets can be taught:
`pacs_[0-9a-f]{16}_[A-Za-z0-9_-]{43}`.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import Final

PREFIX: Final = "pacs_"
_ID: Final = re.compile(r"[0-9a-f]{16}")
_FORM: Final = re.compile(r"pacs_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Shown:
    """What somebody has shown.

    Attributes:
        key_id: which key they say it is.
        secret: what shall prove it.
    """

    key_id: str
    secret: str = field(repr=False)

    def is_kept_as(self, digest: str) -> bool:
        """Return whether `digest` is what is kept of the secret."""
        return hmac.compare_digest(_digest(self.secret), digest)


def new_key() -> tuple[str, str, str]:
    """Return a new key's id, its secret as it is shown once, and what is kept of it."""
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    return key_id, f"{PREFIX}{key_id}_{secret}", _digest(secret)


def read_key(text: str) -> Shown | None:
    """Return what somebody has shown, None where that is no key of ours."""
    match = _FORM.fullmatch(text)
    return Shown(match[1], match[2]) if match else None


def is_key_id(text: str) -> bool:
    """Return whether this is how a key's id looks."""
    return _ID.fullmatch(text) is not None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()

"""Sessions as signed text (JWT, RFC 7519; HS256), and what forms need besides (CSRF).

Any of several secrets may have signed; the first one signs. So a secret is exchanged by
putting the new one in front, and dropping the old one a session's lifetime later. Each
use has a key of its own that is derived from the secret (HKDF, RFC 5869).
"""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pacs_cloud.errors import InvalidRequest

SHORTEST_BYTES: Final = 32
"""Of a secret: as long as what it makes (RFC 7518 3.2)."""
_ALGORITHM: Final = "HS256"
_KIND: Final = "pacs-session+jwt"
"""No token of another kind is taken for a session, whoever signed it (RFC 8725 3.11)."""
_LONGEST: Final = 4096
_TEXTS: Final = ("ten", "sub", "sid", "mrk")
_TIMES: Final = ("beg", "iat", "exp", "end")


@dataclass(frozen=True, slots=True)
class SessionClaims:
    """What a session's token says.

    Attributes:
        tenant: whose data.
        subject: who: `user:anna`.
        session_id: unlike any other session's.
        mark: the user's, as it was when they signed in.
        begun_s: when they did, seconds since 1970 UTC.
        said_s: when this token was made.
        idle_s: until when it is good for, if no other is made.
        end_s: until when any that follow are.
    """

    tenant: str
    subject: str
    session_id: str
    mark: str = field(repr=False)
    begun_s: int
    said_s: int
    idle_s: int
    end_s: int

    def is_good(self, now_s: float) -> bool:
        """Return whether it has begun, and is not over."""
        return self.begun_s <= now_s + 60 and now_s < min(self.idle_s, self.end_s)


class SessionSigner:
    """Signs and reads tokens."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        """Sign with the first of the secrets, and take what any of them has signed.

        Raises:
            InvalidRequest: there is none, or one is shorter than 32 bytes.
        """
        if not secrets or any(len(secret) < SHORTEST_BYTES for secret in secrets):
            raise InvalidRequest(f"sessions need a secret of {SHORTEST_BYTES} bytes or more")
        self._signing = [_derived(secret, b"session") for secret in secrets]
        self._csrf = [_derived(secret, b"csrf") for secret in secrets]

    def signed(self, claims: SessionClaims) -> str:
        """Return a session's token."""
        payload = {
            "ten": claims.tenant,
            "sub": claims.subject,
            "sid": claims.session_id,
            "mrk": claims.mark,
            "beg": claims.begun_s,
            "iat": claims.said_s,
            "exp": claims.idle_s,
            "end": claims.end_s,
        }
        return jwt.encode(payload, self._signing[0], _ALGORITHM, headers={"typ": _KIND})

    def read(self, token: str) -> SessionClaims | None:
        """Return what a token says, however old; None where none of the secrets has signed it."""
        if len(token) > _LONGEST:
            return None
        for key in self._signing:
            try:
                whole = jwt.decode_complete(
                    token,
                    key,
                    algorithms=[_ALGORITHM],
                    options={"verify_exp": False, "verify_iat": False},
                )
            except jwt.InvalidTokenError:
                continue
            return _claims_of(whole)
        return None

    def csrf_of(self, session_id: str) -> str:
        """Return what a form of that session must bring along."""
        return _csrf(self._csrf[0], session_id)

    def is_csrf(self, session_id: str, given: str) -> bool:
        """Return whether a form brought it along."""
        data = given.encode("utf-8", "surrogatepass")
        right = [hmac.compare_digest(_csrf(key, session_id).encode(), data) for key in self._csrf]
        return any(right)


def _claims_of(whole: dict[str, Any]) -> SessionClaims | None:
    payload = whole["payload"]
    if whole["header"].get("typ") != _KIND:
        return None
    texts = [payload.get(name) for name in _TEXTS]
    times = [payload.get(name) for name in _TIMES]
    if not all(isinstance(one, str) for one in texts) or not all(type(one) is int for one in times):
        return None
    tenant, subject, session_id, mark = texts
    return SessionClaims(tenant, subject, session_id, mark, *times)


def _csrf(key: bytes, session_id: str) -> str:
    digest = hmac.digest(key, session_id.encode(), "sha256")
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def _derived(secret: bytes, use: bytes) -> bytes:
    return HKDF(SHA256(), SHORTEST_BYTES, None, b"pacs-cloud " + use).derive(secret)

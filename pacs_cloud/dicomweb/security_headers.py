"""Header fields that keep an answer from being framed, guessed at, cached or embedded (pure).

OWASP Secure Headers; CSP Level 3; RFC 6797 (HSTS); RFC 9111 5.2 (Cache-Control); Fetch 3.7
(Cross-Origin-Resource-Policy). What an answer says itself stays as it says it.
"""

from collections.abc import Iterable
from typing import Final

Field = tuple[bytes, bytes]

_DOCUMENT: Final = (
    b"content-security-policy",
    b"default-src 'none'; sandbox; frame-ancestors 'none'",
)
_ALWAYS: Final[tuple[Field, ...]] = (
    (b"x-content-type-options", b"nosniff"),
    # For browsers that know no frame-ancestors.
    (b"x-frame-options", b"DENY"),
    # A UID or a patient's name in a URL is nobody's business (PS3.18 8.3.4).
    (b"referrer-policy", b"no-referrer"),
    _DOCUMENT,
)
_REVALIDATED: Final = (b"cache-control", b"private, no-cache")
"""Kept by its reader's browser alone, and asked about each time: an ETag saves the body."""
_NOT_KEPT: Final = (b"cache-control", b"no-store")
_TLS_ALONE: Final = (b"strict-transport-security", b"max-age=31536000")


class SecurityHeaders:
    """What is added to answers."""

    def __init__(self, *, has_origins: bool) -> None:
        """Choose who may embed answers.

        Args:
            has_origins: whether scripts of other origins may read here (`cors_origins`): then
                they may show pictures, too, else only pages of our own.
        """
        embedding = b"cross-origin" if has_origins else b"same-origin"
        self._always = (*_ALWAYS, (b"cross-origin-resource-policy", embedding))

    def missing(self, headers: Iterable[Field], *, is_tls: bool) -> list[Field]:
        """Return what an answer lacks.

        Args:
            headers: the answer's, names in lower case.
            is_tls: whether its client has asked over TLS: nobody else may be told to
                (RFC 6797 7.2).
        """
        said = {name for name, _ in headers}
        added = [field for field in self._always if field[0] not in said]
        if b"cache-control" not in said:
            added.append(_REVALIDATED if b"etag" in said else _NOT_KEPT)
        if is_tls and _TLS_ALONE[0] not in said:
            added.append(_TLS_ALONE)
        return added

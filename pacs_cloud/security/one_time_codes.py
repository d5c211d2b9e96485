"""One-time codes of an authenticator (TOTP, RFC 6238), and recovery codes for its loss."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from typing import Final

import pyotp
from pyotp.totp import TOTP

STEP_S: Final = 30
_AROUND: Final = (0, -1, 1)
"""Steps that are looked at: clocks and hands are slow (RFC 6238 5.2)."""
_DIGITS: Final = re.compile(r"[0-9]{6}")
_RECOVERY: Final = 10
_RECOVERY_LENGTH: Final = 16
"""Characters of base32: 80 bits, so that a plain hash is enough to keep of them."""
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"


def new_secret() -> str:
    """Return a secret for an authenticator: 160 bits in base32 (RFC 4226 4, R6)."""
    return pyotp.random_base32()


def enrolment_uri(secret: str, name: str, issuer: str) -> str:
    """Return the `otpauth:` URI that authenticators read from a QR code."""
    return TOTP(secret, interval=STEP_S).provisioning_uri(name=name, issuer_name=issuer)


def step_of(secret: str, code: str, *, now_us: int, after: int) -> int | None:
    """Return the time step that a code is of, None where it is of none now.

    Args:
        secret: shared with the authenticator.
        code: as somebody typed it; blanks do not matter.
        now_us: microseconds since 1970 UTC.
        after: the last step of which a code was taken: that and what is before count no
            more (RFC 6238 5.2); -1 where none was.
    """
    digits = plain(code)
    if not _DIGITS.fullmatch(digits):
        return None
    totp = TOTP(secret, interval=STEP_S)
    now = now_us // 1_000_000 // STEP_S
    found = None
    for step in (now + one for one in _AROUND):
        if step > after and hmac.compare_digest(totp.generate_otp(step), digits):
            found = step
    return found


def new_recovery_codes() -> tuple[str, ...]:
    """Return codes to print out, each of which opens once."""
    return tuple(
        "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(4))
        for _ in range(_RECOVERY)
    )


def recovery_hash(code: str) -> str:
    """Return what is kept of a recovery code."""
    return hashlib.sha256(f"recovery:{plain(code)}".encode()).hexdigest()


def recovery_used(code: str, kept: Sequence[str]) -> str | None:
    """Return the one of the `kept` hashes that is the code's; None where it is none of them."""
    if len(plain(code)) != _RECOVERY_LENGTH:
        return None
    mine = recovery_hash(code)
    found = None
    for one in kept:
        if hmac.compare_digest(one, mine):
            found = one
    return found


def plain(code: str) -> str:
    """Return a code without the blanks and dashes that people type."""
    return "".join(one for one in code[:64].lower() if one not in " -\t\u00a0")

"""Passwords: which are taken (NIST SP 800-63B), and what is kept of one (argon2id, RFC 9106).

Length is what counts: no rule asks for digits or signs, nothing expires. What everybody
tries first is refused: common words with digits around them, rows of the keyboard, the
same again and again, one's own name.
"""

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from pacs_cloud.errors import InvalidRequest

SHORTEST: Final = 12
"""Characters; SP 800-63B 3.1.1.2 asks for 8 at least."""
LONGEST: Final = 256
_FEWEST_KINDS: Final = 5
"""Different characters of a password."""
_ROW: Final = 6
"""Letters beside each other on a keyboard that nobody took by chance."""
_MOST_BYTES: Final = 4 * LONGEST
_KEYBOARDS: Final = (
    *("0123456789", "1234567890", "abcdefghijklmnopqrstuvwxyz"),
    *("qwertyuiop", "qwertzuiop", "azertyuiop", "asdfghjkl", "zxcvbnm"),
    "qwertyuiopasdfghjklzxcvbnm",
)
_ROWS: Final = tuple(row * 3 for one in _KEYBOARDS for row in (one, one[::-1]))
_AROUND: Final = re.compile(r"^[^a-z]+|[^a-z]+$")
_SEEMING: Final = str.maketrans("0134578@$!", "oleastbasi")
"""Digits and signs that stand for letters: `p@ssw0rd`."""
_WORDS: Final = """
abc access account admin adminadmin administrator april archiv archive august autumn baseball
batman changeit changeme chocolate clinic clinical computer correcthorsebatterystaple december
default dicom doctor dragon everyone facebook fall february firewall flower football freedom
friday friend friends google guest hello helloworld hospital hunter iamtheboss iloveyou image
images imaging internet january jesus jordan july june klinik krankenhaus letmein letmeinnow
login lovely loveyou manager march master may medical michael microsoft monday monkey mother
mustang mypass mypassword newpassword ninja nothing november nurse october office pacs
pacscloud pass passpass passphrase passport passwd password passwordpassword passwort patient
patients pokemon princess qazwsx qazwsxedc qazwsxedcrfv radiologe radiologie radiologist
radiology root samsung saturday secret secretpassword secure security september service shadow
soccer spring starwars student summer sunday sunshine superman superuser supervisor support
sysadmin system target technician temp temporary temppassword test tester testing testtest
thepassword thisisapassword thisismypassword thursday trustno tuesday ultrasound unknown user
username viewer wednesday welcome welcomehome whatever windows winter xray
"""
COMMON: Final = frozenset(_WORDS.split())
"""Words that a password must not be, with whatever digits and signs before and behind it."""


def accepted(password: str, *, name: str = "", email: str = "") -> str:
    """Return a new password as it is hashed: normalised (NFKC, SP 800-63B 3.1.1.2).

    Args:
        password: as somebody typed it.
        name: of the user, which it must not be.
        email: theirs, likewise.

    Raises:
        InvalidRequest: it is too short, too long, or among the first that anybody would try;
            says what to do, and never the password.
    """
    text = _normalised(password)
    if len(text) < SHORTEST:
        raise InvalidRequest(f"a password has {SHORTEST} characters at least: a few words will do")
    if len(text) > LONGEST:
        raise InvalidRequest(f"a password has {LONGEST} characters at most")
    own = [one for one in (name, *email.split("@")) if one]
    if _is_guessed(text.casefold(), [_letters(one.casefold()) for one in own]):
        raise InvalidRequest("this password is among the first that anybody would try")
    return text


def _is_guessed(text: str, own: list[str]) -> bool:
    if len(set(text)) < _FEWEST_KINDS or _unit(text) != text:
        return True
    if any(text in row for row in _ROWS):
        return True
    trimmed = _AROUND.sub("", text)
    spelt = (text, trimmed, text.translate(_SEEMING), trimmed.translate(_SEEMING))
    words = {_unit(_letters(one)) for one in spelt} - {""}
    if not words.isdisjoint(COMMON | set(own)):
        return True
    return any(len(word) >= _ROW and word in row for word in words for row in _ROWS)


def _letters(text: str) -> str:
    return "".join(one for one in text if one.isalpha())


def _unit(text: str) -> str:
    """Return the piece that `text` is made of again and again: `ab` of `abab`."""
    return text[: (text + text).find(text, 1)]


def _normalised(password: str) -> str:
    return unicodedata.normalize("NFKC", password)


@dataclass(frozen=True, slots=True)
class Argon2id:
    """What a hash costs; each is RFC 9106's second choice (4), 64 MiB and some 50 ms.

    Attributes:
        passes: over the memory.
        memory_kib: while it is made.
        lanes: threads that fill it.
    """

    passes: int = 3
    memory_kib: int = 65_536
    lanes: int = 4
    _hasher: PasswordHasher = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        hasher = PasswordHasher(self.passes, self.memory_kib, self.lanes)
        object.__setattr__(self, "_hasher", hasher)

    @property
    def _nobody(self) -> str:
        """What looks like a hash of these parameters, and is of no password."""
        costs = f"m={self.memory_kib},t={self.passes},p={self.lanes}"
        return f"$argon2id$v=19${costs}${'A' * 22}${'A' * 43}"

    def hashed(self, password: str) -> str:
        """Return what is kept of a password that is right, or was `accepted`; it blocks."""
        return self._hasher.hash(_normalised(password))

    def is_right(self, kept: str, password: str) -> bool:
        """Return whether it is the password of which `kept` is kept; it blocks.

        Args:
            kept: "" where there is none: nothing is right then, and costs the same time.
            password: as somebody typed it.
        """
        data = _normalised(password[:_MOST_BYTES]).encode("utf-8", "surrogatepass")
        is_short = len(data) <= _MOST_BYTES
        try:
            self._hasher.verify(kept or self._nobody, data[:_MOST_BYTES])
        except (VerificationError, InvalidHashError):
            return False
        return bool(kept) and is_short

    def is_outdated(self, kept: str) -> bool:
        """Return whether it was made with other parameters than these."""
        return self._hasher.check_needs_rehash(kept)

"""A project: under one, a patient, a UID and a day always become the same others.

All of it follows from the project's key (HMAC-SHA-256, RFC 2104), so that no map has to be kept,
and nobody without the key can say who it was.
"""

import base64
import hmac
import re
import uuid
from dataclasses import dataclass, field
from typing import Final

from pacs_cloud.dicom.deid.option import Option
from pacs_cloud.dicom.deid.rules import Rules
from pacs_cloud.errors import InvalidRequest

KEY_BYTES: Final = 32
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?")
_LEAST_SHIFT_DAYS: Final = 31
_SHIFTS: Final = 3_620
_SUBJECT_BYTES: Final = 10


@dataclass(frozen=True, slots=True)
class Project:
    """What makes the output of one study of research consistent in itself.

    Attributes:
        name: letters, digits and hyphens; it begins the pseudonyms.
        key: the secret.
        options: of the profile, unless a run asks for more.
        rules: of its own, for private attributes and for pixels.
        escrow: whether what was replaced is kept, for re-identification.
    """

    name: str
    key: bytes = field(repr=False)
    options: frozenset[Option] = frozenset()
    rules: Rules = field(default_factory=Rules)
    escrow: bool = False

    def uid(self, original: str) -> str:
        """Return the UID that stands for another, of the form 2.25 (PS3.5 B.2)."""
        digest = self._derived("uid", original)[:16]
        # A UUID of version 8: whatever its maker likes (RFC 9562 5.8).
        number = int.from_bytes(digest, "big")
        number = number & ~(0xF << 76) | 8 << 76
        number = number & ~(0x3 << 62) | 2 << 62
        return f"2.25.{uuid.UUID(int=number).int}"

    def subject(self, patient: str) -> str:
        """Return the pseudonym of a patient, as Patient ID and Patient's Name have it."""
        digest = self._derived("subject", patient)[:_SUBJECT_BYTES]
        return f"{self.name}-{base64.b32encode(digest).decode('ascii')}"

    def shift_days(self, patient: str) -> int:
        """Return by how many days a patient's dates move: always back, always the same."""
        number = int.from_bytes(self._derived("shift", patient)[:8], "big")
        return -(_LEAST_SHIFT_DAYS + number % _SHIFTS)

    def _derived(self, kind: str, value: str) -> bytes:
        return hmac.digest(self.key, f"{kind}\0{value}".encode(), "sha256")


def checked_name(name: str) -> str:
    """Return the name of a project; raises InvalidRequest."""
    if _NAME.fullmatch(name) is None:
        raise InvalidRequest("a project's name is 1 to 32 letters, digits and hyphens")
    return name

"""Name and password between the two steps of a sign-in, sealed: only this archive reads them."""

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import Final

import orjson
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pacs_cloud.errors import Denied

_LASTS_S: Final = 300
_PURPOSE: Final = b"pacs-cloud sign-in, first step"


class FirstSteps:
    """What the page that asks for a one-time code hands back, whichever process it comes to.

    Name and password are checked again with the code, so that what is sealed proves nothing by
    itself: it only spares their being typed twice, or standing in a page.
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        """Seal with a key made from the first of `secrets`; all of them open."""
        self._box = MultiFernet([Fernet(_key(secret)) for secret in secrets])

    def seal(self, name: str, password: str, now_us: int) -> str:
        """Return both as text that nobody else can read or make."""
        said = orjson.dumps([name, password])
        return self._box.encrypt_at_time(said, now_us // 1_000_000).decode()

    def opened(self, sealed: str, now_us: int) -> tuple[str, str]:
        """Return name and password; raises Denied once five minutes are over."""
        try:
            said = self._box.decrypt_at_time(sealed.encode(), _LASTS_S, now_us // 1_000_000)
        except InvalidToken as error:
            raise Denied("the first step of the sign-in is over") from error
        name, password = orjson.loads(said)
        return name, password


def _key(secret: bytes) -> bytes:
    return urlsafe_b64encode(HKDF(SHA256(), 32, salt=None, info=_PURPOSE).derive(secret))

"""Where an archive elsewhere is, and the key that opens it."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.key_file import key_file_text
from pacs_cloud.loopback import is_loopback
from pacs_cloud.settings import Settings

_PREFIX: Final = "/dicom-web"
_KEY: Final = re.compile(r"[A-Za-z0-9._~+/\-]{1,4096}=*")
"""What may stand behind `Bearer` (RFC 6750 2.1)."""


@dataclass(frozen=True, slots=True)
class Remote:
    """An archive elsewhere.

    Attributes:
        url: above `/studies`, without a slash at its end.
        key: "" where it is asked without one.
        ca: certificates (PEM) to trust besides the system's.
    """

    url: str
    key: str = field(repr=False)
    ca: Path | None = None

    @property
    def name(self) -> str:
        """Its host, as people are told who answers."""
        return urlsplit(self.url).netloc


def remote_of(settings: Settings) -> Remote:
    """Return the archive elsewhere that `settings` name.

    Raises:
        InvalidRequest: its URL is not one to send a key to, or the key is none.
        Denied: others than its owner may read the key's file.
        NotFound, Unavailable: that file is not there, or cannot be read.
    """
    key = settings.api_key.get_secret_value()
    if settings.api_key_file is not None:
        key = key_file_text(settings.api_key_file).strip()
        if not key:
            raise InvalidRequest(f"{settings.api_key_file} holds no API key")
    if key and _KEY.fullmatch(key) is None:
        raise InvalidRequest("the API key is not one: letters, digits and -._~+/ only")
    return Remote(dicomweb_url(settings.remote), key, settings.remote_ca)


def dicomweb_url(text: str) -> str:
    """Return where DICOMweb is that `text` leads to: `/dicom-web` where it says no path.

    Raises:
        InvalidRequest: it is no https URL; http is for this machine alone, since a key and
            patients' data travel.
    """
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    if (
        parts.scheme not in {"http", "https"}
        or not host
        or any(not "!" <= character <= "~" or character == "\\" for character in text)
    ):
        raise InvalidRequest("--remote (PACS_REMOTE) is https://HOST, https://HOST:PORT/PATH or so")
    if parts.username is not None or parts.query or parts.fragment:
        raise InvalidRequest("--remote (PACS_REMOTE) has neither a user, a query nor a fragment")
    if parts.scheme == "http" and not is_loopback(host):
        raise InvalidRequest("--remote (PACS_REMOTE): beyond this machine over https:// only")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/') or _PREFIX}"

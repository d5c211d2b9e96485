"""What a page of a stranger may make somebody's browser do here: nothing.

Where nobody signs in, what protects the archive is that only this machine reaches it; and a browser
on this machine runs the scripts of whoever it visits.
"""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from starlette.types import Scope

from pacs_cloud.dicomweb.problems import problem
from pacs_cloud.dicomweb.responses import Answer

WRITING: Final = frozenset({"POST", "DELETE"})
"""The methods that change something here."""
_ELSEWHERE: Final = frozenset({b"cross-site", b"same-site"})
"""Whose page has a browser ask (Fetch Metadata 2.3): one of another origin."""
_NAMED: Final = (
    "This host is not known by the name in Host: ask by its address, or have its settings say that"
    " name in host_names."
)
_LOCAL: Final = (
    "Nobody signs in here, so only this machine's own names count: ask at localhost or 127.0.0.1,"
    " or have the settings say the name in Host in host_names."
)
_LINKED: Final = (
    "Nobody signs in here, so pages of other origins may link here, and nothing else. To let their"
    " scripts read, have the settings say their origin in cors_origins."
)


@lru_cache(256)
def host_name(host: bytes) -> str:
    """Return the name, or the address, in a Host field, in lower case; "" where it has none."""
    try:
        return (urlsplit(b"//" + host).hostname or b"").decode("ascii")
    except ValueError:  # a bracket that is no IPv6 address; no ASCII
        return ""


class StrangePages:
    """Refuses what only the browser of somebody led astray would send."""

    def __init__(
        self,
        names: Sequence[str] | None,
        public_url: str,
        origins: Sequence[str],
        *,
        signs_in: bool = True,
    ) -> None:
        """Go by what is ours.

        Args:
            names: what clients call this host, besides `localhost` and addresses; None:
                anything.
            public_url: likewise, whole; "" for none.
            origins: whose scripts may write, as browsers write them; `*` is none of them.
            signs_in: whether people sign in. Else no address counts but this machine's own, and
                pages of other origins may link here, and ask for nothing, unless `origins` are
                said: these show pictures, too.
        """
        self._signs_in = signs_in
        self._is_embedded = signs_in or bool(origins)
        public = urlsplit(public_url)
        ours = {public.hostname, *map(str.lower, names or ())}
        self._names = None if names is None else ours
        self._origins = frozenset(origins) | {f"{public.scheme}://{public.netloc}".lower()}
        self._is_ours = lru_cache(256)(self._is_our_name)

    def refuse(self, scope: Scope) -> Answer | None:
        """Return the refusal of a request, None where there is nothing to say against it."""
        host, origin, site, target = b"", None, b"", b""
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
            elif name == b"origin":
                origin = value
            elif name == b"sec-fetch-site":
                site = value
            elif name == b"sec-fetch-dest":
                target = value
        if host and self._names is not None and not self._is_ours(host):
            # A name that leads here by its owner's DNS makes his page one of this origin.
            return problem(HTTPStatus.MISDIRECTED_REQUEST, _NAMED if self._signs_in else _LOCAL)
        if not self._is_embedded and site in _ELSEWHERE and target != b"document":
            return problem(HTTPStatus.FORBIDDEN, _LINKED)
        if origin is not None and scope["method"] in WRITING and not self._may_write(origin, host):
            return problem(HTTPStatus.FORBIDDEN, "Scripts of this origin may not write here.")
        return None

    def _is_our_name(self, host: bytes) -> bool:
        text = host_name(host)
        if text == "localhost" or (self._names and text in self._names):
            return True
        try:
            return ipaddress.ip_address(text).is_loopback or self._signs_in
        except ValueError:
            return False

    def _may_write(self, origin: bytes, host: bytes) -> bool:
        text = origin.decode("latin-1")
        _, _, authority = text.partition("://")
        return text in self._origins or (
            bool(authority) and authority.lower() == host.decode("latin-1").lower()
        )

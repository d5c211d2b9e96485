"""What a page of a stranger may make somebody's browser do here: nothing.

Nobody signs in yet: what protects a loopback address is that only this machine reaches it,
and a browser on this machine runs the scripts of whoever it visits.
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
        self, names: Sequence[str] | None, public_url: str, origins: Sequence[str]
    ) -> None:
        """Go by what is ours.

        Args:
            names: what clients call this host, besides `localhost` and addresses; None:
                anything.
            public_url: likewise, whole; "" for none.
            origins: whose scripts may write, as browsers write them; `*` is none of them.
        """
        public = urlsplit(public_url)
        ours = {public.hostname, *map(str.lower, names or ())}
        self._names = None if names is None else ours
        self._origins = frozenset(origins) | {f"{public.scheme}://{public.netloc}".lower()}
        self._is_ours = lru_cache(256)(self._is_our_name)

    def refuse(self, scope: Scope) -> Answer | None:
        """Return the refusal of a request, None where there is nothing to say against it."""
        host, origin = b"", None
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
            elif name == b"origin":
                origin = value
        if host and self._names is not None and not self._is_ours(host):
            # A name that leads here by its owner's DNS makes his page one of this origin.
            return problem(
                HTTPStatus.MISDIRECTED_REQUEST, "This host is not known by the name in Host."
            )
        if origin is not None and scope["method"] in WRITING and not self._may_write(origin, host):
            return problem(HTTPStatus.FORBIDDEN, "Scripts of this origin may not write here.")
        return None

    def _is_our_name(self, host: bytes) -> bool:
        text = host_name(host)
        if text == "localhost" or (self._names and text in self._names):
            return True
        try:
            ipaddress.ip_address(text)
        except ValueError:
            return False
        return True

    def _may_write(self, origin: bytes, host: bytes) -> bool:
        text = origin.decode("latin-1")
        _, _, authority = text.partition("://")
        return text in self._origins or (
            bool(authority) and authority.lower() == host.decode("latin-1").lower()
        )

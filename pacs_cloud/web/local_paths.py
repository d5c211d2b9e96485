"""Paths of pages, and where one may send somebody on to: only within this origin."""

import re
from typing import Final

HOME: Final = "/account"
STUDIES: Final = "/"
OPS: Final = "/ops"
BREAK_GLASS: Final = "/break-glass"
SHARES: Final = "/shares"
SEND: Final = "/send"
RECALL: Final = "/recall"
DOWNLOAD: Final = "/download"
UPLOAD: Final = "/upload"

_LOCAL: Final = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,1000}")
"""A path as a URL has it: browsers take a backslash for a slash, and leave control characters
out, so that `/\\host` and `/<tab>/host` lead to another origin (URL Standard 4.4)."""

_OF_SIGNING_IN: Final = ("/sign-in", "/sign-out", "/welcome", "/oidc/")


def local_path(text: str, otherwise: str = HOME) -> str:
    """Return `text` where it leads somewhere here, else `otherwise`: what everybody has."""
    if _LOCAL.fullmatch(text) is None or text.startswith(_OF_SIGNING_IN):
        return otherwise
    return text


def share_url(share_id: str) -> str:
    """Return the path of a link's page, without its secret."""
    return f"/share/{share_id}"


def welcome_path(secret: str) -> str:
    """Return the path of the link that redeems a secret."""
    return f"/welcome#{secret}"

"""Where instances come from."""

from dataclasses import dataclass
from enum import StrEnum


class Door(StrEnum):
    """By which door an instance came in."""

    DIMSE = "dimse"
    STOW = "stow"
    IMPORT = "import"


@dataclass(frozen=True, slots=True)
class Source:
    """Who sent an instance.

    Attributes:
        door: by which service.
        called: the called AE title; "" other than by DIMSE.
        calling: the calling AE title; the user by STOW; the path's last name by import.
        address: the peer's IP address.
    """

    door: Door
    called: str = ""
    calling: str = ""
    address: str = ""

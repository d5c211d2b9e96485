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
        yields: whether nothing that it brings takes the place of what is there, whatever the
            archive does with what others bring.
    """

    door: Door
    called: str = ""
    calling: str = ""
    address: str = ""
    yields: bool = False

    def as_json(self) -> dict[str, str | bool]:
        """Return its fields by name; what is not so is not said."""
        said: dict[str, str | bool] = {
            "door": self.door.value,
            "called": self.called,
            "calling": self.calling,
            "address": self.address,
        }
        return said | {"yields": True} if self.yields else said

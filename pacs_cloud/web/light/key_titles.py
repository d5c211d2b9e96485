"""What a selection of images may be for (PS3.16 CID 7010, Key Object Selection Document Title)."""

from collections.abc import Mapping
from typing import Final

TITLES: Final[Mapping[str, str]] = {
    "113002": "For Referring Provider",
    "113000": "Of Interest",
    "113003": "For Surgery",
    "113004": "For Teaching",
    "113005": "For Conference",
    "113006": "For Therapy",
    "113007": "For Patient",
    "113008": "For Peer Review",
    "113009": "For Research",
    "113018": "Best In Set",
}
"""By code of DCM."""

"""Where that lies which stays hot of studies, whatever class their packs are in."""

import re
from dataclasses import dataclass
from typing import Final

from pacs_cloud.objectstore.keys import PackKey, spread_of, study_path

_THUMB: Final = re.compile(
    r"thumbs/([^/]+)/([0-9a-f]{2})/([0-9.]+)/([0-9.]+)/([^/]+)/([0-9.]+)-(\d{1,10})\.(jpg|json)"
)


@dataclass(frozen=True, slots=True)
class ThumbKey:
    """The name of a thumbnail that is kept; it lies with the pack that it was made of.

    So it goes with that pack, and its key is never used again.

    Attributes:
        pack: that pack.
        sop_instance_uid: of the image in it.
        frame: number of its frame, 1 for the first.
        is_picture: else it says why there is none.
    """

    pack: PackKey
    sop_instance_uid: str
    frame: int
    is_picture: bool = True

    @property
    def key(self) -> str:
        """`thumbs/{tenant}/{ss}/{study}/{series}/{pack}/{sop}-{frame}.jpg`, or `.json`."""
        ending = "jpg" if self.is_picture else "json"
        below = thumbs_prefix(
            self.pack.tenant,
            self.pack.study_instance_uid,
            self.pack.series_instance_uid,
            self.pack.pack_id,
        )
        return f"{below}{self.sop_instance_uid}-{self.frame}.{ending}"


def thumbs_prefix(tenant: str, study_instance_uid: str, *below: str) -> str:
    """Return what the keys of a study's thumbnails begin with, or of a series', or a pack's."""
    return f"thumbs/{study_path(tenant, study_instance_uid)}{''.join(f'{one}/' for one in below)}"


def parse_thumb_key(key: str) -> ThumbKey | None:
    """Return the names in a thumbnail's key, None for any other key."""
    match = _THUMB.fullmatch(key)
    if match is None or match[2] != spread_of(match[3]):
        return None
    pack = PackKey(match[1], match[3], match[4], match[5])
    return ThumbKey(pack, match[6], int(match[7]), match[8] == "jpg")

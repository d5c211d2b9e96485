"""The frame list of a path: `1,2,5` (PS3.18 10.4.1.1.6)."""

import re
from typing import Final

from pacs_cloud.errors import InvalidRequest

_FRAME_LIST: Final = re.compile(r"[0-9]{1,9}(?:,[0-9]{1,9})*")
_MAX_FRAMES: Final = 100_000


def frame_numbers(text: str) -> tuple[int, ...]:
    """Return the numbers in `text`, in their order; raises InvalidRequest."""
    numbers = tuple(map(int, text.split(","))) if _FRAME_LIST.fullmatch(text) else (0,)
    if 0 in numbers:
        raise InvalidRequest("A frame list is numbers from 1 on, separated by commas.")
    if len(numbers) > _MAX_FRAMES:
        raise InvalidRequest(f"A frame list has at most {_MAX_FRAMES} numbers.")
    return numbers

"""The picture of where two frames differ."""

from types import SimpleNamespace
from typing import Any

import pytest

from pacs_cloud.dicom.pixel_format import PixelFormat
from pacs_cloud.errors import NotAcceptable
from pacs_cloud.retrieve import comparing


async def test_of_what_is_too_large_to_be_shown_there_is_no_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def made(*_: object) -> tuple[bytes, PixelFormat]:
        return b"", PixelFormat(65_535, 65_535, 1, 1, 1, 0, "MONOCHROME2")

    monkeypatch.setattr(comparing, "frame_table", lambda _: [None])
    archive: Any = SimpleNamespace(transcoder=SimpleNamespace(made=made))
    one: Any = None
    with pytest.raises(NotAcceptable, match="too large"):
        await comparing.difference_picture(archive, one, one, 1)

"""Bulk data of a store request by its location."""

from contextlib import closing

import pytest

from pacs_cloud.dicomweb import stow_bulk
from pacs_cloud.dicomweb.media import MediaType
from pacs_cloud.dicomweb.stow_bulk import StowBulk
from pacs_cloud.errors import InvalidInstance, Refusal
from pacs_cloud.ingest.session import Session

BASE = "http://archive/studies"


def test_a_uri_that_no_part_can_have_is_not_kept() -> None:
    bulk = StowBulk(None, BASE)  # type: ignore[arg-type] - no part comes
    before = stow_bulk._absolute.cache_info()
    assert bulk.find("x" * 9000) is None
    assert stow_bulk._absolute.cache_info() == before


@pytest.mark.parametrize("form", ["{}", "{}/frames/{}"])
async def test_parts_without_a_length_are_not_used_without_end(session: Session, form: str) -> None:
    with closing(StowBulk(session, BASE)) as bulk:
        for number in range(1, 5001):
            bulk.begin(form.format("frames", number), MediaType("application/octet-stream"))
            bulk.end()
        for _ in range(stow_bulk.MAX_USES // 5000):
            found = bulk.find("frames")
            assert found is not None
        with pytest.raises(InvalidInstance) as refused:
            bulk.find("frames")
    assert refused.value.refusal is Refusal.TOO_LARGE
    assert bulk.unused == 0

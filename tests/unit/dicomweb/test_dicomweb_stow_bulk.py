"""Bulk data of a store request by its location."""

from pacs_cloud.dicomweb import stow_bulk
from pacs_cloud.dicomweb.stow_bulk import StowBulk


def test_a_uri_that_no_part_can_have_is_not_kept() -> None:
    bulk = StowBulk(None, "http://archive/studies")  # type: ignore[arg-type] - no part comes
    before = stow_bulk._absolute.cache_info()
    assert bulk.find("x" * 9000) is None
    assert stow_bulk._absolute.cache_info() == before

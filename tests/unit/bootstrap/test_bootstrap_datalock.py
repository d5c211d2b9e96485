from pathlib import Path

import pytest

from pacs_cloud.bootstrap.datalock import own_data, share_data
from pacs_cloud.errors import Conflict, Unavailable


def test_many_may_share_and_none_may_own_meanwhile(tmp_path: Path) -> None:
    with (
        share_data(tmp_path / "new"),
        share_data(tmp_path / "new"),
        pytest.raises(Conflict, match="in use"),
        own_data(tmp_path / "new"),
    ):
        pass
    with own_data(tmp_path / "new"):
        pass


def test_an_owner_keeps_everybody_out(tmp_path: Path) -> None:
    with own_data(tmp_path):
        with pytest.raises(Conflict), share_data(tmp_path):
            pass
        with pytest.raises(Conflict), own_data(tmp_path):
            pass


def test_a_directory_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot use"), share_data(tmp_path / "file"):
        pass

"""`viewer install`, `status` and `remove`, as programs."""

import json
from pathlib import Path

from integration.test_command_line import pacs
from pacs_cloud.web.viewer.installed import ViewerFiles
from viewer_samples import archive, package


def test_it_is_installed_looked_at_and_removed_by_commands(tmp_path: Path) -> None:
    where = ("--data", tmp_path / "data")
    said = pacs("viewer", "status", *where, code=1).stdout
    assert said == f"not installed: pacs-cloud viewer install --data {where[1]}\n"
    said = pacs("viewer", "install", "--from", archive(tmp_path), *where, code=0).stdout
    assert said.startswith("OHIF 3.13.2 (a build of your own), ")
    assert "whole" not in pacs("viewer", "status", *where, code=0).stdout
    files = ViewerFiles(tmp_path / "data" / "viewer")
    found = files.installed
    assert found is not None
    files.path_of(found, "font.woff2").write_text("x")
    assert "1 file damaged: font.woff2" in pacs("viewer", "status", *where, code=1).stdout
    other = package(tmp_path / "own", "3.14.0", **{"font.woff2": "another"})
    said = pacs("viewer", "install", "--json", "--from", other, *where, code=0).stdout
    assert json.loads(said)["previous"] == found.release
    said = pacs("viewer", "status", *where, code=0).stdout
    assert "OHIF 3.13.2 is kept until the next install, for pages that are open" in said
    other = pacs(
        *("viewer", "install", "--from", archive(tmp_path), "--version", "3.0.0", *where), code=2
    )
    assert other.stderr == "pacs-cloud: ohif-app-3.13.2.tgz is OHIF 3.13.2, not 3.0.0\n"
    assert pacs("viewer", "remove", *where, code=0).stdout == "removed\n"
    assert list((tmp_path / "data" / "viewer").glob("ohif-*")) == []

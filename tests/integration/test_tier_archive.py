"""`tier`: policies carried out on an archive of files, by the command line."""

import shutil
from pathlib import Path

import pytest
from test_command_line import lines, pacs

from dicomweb_samples import make_instance

OLD, NEW, OTHER = "1.2.3.1", "1.2.3.9", "1.2.3.5"
POLICY = """
[[policies]]
name = "old"
[[policies.steps]]
to = "GLACIER_IR"
study_age_days = 365
[[policies.steps]]
to = "GLACIER"
study_age_days = 3650
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An archive with an old study of two series, and one of today."""
    (tmp_path / "in").mkdir()
    for study, date in ((OLD, "20010203"), (NEW, "")):
        for series in (f"{study}.1", f"{study}.2"):
            file = make_instance(f"{series}.1", study=study, series=series, StudyDate=date)
            (tmp_path / "in" / f"{series}.dcm").write_bytes(file)
    pacs("import", tmp_path / "in", "--data", tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    file = tmp_path / "tiers.toml"
    file.write_text(POLICY)
    return file


def _held(data: Path, study: str) -> list[Path]:
    """Put a study on hold; return what says so."""
    pacs("hold", "set", study, "--reason", "a lawsuit", "--data", data)
    return list((data / "objects" / "holds").rglob("*.json"))


def test_what_is_due_is_shown_then_moved_and_not_again(data: Path, policy: Path) -> None:
    (planned,) = lines(pacs("tier", "plan", policy, "--data", data, "--json"))
    assert (planned["policy"], planned["from"], planned["to"]) == ("old", "STANDARD", "GLACIER")
    assert planned["packs"] == 2
    later = lines(pacs("tier", "plan", policy, "--data", data, "--json", "--in-days", "366"))
    assert {one["to"]: one["packs"] for one in later} == {"GLACIER": 2, "GLACIER_IR": 2}
    assert "saved a month" in pacs("tier", "plan", policy, "--data", data).stdout
    (done,) = lines(pacs("tier", "apply", policy, "--yes", "--data", data, "--json"))
    assert done == {"moved": 2, "asked": 0, "left": 0, "pinned": 0}
    names = list((data / "objects" / "packs").rglob("*.zip"))
    assert {path.is_symlink() for path in names if f"/{OLD}/" in str(path)} == {True}
    assert {path.is_symlink() for path in names if f"/{NEW}/" in str(path)} == {False}
    assert "Nothing is due" in pacs("tier", "plan", policy, "--data", data).stdout
    (done,) = lines(pacs("tier", "apply", policy, "--yes", "--data", data, "--json"))
    assert done == {"moved": 0, "asked": 0, "left": 0, "pinned": 0}
    (cold,) = lines(pacs("fsck", "--data", data, "--json"))
    assert (cold["kind"], cold["severity"]) == ("cold", "note")
    assert cold["detail"].endswith(": 2")


def test_a_rebuilt_catalogue_knows_where_packs_lie(data: Path, policy: Path) -> None:
    pacs("tier", "apply", policy, "--yes", "--data", data)
    for path in data.glob("catalogue.sqlite*"):
        path.unlink()
    pacs("rebuild", "--data", data)
    assert "Nothing is due" in pacs("tier", "plan", policy, "--data", data).stdout


def test_nothing_is_moved_unless_it_is_meant(data: Path, policy: Path) -> None:
    assert "--yes" in pacs("tier", "apply", policy, "--data", data, code=2).stderr
    policy.write_text(POLICY.replace("3650", "360"))
    assert "old" in pacs("tier", "apply", policy, "--yes", "--data", data, code=1).stderr
    assert "old" in pacs("tier", "plan", policy, "--data", data, code=1).stderr
    policy.write_text("policies = 1")
    pacs("tier", "apply", policy, "--yes", "--data", data, code=2)
    assert len(list((data / "objects" / "packs").rglob("*.zip"))) == 4


def test_a_pack_that_is_not_there_is_left_and_told(data: Path, policy: Path) -> None:
    (series,) = (data / "objects" / "packs").rglob(f"{OLD}.1")
    shutil.rmtree(series)
    done = pacs("tier", "apply", policy, "--yes", "--data", data, "--json", code=1)
    assert lines(done) == [{"moved": 1, "asked": 0, "left": 1, "pinned": 0}]


def test_what_need_not_be_kept_is_listed_and_only_then_deleted(data: Path, policy: Path) -> None:
    policy.write_text(f'[[policies]]\nname = "ten years"\nretention_years = 10\n{POLICY}')
    (row,) = lines(pacs("tier", "expired", policy, "--data", data, "--json"))
    assert (row["study"], row["date"], row["policy"]) == (OLD, "20010203", "ten years")
    assert row["instances"] == 2
    assert len(lines(pacs("find", "--data", data, "--json"))) == 2
    pacs("tier", "expired", policy, "--delete", "--data", data, code=2)
    pacs("tier", "expired", policy, "--delete", "--yes", "--data", data)
    assert len(lines(pacs("find", "--data", data, "--json"))) == 1
    assert "No study" in pacs("tier", "expired", policy, "--data", data).stdout
    pacs("trash", "restore", OLD, "--data", data)
    # What cannot be deleted is told, and stops no other.
    (hold,) = _held(data, OLD)
    hold.write_bytes(b"not what was written")
    file = make_instance("1.2.3.0.1.1", study=OTHER, series=f"{OTHER}.1", StudyDate="20010203")
    (data / "other.dcm").write_bytes(file)
    pacs("import", data / "other.dcm", "--data", data)
    done = pacs("tier", "expired", policy, "--delete", "--yes", "--data", data, "--json", code=1)
    assert {one["study"]: one["deleted"] for one in lines(done)} == {OLD: False, OTHER: True}
    assert f"{OLD}: " in done.stderr
    assert len(lines(pacs("find", "--data", data, "--json"))) == 2


def test_small_packs_become_one_by_the_command(data: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    file = make_instance(f"{OLD}.1.2", study=OLD, series=f"{OLD}.1", StudyDate="20010203")
    (tmp_path / "more" / "1.dcm").write_bytes(file)
    pacs("import", tmp_path / "more", "--data", data)
    assert "nothing to repack" in pacs("repack", "--data", data).stdout
    assert "no study" in pacs("repack", "1.2.3.4.5", "--data", data, code=2).stderr
    done = lines(pacs("repack", OLD, "--data", data, "--json"))
    assert [(one["replaced"], one["made"]) for one in done] == [(2, 1), (0, 0)]
    pacs("fsck", "--deep", "--data", data)
    pacs("get", OLD, "-o", tmp_path / "out", "--data", data)
    assert (tmp_path / "out" / OLD / f"{OLD}.1" / f"{OLD}.1.2.dcm").read_bytes() == file

"""`backup` and `restore` of a whole archive: packs and one file are enough."""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_command_line import lines, pacs
from test_deletion_archive import FIRST, OTHER, STUDY, imported

from crash.archive import fsck
from infra import provision
from infra.template import read
from servers.endpoint import Endpoint
from servers.fixtures import Place
from unit.custody.custody_packs import Clock, Sample, make_pack

WAITING = "1.2.3.77"


def eventful(tmp_path: Path) -> Path:
    """An archive with a deletion, a hold, an erasure, and a pack that waits in its spool."""
    data = imported(tmp_path)
    pacs("delete", STUDY, "--series", FIRST, "-y", "--data", data)
    pacs("hold", "set", OTHER, "--reason", "case 7", "--data", data)
    erased = ("--instance", f"{STUDY}.2.1", "--reason", "request", "--yes")
    pacs("erase", STUDY, *erased, "--data", data)
    made = make_pack(Clock(), "default", WAITING, f"{WAITING}.1", [Sample(f"{WAITING}.1.1")])
    folder = data / "spool" / "7"
    folder.mkdir(parents=True)
    (folder / f"{made.key.pack_id}.zip").write_bytes(made.data)
    return data


def only_packs(data: Path, where: Path) -> Path:
    """Lose everything but the packs."""
    shutil.copytree(data / "objects" / "packs", where / "objects" / "packs")
    return where


def take_in(data: Path, tmp_path: Path) -> None:
    """Take in what waited in the spool, as whoever starts it does while it runs."""
    empty = tmp_path / "empty"
    empty.mkdir(exist_ok=True)
    for _ in range(20):
        pacs("import", empty, "--data", data, code=None)
        if WAITING in pacs("find", "--data", data).stdout:
            return
    pytest.fail("what waited in the spool stays there")


def said(data: Path) -> list[str]:
    """What the archive shows, trash and holds included, once what waited is in."""
    (told,) = lines(pacs("catalogue", "hash", "--data", data, "--json"))
    trash = pacs("trash", "list", "--data", data).stdout
    return [told["hash"], trash, pacs("hold", "list", "--data", data).stdout]


def test_packs_and_a_backup_are_the_archive(tmp_path: Path) -> None:
    data = eventful(tmp_path)
    (told,) = lines(pacs("backup", tmp_path / "b.zip", "--data", data, "--json"))
    assert {"settings.json", "spool/", "objects/ledger/", "objects/holds/"} <= told["parts"].keys()
    assert pacs("backup", tmp_path / "b.zip", "--data", data, code=2).stderr.count("already") == 1
    new = only_packs(data, tmp_path / "new")
    (dry,) = lines(pacs("restore", tmp_path / "b.zip", "--data", new, "--json"))
    assert (dry["done"], dry["differing"], len(dry["spool"])) == (False, [], 1)
    assert not (new / "objects" / "ledger").exists()
    assert "rebuild" in pacs("restore", tmp_path / "b.zip", "--yes", "--data", new).stdout
    pacs("rebuild", "--data", new)
    for archive in (data, new):
        take_in(archive, tmp_path)
    assert said(new) == said(data)
    assert fsck(new) == (0, [])
    (again,) = lines(pacs("restore", tmp_path / "b.zip", "--data", new, "--json"))
    assert (again["missing"], again["spool"], again["spool_known"]) == ([], [], 1)


def test_a_cut_backup_is_refused(tmp_path: Path) -> None:
    data = imported(tmp_path)
    said = pacs("backup", tmp_path, "--data", data).stdout
    (file,) = tmp_path.glob("pacs-backup-*.zip")
    assert said.endswith(f": {file}\n")
    # A folder that nobody has made is no file either.
    refused = pacs("backup", tmp_path / "none", "--data", data, code=2).stderr
    assert "none is no folder" in refused
    assert ".zip" in refused
    file.write_bytes(file.read_bytes()[:-40])
    told = pacs("restore", file, "--yes", "--data", data, code=2).stderr
    assert told.startswith("pacs-cloud: ")
    assert "cut" in told


@pytest.fixture
def bucket(moto_endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", moto_endpoint.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", moto_endpoint.secret_key)
    place = Place(moto_endpoint, f"t-{uuid.uuid4().hex[:20]}")
    client = moto_endpoint.client("s3")
    provision.create_bucket(client, read({"BucketName": place.name}))
    yield place
    provision.remove_bucket(client, place.name)
    client.close()


def test_a_backup_lies_in_a_bucket(tmp_path: Path, bucket: Place) -> None:
    data = imported(tmp_path)
    pacs("hold", "set", OTHER, "--reason", "case 7", "--data", data)
    where = f"s3://{bucket.name}/backups"
    options = f"?endpoint={bucket.endpoint.url}&region={bucket.endpoint.region}"
    said = pacs("backup", where + options, "--data", data).stdout
    client = bucket.endpoint.client("s3")
    (entry,) = client.list_objects_v2(Bucket=bucket.name)["Contents"]
    client.close()
    shutil.rmtree(data / "objects" / "holds")
    name = entry["Key"].rpartition("/")[2]
    assert said.endswith(f": {where}/{name}{options}\n")
    pacs("restore", f"{where}/{name}{options}", "--yes", "--data", data)
    assert "case 7" in pacs("hold", "list", "--data", data).stdout

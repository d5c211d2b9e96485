"""Erasures in the whole archive: the command line, HTTP, and buckets that keep versions."""

import os
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
from test_command_line import lines, pacs
from test_deletion_archive import FILES, FIRST, OTHER, STUDY, imported

from crash.archive import fsck, running
from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.port import ByDate, ByPatient, Catalogue
from pacs_cloud.custody.erasure.asking import ask, plan_erasure
from pacs_cloud.custody.erasure.run import StudyErasure
from pacs_cloud.custody.export import digest
from pacs_cloud.custody.fsck import check
from pacs_cloud.custody.rebuild import rebuild
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.objectstore.port import ObjectStore
from servers.fixtures import Place
from unit.custody.custody_packs import Clock, Sample, commit, make_pack, put

DOOMED = f"{FIRST}.1"
HOUR_US = 3_600_000_000


def test_an_instance_is_erased_by_the_command_line(tmp_path: Path) -> None:
    data = imported(tmp_path)
    words = ("--reason", "request 12", "--by", "dpo", "--data", data)
    (plan,) = lines(pacs("erase", STUDY, "--instance", DOOMED, *words, "--json"))
    assert (plan["instances"], plan["packs_rewritten"], plan["cold"]) == ([DOOMED], 1, 0)
    assert "proven" not in plan
    assert lines(pacs("erase", "list", "--data", data, "--json")) == []
    (done,) = lines(pacs("erase", STUDY, "--instance", DOOMED, *words, "--yes", "--json"))
    assert (done["proven"], done["waiting"], len(done["removed"])) == (True, [], 2)
    (row,) = lines(pacs("erase", "list", "--data", data, "--json"))
    assert (row["study"], row["state"], row["instances"]) == (STUDY, "proven", 1)
    assert (row["by"], row["reason"]) == ("dpo", "request 12")
    steps = lines(pacs("erase", "show", STUDY, "--data", data, "--json"))
    assert [one["step"] for one in steps] == ["asked", "removing", "proven"]
    assert steps[2]["removed"] == done["removed"]
    assert fsck(data) == (0, [])
    with running(data, log=tmp_path / "log") as archive:
        series = f"{archive.http}/dicom-web/studies/{STUDY}/series/{FIRST}"
        assert httpx.get(f"{series}/instances/{DOOMED}").status_code == 404
        assert httpx.get(f"{series}/instances/{FIRST}.2").status_code == 200
        assert len(httpx.get(f"{series}/metadata").json()) == 1
    # Whoever sends it again has his answer, and nobody sees it.
    pacs("import", tmp_path / "in", "--data", data)
    found = lines(
        pacs("find", "--level", "instance", f"StudyInstanceUID={STUDY}", "--data", data, "--json")
    )
    assert DOOMED not in str(found)
    assert holding_files(data, DOOMED)
    with running(data, log=tmp_path / "log"):
        while holding_files(data, DOOMED) or not is_proven(data):
            time.sleep(0.2)
    assert fsck(data) == (0, [])


def is_proven(data: Path) -> bool:
    (row,) = lines(pacs("erase", "list", "--data", data, "--json"))
    return row["state"] == "proven"


def holding_files(data: Path, uid: str) -> list[Path]:
    """The packs that hold an instance; whatever is removed meanwhile does not."""
    found: list[Path] = []
    for folder, _, names in os.walk(data / "objects" / "packs"):
        for path in (Path(folder, name) for name in names if name.endswith(".zip")):
            with suppress(FileNotFoundError):
                if f"{uid}.dcm".encode() in path.read_bytes():
                    found.append(path)
    return found


def test_a_whole_study_and_what_is_lifted(tmp_path: Path) -> None:
    data = imported(tmp_path)
    words = ("--reason", "request 13", "--data", data)
    said = pacs("erase", OTHER, *words).stdout
    assert "--yes does it" in said
    pacs("erase", OTHER, *words, "--yes")
    assert not list((data / "objects").rglob(f"**/packs/**/{OTHER}/**/*.zip"))
    assert pacs("erase", OTHER, *words, code=2).stderr.startswith("pacs-cloud: This is erased")
    pacs("import", tmp_path / "in", "--data", data)
    assert OTHER not in pacs("find", "--data", data).stdout
    # What came again is taken out before anything is lifted.
    pacs("erase", "lift", OTHER, *words)
    pacs("import", tmp_path / "in", "--data", data)
    assert OTHER in pacs("find", "--data", data).stdout
    (row,) = lines(pacs("erase", "list", "--data", data, "--json"))
    assert row["state"] == "lifted"
    assert fsck(data) == (0, [])
    assert len(FILES) == 6


async def test_every_version_goes(
    cloud: tuple[ObjectStore, Catalogue],
    s3_bucket: Place,
    dynamodb_table: Place,
    tmp_path: Path,
) -> None:
    objects, catalogue = cloud
    clock, uid, other = Clock(), "1.2.3.1.777", "1.2.3.1.888"
    packs = [
        make_pack(clock, "default", "1.2.3", "1.2.3.1", [Sample(uid), Sample(other)]),
        make_pack(clock, "default", "1.2.3", "1.2.3.1", [Sample("1.2.3.1.999")]),
    ]
    for made in packs:
        await put(objects, made)
        await commit(objects, catalogue, made, clock)
    with closing(s3_bucket.endpoint.client("s3")) as client:
        # Somebody has written over one object, and deleted another's newest version.
        client.put_object(Bucket=s3_bucket.name, Key=packs[0].key.index, Body=packs[0].index)
        gone = packs[0].key.pack.replace(
            packs[0].key.pack_id, "0199c82c-0000-7000-8000-0123456789ab"
        )
        client.put_object(Bucket=s3_bucket.name, Key=gone, Body=packs[0].data)
        client.delete_object(Bucket=s3_bucket.name, Key=gone)
        scope = Scope("default", "1.2.3", "", uid)
        plan = await plan_erasure(objects, catalogue, scope, now_us=clock.tick())
        await ask(objects, plan, who="dpo", reason="request", now_us=clock.tick())

        async def recall(_packs: object) -> None:
            raise AssertionError

        done = await StudyErasure(
            objects, catalogue, tmp_path, recall, clock.tick, "default", "1.2.3"
        ).run()
        assert (done.is_proven, done.waiting) == (True, ())
        assert done.removed == {packs[0].key.pack: 1, packs[0].key.index: 2, gone: 2}
        left = client.list_object_versions(Bucket=s3_bucket.name)
        entries = [*left.get("Versions", ()), *left.get("DeleteMarkers", ())]
        assert not {one["Key"] for one in entries} & done.removed.keys()
        for entry in left["Versions"]:
            body = client.get_object(
                Bucket=s3_bucket.name, Key=entry["Key"], VersionId=entry["VersionId"]
            )["Body"].read()
            if entry["Key"].startswith("packs/"):
                assert uid.encode() not in body
    assert [finding async for finding in check(objects, catalogue, deep=True)] == []
    assert holding(dynamodb_table, uid) <= {"A"}
    # And all the rest: one item is left of the study, which searches do not find.
    plan = await plan_erasure(objects, catalogue, Scope("default", "1.2.3"), now_us=clock.tick())
    await ask(objects, plan, who="dpo", reason="request", now_us=clock.tick())
    done = await StudyErasure(
        objects, catalogue, tmp_path, recall, clock.tick, "default", "1.2.3"
    ).run()
    assert (done.is_proven, done.instances) == (True, 3)
    # What an upload has left that died two hours ago.
    with closing(s3_bucket.endpoint.client("s3")) as client:
        client.create_multipart_upload(Bucket=s3_bucket.name, Key=packs[1].key.pack)
        clock.now_us = time.time_ns() // 1000 + 3 * HOUR_US
        done = await StudyErasure(
            objects, catalogue, tmp_path, recall, clock.tick, "default", "1.2.3"
        ).run()
        assert done.is_proven
        assert not client.list_multipart_uploads(Bucket=s3_bucket.name).get("Uploads")
    assert [key async for key in objects.versions("packs/")] == []
    assert [key async for key in objects.versions("index/")] == []
    assert sort_keys(dynamodb_table) == ["A"]
    assert (await catalogue.studies("default", ByPatient("P1"))).studies == ()
    assert (await catalogue.studies("default", ByDate())).studies == ()
    assert [finding async for finding in check(objects, catalogue, deep=True)] == []
    said = await digest(catalogue)
    await rebuild(objects, catalogue, policy=ConflictPolicy.KEEP_FIRST, now_us=clock.tick())
    assert await digest(catalogue) == said


def holding(table: Place, uid: str) -> set[Any]:
    """Return the sort keys of the items that name a UID in plain sight."""
    return {item["sk"]["S"] for item in items(table) if uid in repr(item)}


def sort_keys(table: Place) -> list[str]:
    """Return those of all items but events not passed on, and the months that studies are of."""
    return [item["sk"]["S"] for item in items(table) if item["pk"]["S"][:2] not in {"O#", "M#"}]


def items(table: Place) -> list[Any]:
    with closing(table.endpoint.client("dynamodb")) as client:
        return client.scan(TableName=table.name)["Items"]

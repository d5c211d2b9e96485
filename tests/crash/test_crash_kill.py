"""`kill -9` in the middle of a store takes nothing that was answered Success."""

import dataclasses
import random
from pathlib import Path

from crash.archive import fsck, running
from crash.bookkeeping import Promises, file_meta, split_parts
from crash.instances import make_instance, new_uid
from crash.raw_scu import SUCCESS, Association
from crash.soak import crash_round, wait_for

ROUNDS = 2
"""`python -m crash.soak` runs a hundred."""


def test_every_promise_is_kept(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice, promises = random.Random(seed), Promises()
    for _ in range(ROUNDS):
        crash_round(tmp_path / "data", tmp_path / "archive.log", promises, dice)
    assert len(promises) > ROUNDS


def test_a_broken_promise_is_noticed(tmp_path: Path) -> None:
    dice, promises, study = random.Random(2), Promises(), new_uid()
    series = [new_uid(), new_uid()]
    data, log = tmp_path / "data", tmp_path / "archive.log"
    with (
        running(data, log=log) as archive,
        Association(archive.host, archive.port, archive.aet) as association,
    ):
        for number in range(6):
            instance = make_instance(study, series[number % 2], "small", dice)
            assert association.store(instance) == SUCCESS
            promises.add(instance)
        altered = make_instance(study, series[0], "small", dice)
        assert association.store(altered) == SUCCESS
        promises.add(dataclasses.replace(altered, dataset=altered.dataset + b"\0"))
        association.release()
        wait_for(lambda: promises.broken(archive.http) != [], "the alteration to be noticed")
        wait_for(lambda: len(promises.broken(archive.http)) == 1, "the commits")
        (fault,) = promises.broken(archive.http)
        assert fault == f"{altered.sop_instance_uid} came back altered"
        missing = make_instance(study, series[1], "small", dice)
        promises.add(missing)
        assert f"{missing.sop_instance_uid} is lost" in promises.broken(archive.http)
    assert fsck(data) == (0, [])
    next((data / "objects").rglob(f"{series[0]}/*.zip")).unlink()
    code, findings = fsck(data)
    assert code == 1
    assert {finding["kind"] for finding in findings} == {"dangling"}


def test_instances_differ_and_say_their_uids() -> None:
    dice, study, series = random.Random(1), new_uid(), new_uid()
    one, other = (make_instance(study, series, "small", dice) for _ in range(2))
    assert len(one.dataset) == len(other.dataset)
    assert one.dataset[-18_432:-18_368] != other.dataset[-18_432:-18_368]
    for uid in (one.study_instance_uid, one.series_instance_uid, one.sop_instance_uid):
        assert one.dataset.count(uid.encode()) == 1


def test_multipart_bodies_come_apart() -> None:
    meta = b"\x02\x00\x03\x00UI\x06\x001.2.3\0"
    part = bytes(128) + b"DICM\x02\x00\x00\x00UL\x04\x00" + len(meta).to_bytes(4, "little") + meta
    head = b"Content-Type: application/dicom\r\n\r\n"
    body = b"".join(b"--x\r\n" + head + part + data + b"\r\n" for data in (b"1", b"\r\n--y", b""))
    parts = list(split_parts(body + b"--x--\r\n", b"x"))
    assert [one[len(part) :] for one in parts] == [b"1", b"\r\n--y", b""]
    assert [file_meta(one) for one in parts] == [("1.2.3", len(part))] * 3

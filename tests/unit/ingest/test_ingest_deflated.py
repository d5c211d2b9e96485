"""Deflated data sets are inflated beside the loop, whichever door they come through."""

import asyncio
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from pacs_cloud.dicom import header
from pacs_cloud.dicom.deflate import deflate, inflate
from pacs_cloud.dicom.part10 import encode_file_meta
from pacs_cloud.dicom.uid import DEFLATED_LE
from pacs_cloud.errors import InvalidInstance
from pacs_cloud.ingest.deflated_admission import SHORT_BYTES
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.ingest.reception import Reception
from pacs_cloud.security.caller import system
from patience import PATIENCE_S
from unit.ingest.conftest import Archive
from unit.ingest.ingest_instances import (
    CT,
    SCANNER,
    SERIES,
    STUDY,
    UPLOAD,
    ct_dataset,
    receive,
    scanner,
    store,
)

PIXELS = random.Random(1).randbytes(2 * SHORT_BYTES)
"""Nothing that deflate could make shorter."""


def of_device(intake: Intake, number: int) -> Reception:
    return intake.session(system("default"), SCANNER).begin_dataset(
        sop_class_uid=CT, sop_instance_uid=f"{SERIES}.{number}", transfer_syntax_uid=DEFLATED_LE
    )


def of_upload(intake: Intake, number: int) -> Reception:
    meta = encode_file_meta(
        sop_class_uid=CT, sop_instance_uid=f"{SERIES}.{number}", transfer_syntax_uid=DEFLATED_LE
    )
    return receive(intake.session(system("default"), UPLOAD).begin_file(), meta)


@dataclass
class Inflating:
    """Where data sets are inflated; what is, waits until it may go on."""

    threads: list[threading.Thread] = field(default_factory=list[threading.Thread])
    begun: threading.Event = field(default_factory=threading.Event)
    may_go_on: threading.Event = field(default_factory=threading.Event)

    def __call__(self, dataset: header.View, limit_bytes: int) -> bytes:
        self.threads.append(threading.current_thread())
        self.begun.set()
        if threading.current_thread() is not threading.main_thread():
            assert self.may_go_on.wait(PATIENCE_S)
        return inflate(dataset, limit_bytes)


@pytest.fixture
def inflating(monkeypatch: pytest.MonkeyPatch) -> Inflating:
    made = Inflating()
    monkeypatch.setattr(header, "inflate", made)
    return made


@pytest.mark.parametrize("begin", [of_device, of_upload])
async def test_others_are_served_meanwhile(
    archive: Archive, inflating: Inflating, begin: Callable[[Intake, int], Reception]
) -> None:
    dataset = deflate(ct_dataset(1, pixels=PIXELS))
    async with archive.intake() as intake:
        reception = receive(begin(intake, 1), dataset)
        finishing = asyncio.create_task(reception.finish())
        await asyncio.to_thread(inflating.begun.wait, 60)
        await store(scanner(intake), 2)
        assert not finishing.done()
        inflating.may_go_on.set()
        assert (await finishing).sop_instance_uid == f"{SERIES}.1"
    assert threading.main_thread() not in inflating.threads
    stored = await archive.instances(STUDY)
    assert stored.keys() == {f"{SERIES}.1", f"{SERIES}.2"}
    assert stored[f"{SERIES}.1"].endswith(dataset)


async def test_one_is_inflated_at_a_time(archive: Archive, inflating: Inflating) -> None:
    async with archive.intake() as intake:
        finishing = [
            asyncio.create_task(
                receive(
                    of_device(intake, number), deflate(ct_dataset(number, pixels=PIXELS))
                ).finish()
            )
            for number in range(4)
        ]
        await asyncio.to_thread(inflating.begun.wait, 60)
        await store(scanner(intake), 9)
        assert len(inflating.threads) == 1
        inflating.may_go_on.set()
        await asyncio.gather(*finishing)
    assert len(set(inflating.threads)) == 1
    assert len(await archive.instances(STUDY)) == 5


async def test_a_short_one_costs_no_thread(archive: Archive, inflating: Inflating) -> None:
    async with archive.intake() as intake:
        await receive(of_device(intake, 1), deflate(ct_dataset(1))).finish()
    assert inflating.threads == [threading.main_thread()]


async def test_whoever_goes_away_meanwhile_leaves_nothing(
    archive: Archive, inflating: Inflating
) -> None:
    async with archive.intake() as intake:
        dataset = deflate(ct_dataset(1, pixels=PIXELS))
        finishing = asyncio.create_task(receive(of_device(intake, 1), dataset).finish())
        await asyncio.to_thread(inflating.begun.wait, 60)
        finishing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await finishing
        await store(scanner(intake), 2)
        inflating.may_go_on.set()
        await receive(of_device(intake, 3), deflate(ct_dataset(3, pixels=PIXELS))).finish()
    assert (await archive.instances(STUDY)).keys() == {f"{SERIES}.2", f"{SERIES}.3"}


async def test_one_that_is_broken_is_refused(archive: Archive) -> None:
    async with archive.intake() as intake:
        for number, broken in enumerate((PIXELS, deflate(ct_dataset(1, pixels=PIXELS))[:-9])):
            with pytest.raises(InvalidInstance):
                await receive(of_device(intake, number), broken).finish()
        assert intake.counters.refused == 2
    assert not await archive.instances(STUDY)

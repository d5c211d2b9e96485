"""Counts and final statuses of C-MOVE and C-GET; the answers to extended negotiation."""

import pytest

from pacs_cloud.dicom.uid import EXPLICIT_LE, IMPLICIT_LE
from pacs_cloud.dimse import suboperations
from pacs_cloud.dimse.command import Element
from pacs_cloud.dimse.query_extension import answer_find, answer_retrieve
from pacs_cloud.dimse.tally import Tally


def tally(total: int, *statuses: int) -> Tally:
    counted = Tally(total)
    for number, status in enumerate(statuses):
        counted.answered(f"1.{number}", status)
    return counted


@pytest.mark.parametrize(
    ("counted", "cancelled", "status"),
    [
        (tally(0), False, 0x0000),
        (tally(0), True, 0x0000),
        (tally(2, 0, 0), False, 0x0000),
        (tally(2, 0, 0), True, 0x0000),
        (tally(2, 0), True, 0xFE00),
        (tally(2, 0, 0xB000), False, 0xB000),
        (tally(2, 0, 0xA700), False, 0xB000),
        (tally(2, 0xB007, 0xC000), False, 0xB000),
        (tally(2, 0xA700, 0x0110), False, 0xA702),
        (tally(3, 0xA700), True, 0xFE00),
    ],
)
def test_the_final_status(counted: Tally, cancelled: bool, status: int) -> None:
    response = suboperations.final(counted, IMPLICIT_LE, cancelled=cancelled)
    assert response.status == status
    assert (response.data_set is not None) == bool(counted.failed)
    assert (Element.REMAINING_SUBOPERATIONS in response.elements) == (status == 0xFE00)


def test_failed_uids_are_listed() -> None:
    response = suboperations.final(tally(3, 0, 0xA700, 0xC001), IMPLICIT_LE, cancelled=False)
    assert response.data_set == b"\x08\x00\x58\x00\x08\x00\x00\x001.1\\1.2\0"


def test_more_failures_than_an_explicit_uid_list_holds() -> None:
    counted = Tally(3000)
    for number in range(3000):
        counted.lost(f"1.2.826.0.1.3680043.8.498.{number:010}", "gone")
    response = suboperations.final(counted, EXPLICIT_LE, cancelled=False)
    assert response.data_set is not None
    # Its VR is UN then, whose length has 32 bits (PS3.5 6.2.2).
    assert response.data_set[4:6] == b"UN"
    assert len(response.data_set) > 100_000


def test_counts_that_do_not_fit_their_vr() -> None:
    counted = Tally(70_000)
    counted.answered("1.1", 0)
    response = suboperations.pending(counted)
    assert response.elements == {
        Element.REMAINING_SUBOPERATIONS: 0xFFFF,
        Element.COMPLETED_SUBOPERATIONS: 1,
        Element.FAILED_SUBOPERATIONS: 0,
        Element.WARNING_SUBOPERATIONS: 0,
    }


@pytest.mark.parametrize(
    ("asked", "find", "retrieve"),
    [
        (b"\1", b"\1", b"\1"),
        (b"\0", b"\0", b"\0"),
        (b"\1" * 7, b"\1\1\1\0\0\1\1", b"\1" + bytes(6)),
        (b"\0\0\1", b"\0\0\1", b"\0\0\0"),
        (b"", b"", b""),
    ],
)
def test_extended_negotiation(asked: bytes, find: bytes, retrieve: bytes) -> None:
    assert answer_find(asked) == find
    assert answer_retrieve(asked) == retrieve

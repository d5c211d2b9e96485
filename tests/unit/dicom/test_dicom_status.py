import pytest
from pynetdicom.status import code_to_category

from pacs_cloud.dicom.status import Status


@pytest.mark.parametrize("status", list(Status), ids=lambda s: s.name)
def test_categories_are_pynetdicoms(status: Status) -> None:
    category = code_to_category(status)
    assert status.is_pending is (category == "Pending")
    assert status.is_warning is (category == "Warning")
    assert status.is_failure is (category == "Failure")


@pytest.mark.parametrize(
    "code",
    [
        0x0000,
        0x0110,
        0x0111,
        0x0122,
        0x0124,
        0x0210,
        0xA700,
        0xA701,
        0xA702,
        0xA801,
        0xA900,
        0xB000,
        0xB006,
        0xB007,
        0xC000,
        0xC001,
        0xFE00,
        0xFF00,
        0xFF01,
    ],
)
def test_what_the_servers_answer_with_is_there(code: int) -> None:
    assert Status(code) == code

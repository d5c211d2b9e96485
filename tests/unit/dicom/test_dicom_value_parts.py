"""Values put together from frames."""

import random

import pytest
from pydicom.encaps import generate_frames

from pacs_cloud.dicom.coding.value_parts import FragmentedValue, NativeValue
from pacs_cloud.errors import InvalidInstance


@pytest.mark.parametrize("bits", [1, 3, 7, 8, 12, 16, 63, 100, 128])
@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_native_frames_lie_bit_by_bit(bits: int, count: int) -> None:
    dice = random.Random(bits * count)
    numbers = [dice.getrandbits(bits) for _ in range(count)]
    expected = sum(number << bits * at for at, number in enumerate(numbers))
    value = NativeValue(bits, count)
    parts = [value.add(number.to_bytes(-(-bits // 8), "little")) for number in numbers]
    joined = b"".join([*parts, value.end()])
    assert len(joined) == value.length_bytes == -(-bits * count // 16) * 2
    assert int.from_bytes(joined, "little") == expected


def test_a_frame_of_another_size_is_refused() -> None:
    value = NativeValue(16, 2)
    value.add(b"12")
    with pytest.raises(InvalidInstance):
        value.add(b"123")


def test_fragments_are_read_back_by_pydicom() -> None:
    frames = [b"odd", b"even", b"", b"x" * 1001]
    value = FragmentedValue()
    joined = b"".join([*(value.add(frame) for frame in frames), value.end()])
    assert joined.endswith(b"\xfe\xff\xdd\xe0\0\0\0\0")
    assert list(generate_frames(joined[:-8], number_of_frames=4)) == [
        frame + bytes(len(frame) % 2) for frame in frames
    ]


def test_no_frames_are_an_empty_table() -> None:
    assert FragmentedValue().end() == b"\xfe\xff\0\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"

"""A reader that knows a series' layout answers as one that sees a header for the first time."""

import random
from struct import pack

import pytest
from dicom_making import (
    UNDEFINED,
    bundled_files,
    dataset_of,
    encapsulated,
    explicit,
    image,
    implicit,
    instance,
    item,
    real_folder,
)

from pacs_cloud.dicom.header import Header, HeaderReader
from pacs_cloud.dicom.memo import Memo
from pacs_cloud.dicom.uid import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, JPEG_BASELINE
from pacs_cloud.dicom.walk import Walk
from pacs_cloud.errors import InvalidInstance

SEQUENCE_END = implicit(0xFFFEE0DD, b"")


def answer(
    reader: HeaderReader, data: bytes | bytearray, syntax: str
) -> tuple[Header, list[str]] | tuple[str, str, str, str]:
    try:
        header = reader.read(data, syntax)
    except InvalidInstance as refused:
        return (str(refused), refused.refusal, refused.sop_class_uid, refused.sop_instance_uid)
    return header, list(header.attributes)


def follows(reader: HeaderReader, data: bytes, syntax: str = EXPLICIT_LE) -> bool:
    """Tell whether `data` follows a layout that `reader` has."""
    series, start = reader._layouts.series_of(data, syntax)
    return series.match(Walk(data, syntax), Memo(1 << 20), start) is not None


def check(series: list[bytes], syntax: str = EXPLICIT_LE) -> HeaderReader:
    """Compare a warm reader with a fresh one, header by header; return the warm one."""
    reader, of_buffers = HeaderReader(), HeaderReader()
    for data in series:
        expected = answer(HeaderReader(), data, syntax)
        assert answer(reader, data, syntax) == expected
        assert answer(of_buffers, bytearray(data), syntax) == expected
    return reader


def slices(*elements: bytes, count: int = 6) -> list[bytes]:
    return [
        image(
            explicit(0x00200013, "IS", b"%d" % number * 2),
            explicit(0x00100010, "PN", b"Doe^J "),
            explicit(0x7FE00010, "OW", pack("<H", number) * 2),
            *elements,
        )
        for number in range(1, count + 1)
    ]


def test_the_fourth_header_follows() -> None:
    series = slices()
    assert not follows(check(series[:2]), series[3])
    assert follows(check(series[:3]), series[3])


def test_values_of_other_lengths_move_what_comes_after() -> None:
    series = [
        image(
            explicit(0x00080033, "TM", b"12" * number),
            explicit(0x00282000, "OB", b"L" * 2_000),
            explicit(0x00420011, "OB", bytes(1_020 + 2 * number)),
            explicit(0x7FE00010, "OW", bytes(8)),
        )
        for number in range(1, 8)
    ]
    reader = check(series)
    assert follows(reader, series[0])
    bulk = {value.path: value for value in reader.read(series[6], EXPLICIT_LE).bulk}
    assert bulk["00282000"].offset == series[6].index(b"L" * 2_000)


@pytest.mark.parametrize(
    "deciding",
    [
        [explicit(0x00080005, "CS", term) for term in (b"ISO_IR 100", b"ISO_IR 192")],
        [explicit(0x00290010, "LO", name) for name in (b"SIEMENS CSA HEADER", b"NOBODY")],
        [explicit(0x00280103, "US", pack("<H", signed)) for signed in (0, 1)],
        [explicit(0x00280100, "US", pack("<H", bits)) for bits in (8, 16)],
        [explicit(0x00283002, "US", pack("<HHH", entries, 0, 16)) for entries in (1, 2)],
        [explicit(0x00280102, "US", b"\7\0"), b""],
        [explicit(0x00089215, "SQ", b""), explicit(0x00089215, "UN", b"")],
    ],
)
def test_what_decides_about_other_elements(deciding: list[bytes]) -> None:
    around = [
        explicit(0x00100010, "PN", b"M\xc3\xbcller^J "),
        explicit(0x00291008, "UN", b"IMAGE "),
        explicit(0x00280106, "UN", b"\xff\xff"),
        explicit(0x00283006, "UN", b"\1\0"),
        explicit(0x00287FE0, "UN", b"\1\0"),
        explicit(0x7FE00010, "UN", b"\1\2"),
    ]
    own = {element[:4] for element in deciding if element}
    series: list[bytes] = []
    for number in (0, 0, 0, 0, 1, 1, 0, 1, 0, 1, 1, 1, 1, 1, 1, 0, 0):
        module = [element for element in around if element[:4] not in own]
        tag = deciding[0][:4]
        if tag in {pack("<HH", 0x28, 0x100), pack("<HH", 0x28, 0x103)}:
            module = [*module, deciding[number]]
            series.append(instance(*module))
        else:
            series.append(image(*module, deciding[number]))
    check(series)


def test_the_pixel_representation_of_implicit_headers() -> None:
    uids = [implicit(tag, b"1.2\0") for tag in (0x80016, 0x80018, 0x20000D, 0x20000E)]

    def one(signed: bytes, number: int) -> bytes:
        values = [implicit(0x00280106, b"\xff\xff"), implicit(0x00280120, pack("<H", number))]
        return b"".join([*uids, implicit(0x00280103, signed), *values])

    plan = [b"\0\0"] * 5 + [b"\1\0"] * 7 + [b"\0\0", b"\1\0"] * 3
    series = [one(signed, 65_000 + number) for number, signed in enumerate(plan)]
    assert follows(check(series[:5], IMPLICIT_LE), series[0], IMPLICIT_LE)
    check(series, IMPLICIT_LE)


def test_a_value_that_becomes_bulk_and_text_that_does_not_fit() -> None:
    values = [b"1 ", b"2 ", b"3 ", b"x^", b"\\", b"4 " * 900, b"", b"5 ", b"\xe4 "]
    series = [
        image(
            explicit(0x00180050, "DS", value),
            explicit(0x00204000, "LT", value),
            explicit(0x00420011, "OB", value * 300),
            explicit(0x0040A032, "FD", value * 4),
            explicit(0x7FE00010, "OW", value),
        )
        for value in values * 2
    ]
    check(series)


def test_sequences_with_and_without_length() -> None:
    def one(number: int, *, open_ended: bool) -> bytes:
        content = item(explicit(0x00081155, "UI", b"1.%d" % number), delimited=True)
        private = item(explicit(0x00091002, "UN", b"%4d" % number))
        length = UNDEFINED if open_ended else None
        end = SEQUENCE_END if open_ended else b""
        return image(
            explicit(0x00081140, "SQ", content + end, length=length),
            explicit(0x00091001, "UN", content + end, length=length),
            explicit(0x00400275, "SQ", private),
            explicit(0x7FE00010, "OW", b"%4d" % number),
        )

    series = [one(100 + number % 11, open_ended=number % 7 > 0) for number in range(1, 30)]
    assert follows(check(series), one(777, open_ended=True))


def test_encapsulated_pixels() -> None:
    series = [
        image(encapsulated(*[b"\xff\xd8" * (number + 1)] * (1 + number % 3)), frames=2)
        for number in range(8)
    ]
    assert follows(check(series, JPEG_BASELINE), series[0], JPEG_BASELINE)


def test_a_cut_header_is_refused_as_ever() -> None:
    series = slices(explicit(0x00081140, "SQ", item(explicit(0x00081155, "UI", b"1.2\0"))))
    reader = check(series)
    whole = series[-1]
    for stop in range(len(whole)):
        expected = answer(HeaderReader(), whole[:stop], EXPLICIT_LE)
        assert answer(reader, whole[:stop], EXPLICIT_LE) == expected
        assert answer(reader, whole, EXPLICIT_LE) == answer(HeaderReader(), whole, EXPLICIT_LE)


@pytest.mark.parametrize("tag", [0x00080016, 0x00080018, 0x0020000D, 0x0020000E])
@pytest.mark.parametrize("value", [b"", b"\0\0", b"1..2", b"9.9\0"])
def test_uids_are_looked_at_every_time(tag: int, value: bytes) -> None:
    other = instance(explicit(tag, "UI", value), explicit(0x00400009, "SH", b"1"), without=tag)
    usual = [instance(explicit(0x00400009, "SH", b"%d" % number)) for number in range(6)]
    check([*usual, other, *usual, other, other, *usual])


@pytest.mark.parametrize("tag", [0x00080016, 0x00080018, 0x0020000D])
def test_uids_that_vary_within_a_series(tag: int) -> None:
    series = [
        instance(
            explicit(0x00080005, "CS", b"ISO_IR 100"),
            explicit(tag, "UI", uid),
            explicit(0x00400009, "SH", uid),
            without=tag,
        )
        for uid in (b"1.2", b"1.3\0", b"1.10", b"1.02.3", b"1.4 ", b"1.55.6")
    ]
    assert follows(check(series), series[0])


def test_pixels_whose_shape_varies() -> None:
    series = [
        image(explicit(0x7FE00010, "OW", bytes(8 + number)), frames=number % 3)
        for number in range(0, 24, 2)
    ]
    assert follows(check(series), series[0])


def test_a_last_value_that_ends_beyond_what_was_compared() -> None:
    def one(number: int, comments_bytes: int) -> bytes:
        return instance(
            explicit(0x00200052, "UI", b"1.2.%04d" % number),
            explicit(0x00204000, "LT", b"c" * comments_bytes),
            explicit(0x00282000, "OB", bytes(16_384)),
            explicit(0x00400009, "SH", b"%04d" % number * 4),
        )

    usual = [one(number, 10 + number % 3 * 2) for number in range(6)]
    check([*usual, *(one(number, 4_050 + 2 * number) for number in range(40)), *usual])


def test_trailing_padding_and_disorder() -> None:
    series = slices()
    padded = [data + bytes(4) for data in series]
    late = [data + explicit(0x00100020, "LO", b"%2d" % at) for at, data in enumerate(series)]
    early = [explicit(0x00020010, "UI", b"1.%2d" % at) + data for at, data in enumerate(series)]
    for odd in (padded, late, early):
        check(odd)
        check([*series, *odd, *odd, *series])


def test_the_character_set_behind_the_first_element() -> None:
    plan = [b"ISO_IR 100"] * 5 + [b"ISO_IR 192", b"ISO_IR 100"] * 9
    check(
        [
            instance(
                explicit(0x00080001, "UL", b"\1\0\0\0"),
                explicit(0x00080005, "CS", term),
                explicit(0x00100010, "PN", b"M\xc3\xbcller^J "),
                explicit(0x00400009, "SH", b"%d" % number),
            )
            for number, term in enumerate(plan)
        ]
    )


def test_the_first_element_tells_how_the_rest_is_written() -> None:
    uids = [implicit(tag, b"1.2\0") for tag in (0x80016, 0x80018, 0x20000D, 0x20000E)]
    lengths = [0x4002, 0x4004, 0x4006, 0x4008, 0x4142, 0x400A, 0x4142, 0x400C]  # 0x4142: "BA"
    check(
        [b"".join([implicit(0x00080001, bytes(length)), *uids]) for length in lengths],
        IMPLICIT_LE,
    )


def test_a_searched_sequence_with_bulk_in_it_and_without() -> None:
    def one(number: int) -> bytes:
        icon = explicit(0x7FE00010, "OW", b"%4d" % number)
        step = explicit(0x00400009, "SH", b"%4d" % number)
        content = item(step + icon if number % 5 == 4 else step)
        return image(explicit(0x00400275, "SQ", content), explicit(0x7FE00010, "OW", bytes(8)))

    assert follows(check([one(number) for number in range(24)]), one(0))


def test_elements_after_the_pixel_data() -> None:
    series = [
        image(
            explicit(0x7FE00010, "OW", bytes(8)),
            explicit(0xFFFCFFFC, "OB", bytes(2 * number)),
        )
        for number in range(6)
    ]
    assert follows(check(series), series[0])


def test_a_private_value_that_is_a_sequence_at_times() -> None:
    uids = [implicit(tag, b"1.2\0") for tag in (0x80016, 0x80018)]
    last = [implicit(tag, b"1.2\0") for tag in (0x20000D, 0x20000E, 0x00400009)]
    sequence = item(implicit(0x00400009, b"1234"), delimited=True) + SEQUENCE_END

    def one(private: bytes) -> bytes:
        creator = implicit(0x00090010, b"GEMS_IDEN_01")
        return b"".join([*uids, creator, private, *last])

    dates = [implicit(0x00091027, pack("<l", number)) for number in range(6)]
    repeated = implicit(0x00091027, sequence, length=UNDEFINED)
    reader = check([one(p) for p in [*dates, repeated, repeated, repeated, *dates]], IMPLICIT_LE)
    assert follows(reader, one(dates[0]), IMPLICIT_LE)


def test_big_endian_headers_have_no_layout() -> None:
    series = [
        instance(explicit(0x00200013, "IS", b"%d " % number, order=">"), order=">")
        for number in range(6)
    ]
    assert not follows(check(series, EXPLICIT_BE), series[0], EXPLICIT_BE)


def test_every_byte_changed_once() -> None:
    series = slices(
        explicit(0x00080005, "CS", b"ISO_IR 192"),
        explicit(0x00090010, "LO", b"GEMS_IDEN_01"),
        explicit(0x00091002, "UN", b"AB"),
        explicit(0x00081140, "SQ", item(explicit(0x00081155, "UI", b"1.2\0"))),
    )
    reader, chance = HeaderReader(), random.Random(1)
    for at in range(len(series[0])):
        data = bytearray(chance.choice(series))
        data[at] = chance.choice([0, 1, 0x41, 0xFF, data[at] ^ 1, data[at] + 2 & 0xFF])
        changed = bytes(data)
        assert answer(reader, changed, EXPLICIT_LE) == answer(HeaderReader(), changed, EXPLICIT_LE)
        usual = chance.choice(series)
        assert answer(reader, usual, EXPLICIT_LE) == answer(HeaderReader(), usual, EXPLICIT_LE)
    assert follows(reader, series[0])


def test_real_series_interleaved() -> None:
    folders = [path for path in real_folder().glob("series_*") if path.is_dir()]
    series = [
        [dataset_of(path) for path in sorted(folder.rglob("*.dcm"))[:12]] for folder in folders
    ]
    series.append(
        [dataset_of(path) for path in bundled_files() if path.parent.name in {"MR1", "MR2", "CT2"}]
    )
    reader = HeaderReader()
    for turn in range(12):
        for headers in series:
            if headers:
                data, syntax = headers[turn % len(headers)]
                assert answer(reader, data, syntax) == answer(HeaderReader(), data, syntax)


def test_many_series_stay_within_the_memory() -> None:
    reader = HeaderReader(memo_bytes=800_000)
    for number in range(1_000):
        uid = explicit(0x0020000E, "UI", b"1.2.%d" % (number // 4 + 1_000))
        step = explicit(0x00400009, "SH", b"%d" % number)
        reader.read(instance(uid, step, without=0x0020000E), EXPLICIT_LE)
        held = reader._layouts._series.values()
        assert sum(series.size_bytes for series in held) == reader._layouts._used <= 100_000
    assert sum(series.layout is not None for series in held) > 4


def test_headers_of_many_shapes_are_given_up() -> None:
    reader = HeaderReader()
    for number in range(200):
        other = explicit(0x00400000 + number * 2, "SH", b"1")
        reader.read(instance(other), EXPLICIT_LE)
    (series,) = reader._layouts._series.values()
    assert not series.is_learning

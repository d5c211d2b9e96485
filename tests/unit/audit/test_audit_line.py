"""A line holds its own bytes, and the one before it."""

import hashlib
import json

import pytest

from pacs_cloud.errors import Corrupt
from pacs_cloud.security.audit_event import (
    AuditEvent,
    AuditPatient,
    Kind,
    Outcome,
    event_from,
    event_json,
)
from pacs_cloud.security.audit_line import (
    FIRST_PREV,
    Follow,
    Position,
    What,
    encode_line,
    read_line,
)

BODY = {"kind": "read", "subject": "user:Ünal", "text": 'a\n"b"\u2028'}


def chain(count: int) -> list[bytes]:
    lines, after = list[bytes](), Position()
    for number in range(count):
        line, after = encode_line(after, What.EVENT, {**BODY, "n": number}, 100 + number)
        lines.append(line)
    return lines


def wrong(lines: list[bytes]) -> list[str]:
    follow = Follow(Position())
    return [what for what in (follow.line(line)[1] for line in lines) if what]


def test_a_line_reads_as_it_was_written() -> None:
    line = read_line(chain(1)[0])
    assert line.body == {**BODY, "n": 0}
    assert (line.position.seq, line.position.at_us, line.prev) == (0, 100, FIRST_PREV)


def test_anybody_can_check_a_line_with_what_every_machine_has() -> None:
    first, second = chain(2)
    covered, _, tail = second.rpartition(b',"hash":"')
    assert hashlib.sha256(covered).hexdigest() == tail[:64].decode()
    assert json.loads(second)["prev"] == json.loads(first)["hash"]


def test_a_whole_chain_is_right() -> None:
    assert wrong(chain(5)) == []


@pytest.mark.parametrize("flip", [0x01, 0x20, 0x80, 0xFF])
def test_any_changed_byte_is_found(flip: int) -> None:
    lines = chain(3)
    data = b"".join(lines)
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= flip
        assert wrong(split(bytes(changed))), place


@pytest.mark.parametrize("byte", [b"\n", b"\r", b" ", b"\0", b'"', b"}", b"0"])
def test_any_byte_put_in_or_taken_out_is_found(byte: bytes) -> None:
    data = b"".join(chain(3))
    for place in range(len(data)):
        assert wrong(split(data[:place] + byte + data[place:])), place
        assert wrong(split(data[:place] + data[place + 1 :])), place


def split(data: bytes) -> list[bytes]:
    *lines, rest = data.split(b"\n")
    return [line + b"\n" for line in lines] + ([rest] if rest else [])


@pytest.mark.parametrize(
    ("order", "what"),
    [
        ((0, 2, 3), "is number 2 where 1 must come"),
        ((0, 1, 1, 2), "is number 1 where 2 must come"),
        ((1, 0, 2), "is number 1 where 0 must come"),
        ((0, 2, 1, 3), "is number 2 where 1 must come"),
    ],
)
def test_lines_dropped_doubled_and_swapped_are_found(order: tuple[int, ...], what: str) -> None:
    lines = chain(4)
    assert wrong([lines[place] for place in order])[0] == what


NO_HASH = "does not end in a hash"


@pytest.mark.parametrize(
    ("damaged", "said"),
    [
        # A line that cannot be read is found, and not again in what follows it.
        ([0, b"x\n", 2, 3], [NO_HASH]),
        ([0, b"x\n", b"y\n", 3], [NO_HASH] * 2),
        # One that was put in between, or made of a line cut in two, shifts no number.
        ([0, 1, b"x\n", 2, 3], [NO_HASH]),
        ([0, 1, 2, 3, b"x\n"], [NO_HASH]),
        ([0, b"x\n", b"y\n", 2, 3], [NO_HASH] * 2),
        # More is gone than what cannot be read.
        ([0, b"x\n", 3], [NO_HASH, "is number 3 where 2 must come"]),
        ([0, b"x\n", 0], [NO_HASH, "is number 0 where 2 must come"]),
    ],
)
def test_a_line_that_cannot_be_read_is_one_finding(
    damaged: list[int | bytes], said: list[str]
) -> None:
    lines = chain(4)
    assert wrong([lines[one] if isinstance(one, int) else one for one in damaged]) == said


def test_behind_a_line_that_cannot_be_read_names_still_count() -> None:
    lines = chain(3)
    changed = lines[1].replace(b'"n":1', b'"n":7')
    assert wrong([lines[0], changed, lines[2]]) == ["its hash is another one"]
    other, _ = encode_line(Position(1, "0" * 64, 101), What.EVENT, BODY, 102)
    assert wrong([lines[0], changed, other]) == [
        "its hash is another one",
        "does not name the line before it",
    ]


def test_a_chain_forged_from_some_line_on_does_not_fit_what_follows() -> None:
    lines = chain(4)
    second, _ = encode_line(read_line(lines[0]).position, What.EVENT, {"kind": "other"}, 101)
    assert wrong([lines[0], second, *lines[2:]]) == ["does not name the line before it"]


def test_time_never_goes_back() -> None:
    first, after = encode_line(Position(), What.EVENT, BODY, 100)
    second, _ = encode_line(after, What.EVENT, BODY, 50)
    assert wrong([first, second]) == []
    assert read_line(second).position.at_us == 100


@pytest.mark.parametrize(
    "covered",
    [
        b'{"seq":0,"at":1,"prev":"' + FIRST_PREV.encode() + b'"',
        b'{"seq":0,"at":1,"prev":"x","event":{}',
        b'{"seq":0,"at":1,"prev":1,"event":{}',
        b'{"seq":"0","at":1,"prev":"' + FIRST_PREV.encode() + b'","event":{}',
        b'{"seq":0,"at":1,"prev":"' + FIRST_PREV.encode() + b'","event":[]',
        b'{"seq":0,"at":1,"prev":"' + FIRST_PREV.encode() + b'","thing":{}',
        b"[",
        b"",
        b"null",
    ],
)
def test_what_is_hashed_but_no_record_is_corrupt(covered: bytes) -> None:
    digest = hashlib.sha256(covered).hexdigest().encode()
    with pytest.raises(Corrupt):
        read_line(covered + b',"hash":"' + digest + b'"}\n')


def test_an_event_comes_back_whole() -> None:
    event = AuditEvent(
        Kind.SEND,
        "default",
        "ae:CT1",
        "dimse",
        7,
        address="::1",
        action="C-GET",
        outcome=Outcome.SERIOUS,
        studies=("1.2", "1.3"),
        patients=(AuditPatient("1", "H", "A^B"), AuditPatient("2")),
        query="x",
        sop_classes=(("1.2.840", 3),),
        instances=3,
        details=(("destination", "WS"),),
        count=4,
        last_us=9,
        further=True,
    )
    assert event_from(event_json(event)) == event
    short = AuditEvent(Kind.LOGIN, "default", "user:x", "page", 7)
    assert event_from(event_json(short)) == short
    assert len(event_json(short)) == 5


@pytest.mark.parametrize("said", [{}, {"kind": "read"}, {"kind": "SECRET^NAME", "tenant": 1}])
def test_what_is_no_event_is_corrupt_and_not_quoted(said: dict[str, object]) -> None:
    with pytest.raises(Corrupt) as raised:
        event_from(said)
    assert "SECRET" not in str(raised.value)

"""A C-STORE client that costs next to nothing: everything is encoded before the clock starts.

`python -m bench.rawscu HOST PORT AET DIRECTORY` replays the explicit VR little endian Part 10 files
of a directory over one association, one outstanding operation at a time, and prints
`seconds instances bytes failures` of the transfer alone.
"""

import socket
import struct
import sys
import time
from pathlib import Path
from typing import BinaryIO

EXPLICIT_LE = b"1.2.840.10008.1.2.1"
MAX_PDU = 131_072


def main() -> None:
    host, port, called, directory = sys.argv[1:5]
    files = [_load(path) for path in sorted(Path(directory).rglob("*.dcm"))]
    contexts = {name: 2 * n + 1 for n, name in enumerate(sorted({item[0] for item in files}))}
    with socket.create_connection((host, int(port))) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        answers = peer.makefile("rb")
        peer.sendall(_associate_rq(called.encode(), contexts))
        fragment = min(_max_pdu(answers), MAX_PDU) - 6
        messages = [
            _message(n, contexts[name], name, uid, data, fragment)
            for n, (name, uid, data) in enumerate(files)
        ]
        failures, start = 0, time.perf_counter()
        for message in messages:
            peer.sendall(message)
            failures += _status(_pdu(answers, 4)) != 0
        seconds = time.perf_counter() - start
        peer.sendall(struct.pack(">BBII", 5, 0, 4, 0))
        _pdu(answers, 6)
    print(seconds, len(messages), sum(map(len, messages)), failures)
    sys.exit(1 if failures else 0)


def _load(path: Path) -> tuple[bytes, bytes, bytes]:
    """Return SOP class, SOP instance and the data set's bytes."""
    whole = path.read_bytes()
    end = 144 + struct.unpack_from("<I", whole, 140)[0]
    at, meta = 144, {}
    while at < end:
        _, element = struct.unpack_from("<HH", whole, at)
        if whole[at + 4 : at + 6] in {b"OB", b"UN"}:
            length, at = struct.unpack_from("<I", whole, at + 8)[0], at + 12
        else:
            length, at = struct.unpack_from("<H", whole, at + 6)[0], at + 8
        meta[element] = whole[at : at + length].rstrip(b"\0 ")
        at += length
    assert meta[0x10] == EXPLICIT_LE, path
    return meta[2], meta[3], whole[end:]


def _associate_rq(called: bytes, contexts: dict[bytes, int]) -> bytes:
    body = struct.pack(">HH", 1, 0) + called.ljust(16) + b"RAWSCU".ljust(16) + bytes(32)
    body += _item(0x10, b"1.2.840.10008.3.1.1.1")
    for name, number in contexts.items():
        proposed = bytes([number, 0, 0, 0]) + _item(0x30, name) + _item(0x40, EXPLICIT_LE)
        body += _item(0x20, proposed)
    user = _item(0x51, struct.pack(">I", MAX_PDU)) + _item(0x52, b"1.2.826.0.1.3680043.8.498.2")
    body += _item(0x50, user + _item(0x55, b"RAWSCU_1"))
    return struct.pack(">BBI", 1, 0, len(body)) + body


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def _max_pdu(answers: BinaryIO) -> int:
    """Read A-ASSOCIATE-AC; return what the peer receives at most (0: anything)."""
    accepted, at, largest = _pdu(answers, 2), 68, 0
    while at < len(accepted):
        kind, _, length = struct.unpack_from(">BBH", accepted, at)
        if kind == 0x21:
            assert accepted[at + 6] == 0, "presentation context refused"
        if kind == 0x50:
            inner = at + 4
            while inner < at + 4 + length:
                sub, _, size = struct.unpack_from(">BBH", accepted, inner)
                if sub == 0x51:
                    largest = struct.unpack_from(">I", accepted, inner + 4)[0]
                inner += 4 + size
        at += 4 + length
    return largest or MAX_PDU


def _message(
    number: int, context: int, sop_class: bytes, uid: bytes, data: bytes, fragment: int
) -> bytes:
    command = _element(2, sop_class) + _element(0x100, b"\1\0")
    command += _element(0x110, struct.pack("<H", number % 65535 + 1))
    command += _element(0x700, b"\0\0") + _element(0x800, b"\0\0") + _element(0x1000, uid)
    command = _element(0, struct.pack("<I", len(command))) + command
    out = [_pdv(context, 3, command)]
    for at in range(0, len(data), fragment):
        last = 2 if at + fragment >= len(data) else 0
        out.append(_pdv(context, last, data[at : at + fragment]))
    return b"".join(out)


def _pdv(context: int, control: int, body: bytes) -> bytes:
    return struct.pack(">BBIIBB", 4, 0, len(body) + 6, len(body) + 2, context, control) + body


def _element(element: int, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHI", 0, element, len(value)) + value


def _pdu(answers: BinaryIO, expected: int) -> bytes:
    head = answers.read(6)
    kind, _, length = struct.unpack(">BBI", head)
    assert kind == expected, f"PDU type {kind} where {expected} was due"
    return answers.read(length)


def _status(answer: bytes) -> int:
    at = 6
    while at + 8 <= len(answer):
        _, element, length = struct.unpack_from("<HHI", answer, at)
        if element == 0x900:
            return struct.unpack_from("<H", answer, at + 8)[0]
        at += 8 + length
    raise AssertionError("a response without Status (0000,0900)")


if __name__ == "__main__":
    main()

"""A C-STORE client that knows to the byte what was answered, and survives its server's death."""

import socket
import struct
from types import TracebackType
from typing import Self

from crash.dimse_answers import parse_command
from crash.instances import SOP_CLASS_UID, Instance

EXPLICIT_VR_LITTLE_ENDIAN = b"1.2.840.10008.1.2.1"
LONGEST_PDU_BYTES = 131_072
CONTEXT_ID = 1
SUCCESS = 0


class Refused(Exception):
    """The peer answered, but did not accept the association."""


class Association:
    """One association that stores instances, one operation at a time.

    Raises:
        OSError, EOFError: the peer is gone; what was sent last was not answered.
    """

    def __init__(self, host: str, port: int, called: str, *, timeout_s: float = 60) -> None:
        self._socket = socket.create_connection((host, port), timeout=timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = self._socket.makefile("rb")
        self._message_id = 0
        try:
            self._socket.sendall(_associate_request(called))
            kind, body = self._pdu()
            if kind != 2 or body[68:][body[68:].index(b"\x21") + 6] != 0:
                raise Refused(f"PDU type {kind}")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection."""
        self._reader.close()
        self._socket.close()

    def release(self) -> None:
        """End the association in good order."""
        self._socket.sendall(struct.pack(">BBII", 5, 0, 4, 0))
        self._pdu()

    def store(self, instance: Instance) -> int:
        """Store `instance`; return the status that was answered."""
        self._message_id = self._message_id % 65_535 + 1
        command = b"".join(
            (
                _element(0x0002, SOP_CLASS_UID.encode()),
                _element(0x0100, struct.pack("<H", 0x0001)),
                _element(0x0110, struct.pack("<H", self._message_id)),
                _element(0x0700, struct.pack("<H", 0)),
                _element(0x0800, struct.pack("<H", 0)),
                _element(0x1000, instance.sop_instance_uid.encode()),
            )
        )
        command = _element(0x0000, struct.pack("<I", len(command))) + command
        self._socket.sendall(_data_pdu(command, 3))
        fragment = LONGEST_PDU_BYTES - 6
        for at in range(0, len(instance.dataset), fragment):
            last = at + fragment >= len(instance.dataset)
            self._socket.sendall(_data_pdu(instance.dataset[at : at + fragment], 2 if last else 0))
        kind, body = self._pdu()
        if kind != 4:
            raise EOFError(f"PDU type {kind} in place of an answer")
        return struct.unpack("<H", parse_command(body[6:])[0x0900])[0]

    def _pdu(self) -> tuple[int, bytes]:
        head = self._reader.read(6)
        if len(head) < 6:
            raise EOFError("the peer closed the connection")
        (length,) = struct.unpack(">I", head[2:])
        body = self._reader.read(length)
        if len(body) < length:
            raise EOFError("the peer closed the connection")
        return head[0], body


def _associate_request(called: str) -> bytes:
    context = bytes([CONTEXT_ID, 0, 0, 0]) + _item(0x30, SOP_CLASS_UID.encode())
    user = (
        _item(0x51, struct.pack(">I", LONGEST_PDU_BYTES))
        + _item(0x52, b"2.25.1")
        + _item(0x55, b"CRASHTEST")
    )
    body = (
        struct.pack(">HH", 1, 0)
        + called.encode().ljust(16)
        + b"CRASHTEST".ljust(16)
        + bytes(32)
        + _item(0x10, b"1.2.840.10008.3.1.1.1")
        + _item(0x20, context + _item(0x40, EXPLICIT_VR_LITTLE_ENDIAN))
        + _item(0x50, user)
    )
    return struct.pack(">BBI", 1, 0, len(body)) + body


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def _element(number: int, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHI", 0, number, len(value)) + value


def _data_pdu(fragment: bytes, control: int) -> bytes:
    item = struct.pack(">IBB", len(fragment) + 2, CONTEXT_ID, control)
    return struct.pack(">BBI", 4, 0, len(item) + len(fragment)) + item + fragment

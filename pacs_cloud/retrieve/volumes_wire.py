"""What is said to a volume's process, and what it answers: JSON, and bytes after it."""

import asyncio
import socket
from collections.abc import Mapping
from struct import Struct
from typing import Any, Final

import orjson

from pacs_cloud.errors import (
    InvalidInstance,
    InvalidRequest,
    NotAcceptable,
    PacsError,
    Unavailable,
)

HEAD: Final = Struct("=IQ")
"""Lengths of the JSON and of the bytes."""
_MAX_HEAD: Final = 1 << 24
_MAX_BYTES: Final = 1 << 31
_NAMED: Final[Mapping[str, type[PacsError]]] = {
    one.__name__: one for one in (InvalidRequest, NotAcceptable, InvalidInstance, Unavailable)
}
"""Errors that an answer can be."""

Message = tuple[dict[str, Any], bytes]


def packed(said: Mapping[str, Any], data: bytes = b"") -> bytes:
    """Return the beginning of a message, which its bytes follow."""
    text = orjson.dumps(said)
    return HEAD.pack(len(text), len(data)) + text


def error_of(error: PacsError) -> dict[str, Any]:
    """Return an error as an answer."""
    name = next((name for name, kind in _NAMED.items() if isinstance(error, kind)), "Unavailable")
    return {"error": name, "words": str(error)}


def answered(message: Message) -> Message:
    """Return an answer; raises the error that it is."""
    said, data = message
    if "error" in said:
        raise _NAMED.get(said["error"], Unavailable)(said["words"])
    return said, data


def sizes(head: bytes) -> tuple[int, int]:
    """Return the lengths in `head`; raises EOFError where nothing of ours says so."""
    text, data = HEAD.unpack(head)
    if text > _MAX_HEAD or data > _MAX_BYTES:
        raise EOFError
    return text, data


def receive(peer: socket.socket) -> Message:
    """Return the next message; raises EOFError where the peer has gone."""
    text, data = sizes(_exactly(peer, HEAD.size))
    said: dict[str, Any] = orjson.loads(_exactly(peer, text))
    return said, _exactly(peer, data)


def send(peer: socket.socket, said: Mapping[str, Any], data: bytes = b"") -> None:
    """Send a message; raises EOFError where the peer has gone."""
    try:
        peer.sendall(packed(said, data))
        if data:
            peer.sendall(data)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise EOFError from error


class Line:
    """Messages to a process and back, for somebody in an event loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak over an open connection."""
        self._reader = reader
        self._writer = writer

    async def ask(self, said: Mapping[str, Any], data: bytes = b"") -> Message:
        """Return the answer.

        Raises:
            PacsError: it is one.
            EOFError: the process has gone.
        """
        try:
            self._writer.write(packed(said, data))
            if data:
                self._writer.write(data)
            await self._writer.drain()
            text, length = sizes(await self._reader.readexactly(HEAD.size))
            answer: dict[str, Any] = orjson.loads(await self._reader.readexactly(text))
            return answered((answer, await self._reader.readexactly(length)))
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            raise EOFError from error

    async def until_its_end(self) -> None:
        """Return when the process has gone."""
        try:
            while await self._reader.read(1 << 16):
                pass
        except ConnectionError:
            return

    def close(self) -> None:
        """Say no more."""
        self._writer.close()


def _exactly(peer: socket.socket, length: int) -> bytes:
    data = bytearray(length)
    rest = memoryview(data)
    while rest:
        try:
            got = peer.recv_into(rest)
        except ConnectionResetError:
            got = 0
        if not got:
            raise EOFError
        rest = rest[got:]
    return bytes(data)

"""How one object is encrypted: a header with its own key, then chunks that are read alone (pure).

    magic 8 · version 1 · log2 of the chunk 1 · id of the key-encryption key 8 · length 8
    nonce 12 · data key, encrypted 32 + 16
    chunk 0 … n-1: 64 KiB of the object (the last one less) + tag 16

AES-256-GCM throughout (NIST SP 800-38D). A data key is random and seals one object once, so that
a chunk's number can be its nonce. What the data key is wrapped with and what each chunk is
sealed with name the object's key, its length, and the chunk's place: what was renamed, cut,
lengthened, put together anew or taken from another object does not open. An empty object has
one empty chunk.
"""

import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pacs_cloud.errors import Corrupt, Denied, InvalidRequest

CHUNK_BYTES: Final = 64 << 10
TAG_BYTES: Final = 16
SEALED_CHUNK_BYTES: Final = CHUNK_BYTES + TAG_BYTES
KEY_BYTES: Final = 32
_MAGIC: Final = b"PACSSEAL"
_VERSION: Final = 1
_STATED: Final = struct.Struct(">8sBB8sQ")
_NONCE_BYTES: Final = 12
HEADER_BYTES: Final = _STATED.size + _NONCE_BYTES + KEY_BYTES + TAG_BYTES
_PLACE: Final = struct.Struct(">Q?")
_LONGEST: Final = 1 << 62


def sealed_length(length_bytes: int) -> int:
    """Return how long an object of so many bytes is once it is sealed."""
    return HEADER_BYTES + length_bytes + TAG_BYTES * _chunks_of(length_bytes)


def opened_length(sealed_bytes: int) -> int:
    """Return how long what was sealed is; 0 for what no object's size can be."""
    body = sealed_bytes - HEADER_BYTES
    chunks = -(-body // SEALED_CHUNK_BYTES)
    return max(0, body - TAG_BYTES * chunks)


def _chunks_of(length_bytes: int) -> int:
    return max(1, -(-length_bytes // CHUNK_BYTES))


class Rings(Protocol):
    """Whose key-encryption keys an object has."""

    async def ring_of(self, key: str) -> "KeyRing":
        """Return those for the object `key`; raises Denied or Unavailable."""
        ...


class KeyRing:
    """Key-encryption keys: one that seals, and older ones that only open.

    One key may wrap 2³² data keys, their nonces being random (NIST SP 800-38D 8.3).
    """

    __slots__ = ("_ciphers", "_sealing")

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Hold `keys`, 32 bytes each, the one that seals first; raises InvalidRequest."""
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise InvalidRequest(f"a key-encryption key has {KEY_BYTES} bytes")
        self._ciphers: Mapping[bytes, AESGCM] = {_id_of(key): AESGCM(key) for key in keys}
        self._sealing = _id_of(keys[0])

    def __repr__(self) -> str:
        """Name no key."""
        return f"KeyRing({len(self._ciphers)} keys)"

    async def ring_of(self, key: str) -> "KeyRing":
        """Return this one: it can be that of all objects (`Rings`)."""
        del key
        return self

    def new(self, key: str, length_bytes: int) -> tuple[bytes, "Seal"]:
        """Return a new object's header, and what its chunks are sealed with."""
        data_key, nonce = os.urandom(KEY_BYTES), os.urandom(_NONCE_BYTES)
        exponent = CHUNK_BYTES.bit_length() - 1
        stated = _STATED.pack(_MAGIC, _VERSION, exponent, self._sealing, length_bytes)
        name = key.encode()
        wrapped = self._ciphers[self._sealing].encrypt(nonce, data_key, stated + name)
        return stated + nonce + wrapped, Seal(AESGCM(data_key), length_bytes, stated, name)

    def open(self, key: str, header: bytes) -> "Seal":
        """Return what opens the object `key`, of which this is the header.

        Raises:
            Corrupt: it is no header, or not of this object.
            Denied: it was sealed with a key that is not held.
        """
        if len(header) != HEADER_BYTES or not header.startswith(_MAGIC):
            raise Corrupt(f"{key} is not sealed")
        stated, name = header[: _STATED.size], key.encode()
        _, version, exponent, key_id, length_bytes = _STATED.unpack(stated)
        if version != _VERSION or 1 << exponent != CHUNK_BYTES or length_bytes > _LONGEST:
            raise Corrupt(f"{key} is sealed in a way that is not known")
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise Denied(f"{key} is sealed with key {key_id.hex()}, which is not given")
        nonce = header[_STATED.size : _STATED.size + _NONCE_BYTES]
        try:
            wrapped = header[_STATED.size + _NONCE_BYTES :]
            data_key = cipher.decrypt(nonce, wrapped, stated + name)
        except InvalidTag as error:
            raise Corrupt(f"{key}: its header is not what was written") from error
        return Seal(AESGCM(data_key), length_bytes, stated, name)


def _id_of(key: bytes) -> bytes:
    """Return a key's name, which tells nothing of it."""
    return blake3(key, derive_key_context="pacs-cloud 2026 key id").digest(length=8)


@dataclass(frozen=True, slots=True, repr=False)
class Seal:
    """What seals and opens the chunks of one object.

    Attributes:
        cipher: with the object's own key.
        length_bytes: of the object.
        stated: the beginning of its header, which no chunk opens without.
        name: its key.
    """

    cipher: AESGCM
    length_bytes: int
    stated: bytes
    name: bytes

    def sealed(self, first: int, data: bytes | memoryview) -> Iterator[bytes]:
        """Yield the sealed chunks of `data`, whose first byte is that of chunk `first`."""
        view = memoryview(data)
        for offset in range(0, max(1, len(view)), CHUNK_BYTES):
            number = first + offset // CHUNK_BYTES
            chunk = view[offset : offset + CHUNK_BYTES]
            yield self.cipher.encrypt(_nonce(number), chunk, self._place(number))

    def opened(self, first: int, sealed: bytes | bytearray | memoryview) -> bytes:
        """Return what was sealed as the whole chunks from `first` on; raises Corrupt."""
        view = memoryview(sealed)
        try:
            return b"".join(
                self.cipher.decrypt(
                    _nonce(first + number),
                    view[offset : offset + SEALED_CHUNK_BYTES],
                    self._place(first + number),
                )
                for number, offset in enumerate(range(0, len(view), SEALED_CHUNK_BYTES))
            )
        except InvalidTag as error:
            raise Corrupt(f"{self.name.decode()}: a chunk is not what was written") from error

    def span(self, start: int, end: int) -> tuple[int, int, int]:
        """Return the chunk that holds `start`, and where the chunks up to `end` lie, sealed."""
        first, behind = start // CHUNK_BYTES, -(-end // CHUNK_BYTES)
        return (
            first,
            HEADER_BYTES + first * SEALED_CHUNK_BYTES,
            min(HEADER_BYTES + behind * SEALED_CHUNK_BYTES, sealed_length(self.length_bytes)),
        )

    def _place(self, number: int) -> bytes:
        is_last = number == _chunks_of(self.length_bytes) - 1
        return self.stated + _PLACE.pack(number, is_last) + self.name


def _nonce(number: int) -> bytes:
    return number.to_bytes(_NONCE_BYTES, "big")

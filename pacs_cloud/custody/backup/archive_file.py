"""The file of a backup: a ZIP of objects under their keys, and what they must be.

    manifest.json         version, times, and of each part how much there is, and its digest
    settings.json         the settings in force, without secrets
    config/{name}         files that these name
    objects/{key}         an object each
    spool/{name}          a spool file each

The manifest is written last, and behind it ZIP's own directory: a file that ends before is
none. A part's digest is of the names, lengths and digests of its members, in order.
"""

import asyncio
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import orjson
from blake3 import blake3

from pacs_cloud.directories import sync_directory
from pacs_cloud.errors import Conflict, Corrupt, InvalidRequest, NotFound, Unavailable

FORMAT: Final = "pacs-cloud backup"
VERSION: Final = 1
MANIFEST: Final = "manifest.json"
OBJECTS: Final = "objects/"
SPOOL: Final = "spool/"
CONFIG: Final = "config/"
_READ_BYTES: Final = 1 << 20
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_OWNER_ONLY: Final = 0o600
"""What corrections say names patients."""
_MANIFEST_BYTES: Final = 1 << 20
"""It says a line of each kind of objects, and no more of more of them."""
_OBJECT_BYTES: Final = 1 << 30
"""Longer than any object that is no pack: a member that would be is made to fill the memory."""
_UNREADABLE: Final = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError)
"""What zipfile raises of damaged bytes: those of a name or a flag make it ask for a password,
or for a compression that it does not know."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one tree of a backup holds.

    Attributes:
        members: how many.
        length_bytes: of all of them.
        digest: BLAKE3, hex, of their names, lengths and digests.
    """

    members: int
    length_bytes: int
    digest: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself.

    Attributes:
        made_us: when it was begun, microseconds since 1970 UTC.
        release: of the program that made it.
        parts: by the beginning of their members' names.
    """

    made_us: int
    release: str
    parts: Mapping[str, Part]

    @property
    def members(self) -> int:
        """How many there are in all."""
        return sum(part.members for part in self.parts.values())


class _Sum:
    """A part on its way."""

    def __init__(self) -> None:
        self._members = 0
        self._length_bytes = 0
        self._hasher = blake3()

    def add(self, name: str, length_bytes: int, digest: str) -> None:
        self._members += 1
        self._length_bytes += length_bytes
        self._hasher.update(f"{name}\0{length_bytes}\0{digest}\n".encode())

    def part(self) -> Part:
        return Part(self._members, self._length_bytes, self._hasher.hexdigest())


def part_of(name: str) -> str:
    """Return the beginning that a member's part goes by: `objects/ledger/`, `spool/`."""
    depth = 2 if name.startswith(OBJECTS) else 1
    pieces = name.split("/")
    return "/".join(pieces[:depth]) + "/" if len(pieces) > depth else name


class BackupWriter:
    """Writes one; it has its name only when it is complete and durable."""

    def __init__(self, path: Path, *, made_us: int, release: str) -> None:
        """Begin one at `path`.

        Raises:
            Conflict: there is a file already.
            Unavailable: it cannot be written.
        """
        if path.exists():
            raise Conflict(f"{path} is there already")
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        self._made_us = made_us
        self._release = release
        self._sums: dict[str, _Sum] = {}
        try:
            # Also where a file was left by one that died.
            self._part.unlink(missing_ok=True)
            self._part.touch(_OWNER_ONLY, exist_ok=False)
            self._zip = zipfile.ZipFile(self._part, "w", zipfile.ZIP_DEFLATED)
        except OSError as error:
            raise Unavailable(f"{path} cannot be written: {error.strerror}") from error

    async def add(self, name: str, data: bytes) -> None:
        """Append a member; those of a part come one behind the other.

        Raises:
            Unavailable: it cannot be written.
        """
        try:
            await asyncio.to_thread(self._zip.writestr, _info(name), data)
        except OSError as error:
            raise Unavailable(f"{self._path} cannot be written: {error.strerror}") from error
        digest = blake3(data).hexdigest()
        self._sums.setdefault(part_of(name), _Sum()).add(name, len(data), digest)

    async def add_file(self, name: str, path: Path) -> None:
        """Append a file, as far as it goes now; raises FileNotFoundError, Unavailable."""
        length_bytes, digest = await asyncio.to_thread(self._add_file, name, path)
        self._sums.setdefault(part_of(name), _Sum()).add(name, length_bytes, digest)

    def _add_file(self, name: str, path: Path) -> tuple[int, str]:
        with path.open("rb") as source:
            left = length_bytes = os.fstat(source.fileno()).st_size
            hasher = blake3()
            try:
                with self._zip.open(_info(name), "w", force_zip64=True) as target:
                    while left and (data := source.read(min(_READ_BYTES, left))):
                        hasher.update(data)
                        target.write(data)
                        left -= len(data)
            except OSError as error:
                raise Unavailable(f"{self._path} cannot be written: {error.strerror}") from error
        return length_bytes - left, hasher.hexdigest()

    async def finish(self) -> Manifest:
        """Write the manifest, and give the file its name; raises Unavailable."""
        parts = {name: self._sums[name].part() for name in sorted(self._sums)}
        manifest = Manifest(self._made_us, self._release, parts)
        try:
            await asyncio.to_thread(self._finish, manifest)
        except OSError as error:
            raise Unavailable(f"{self._path} cannot be written: {error.strerror}") from error
        return manifest

    def _finish(self, manifest: Manifest) -> None:
        fields = {"format": FORMAT, "version": VERSION, **asdict(manifest)}
        self._zip.writestr(_info(MANIFEST), orjson.dumps(fields, option=orjson.OPT_INDENT_2))
        self._zip.close()
        with self._part.open("rb") as file:
            os.fsync(file.fileno())
        self._part.rename(self._path)
        sync_directory(self._path.parent)

    def drop(self) -> None:
        """Remove what was not finished."""
        self._zip.close()
        self._part.unlink(missing_ok=True)


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


class BackupReader:
    """Reads one; `with` opens it."""

    def __init__(self, path: Path) -> None:
        """Open the file at `path`.

        Raises:
            NotFound: there is none.
            Corrupt: it is no backup, or was cut.
            InvalidRequest: it is of a version that is not known here.
        """
        try:
            self._zip = zipfile.ZipFile(path)
        except FileNotFoundError as error:
            raise NotFound(f"there is no file at {path}") from error
        except _UNREADABLE as error:
            raise Corrupt(f"{path} is no backup, or it was cut: {error}") from error
        try:
            self.manifest = self._manifest()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zip.close()

    def _manifest(self) -> Manifest:
        try:
            fields = orjson.loads(self.read(MANIFEST, most_bytes=_MANIFEST_BYTES))
            if fields["format"] != FORMAT:
                raise Corrupt("the file is a ZIP, and no backup")
            if fields["version"] != VERSION:
                raise InvalidRequest(
                    f"the backup is of version {fields['version']}, and this program reads"
                    f" {VERSION}: use release {fields.get('release', 'that made it')}"
                )
            parts = {
                str(name): Part(int(one["members"]), int(one["length_bytes"]), str(one["digest"]))
                for name, one in fields["parts"].items()
            }
            return Manifest(int(fields["made_us"]), str(fields["release"]), parts)
        except KeyError as error:
            raise Corrupt("the file is a ZIP, and no backup") from error
        except (ValueError, TypeError, AttributeError) as error:
            raise Corrupt("the backup's manifest cannot be read") from error

    @property
    def names(self) -> list[str]:
        """Of its members, in order."""
        return [name for name in self._zip.namelist() if name != MANIFEST]

    def verify(self) -> Iterator[str]:
        """Read every byte; yield the name of each member that was read. It blocks.

        Raises:
            Corrupt: a member is missing, or not what was written.
        """
        sums: dict[str, _Sum] = {}
        for name in self.names:
            if name.startswith(OBJECTS):
                self._check_length(name, _OBJECT_BYTES)
            hasher, length_bytes = blake3(), 0
            for data in self.chunks(name):
                hasher.update(data)
                length_bytes += len(data)
            sums.setdefault(part_of(name), _Sum()).add(name, length_bytes, hasher.hexdigest())
            yield name
        found = {name: one.part() for name, one in sums.items()}
        if found != dict(self.manifest.parts):
            raise Corrupt("the backup does not hold what its manifest says")

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield a member's bytes; raises Corrupt. It blocks."""
        try:
            with self._zip.open(name) as member:
                while data := member.read(_READ_BYTES):
                    yield data
        except _UNREADABLE as error:
            raise Corrupt(f"{name} cannot be read from the backup") from error

    def read(self, name: str, most_bytes: int = _OBJECT_BYTES) -> bytes:
        """Return a member whole; raises Corrupt, also where it is longer. It blocks."""
        self._check_length(name, most_bytes)
        return b"".join(self.chunks(name))

    def _check_length(self, name: str, most_bytes: int) -> None:
        # No more is ever inflated of a member than it says here that it is.
        if self._zip.getinfo(name).file_size > most_bytes:
            raise Corrupt(f"{name} is longer in the backup than any of its kind")

"""A build of OHIF as it comes: npm's archive, or a folder of somebody's own."""

import gzip
import json
import tarfile
import zlib
from base64 import b64encode
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from pacs_cloud.errors import InvalidRequest, Unavailable
from pacs_cloud.web.viewer.release import INTEGRITY
from pacs_cloud.web.viewer.relocation import is_served

_DIST: Final = "package/dist/"
_BESIDE: Final = frozenset({"package/package.json", "package/LICENSE"})
_MOST_BYTES: Final = 1 << 30
"""Of what an archive unpacks to."""
_READ_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Build:
    """What npm calls `dist/`.

    Attributes:
        dist: where it lies.
        version: as the package says, "" where nothing does.
        is_known: whether it is the package whose digest we ship.
    """

    dist: Path
    version: str
    is_known: bool

    @property
    def page(self) -> bytes:
        """What it shows by itself, b"" where nothing does; raises InvalidRequest."""
        return _content(self.dist / "index.html")

    @property
    def licence(self) -> bytes:
        """What may be done with it, b"" where nothing says; raises InvalidRequest."""
        return _content(self.dist.parent / "LICENSE")

    def content(self, path: str) -> bytes:
        """Return a file, by its path within `dist`; raises InvalidRequest."""
        return _content(self.dist / path, is_needed=True)

    def files(self) -> list[str]:
        """Return the paths within `dist` of what is served, sorted; links lead elsewhere."""
        found = (one for one in self.dist.rglob("*") if one.is_file() and not one.is_symlink())
        return sorted(filter(is_served, (one.relative_to(self.dist).as_posix() for one in found)))


@contextmanager
def opened_build(source: Path, *, is_known_needed: bool = False) -> Generator[Build]:
    """Give the build of an archive, or of a folder.

    Args:
        source: `npm pack`'s archive; or a folder, which has a `dist`, or is one.
        is_known_needed: whether it has to be the package whose digest we ship.

    Raises:
        InvalidRequest: it is none of these.
        Unavailable: there is no room to unpack it.
    """
    if source.is_dir():
        yield _of_folder(source)
        return
    is_known = integrity_of(source) == INTEGRITY
    if is_known_needed and not is_known:
        raise InvalidRequest(f"{source.name} is not the package that was meant: its digest differs")
    with TemporaryDirectory(prefix="pacs-viewer-") as temporary:
        _unpack(source, Path(temporary))
        folder = Path(temporary) / "package"
        if not (folder / "dist").is_dir():
            raise InvalidRequest(f"{source.name} holds no package/dist")
        yield Build(folder / "dist", _version(folder / "package.json"), is_known)


def integrity_of(archive: Path) -> str:
    """Return an archive's digest as npm writes it; raises InvalidRequest."""
    try:
        with archive.open("rb") as file:
            digest = file_digest(file, "sha512").digest()
    except OSError as error:
        raise InvalidRequest(f"{archive} cannot be read: {error.strerror}") from error
    return f"sha512-{b64encode(digest).decode()}"


def _of_folder(folder: Path) -> Build:
    dist = folder / "dist" if (folder / "dist").is_dir() else folder
    return Build(dist, _version(dist.parent / "package.json"), is_known=False)


def _unpack(archive: Path, folder: Path) -> None:
    """Write the archive's files that we use; what would lie elsewhere is refused (PEP 706)."""
    left = _MOST_BYTES
    try:
        with gzip.open(archive) as unpacked, tarfile.open(fileobj=unpacked, mode="r:") as tar:
            for member in tar:
                name = member.name
                wanted = name.startswith(_DIST) and is_served(name.removeprefix(_DIST))
                if not (wanted or name in _BESIDE or name == f"{_DIST}index.html"):
                    continue
                if not member.isfile():
                    raise InvalidRequest(f"{archive.name} holds a link, or what else is no file")
                left -= member.size
                if left < 0:
                    raise InvalidRequest(f"{archive.name} is larger than any OHIF")
                tar.extract(member, folder, filter="data")
            while unpacked.read(_READ_BYTES):  # whose end has the checksum of all of it
                pass
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InvalidRequest(f"{archive} is no archive of npm's: {error}") from error
    except OSError as error:
        raise Unavailable(f"{folder} cannot be written: {error.strerror}") from error


def _content(file: Path, *, is_needed: bool = False) -> bytes:
    try:
        return file.read_bytes() if is_needed or file.is_file() else b""
    except OSError as error:
        raise InvalidRequest(f"{file} cannot be read: {error.strerror}") from error


def _version(package: Path) -> str:
    try:
        said: Any = json.loads(package.read_bytes())
        return str(said["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""

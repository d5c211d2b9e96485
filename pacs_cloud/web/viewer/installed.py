"""What is installed of OHIF: its manifest, and the files that this names."""

from collections.abc import Iterator
from hashlib import file_digest
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pacs_cloud.errors import Unavailable

FOLDER: Final = "/viewer/"
"""Where all of it is served."""
MANIFEST: Final = "manifest.json"
PACKED: Final = ".br"
"""Ends the name of a file that stands beside another one, and is the same in fewer bytes."""

Digest = str
"""SHA-256, in hexadecimal."""


class InstalledFile(BaseModel):
    """A file that is served.

    Attributes:
        digest: of its content.
        length_bytes: of it.
        packed_digest: of its content as Brotli (RFC 7932); None where that saves nothing.
    """

    model_config = ConfigDict(frozen=True)

    digest: Digest
    length_bytes: int
    packed_digest: Digest | None = None


class Installed(BaseModel):
    """An OHIF that was written whole.

    Attributes:
        version: as its package says, "" where it does not.
        release: names its files together; part of each one's URL.
        relocation: which version of `relocation` moved it.
        is_known: whether it is the package whose digest we ship.
        folder: its files', beside the manifest.
        scripts: what the page loads; paths within `folder`.
        styles: likewise.
        files: by their paths.
        previous: what was in its place, whose files are kept for pages that are open; never
            the same release, and of that no other is known.
    """

    model_config = ConfigDict(frozen=True)

    version: str
    release: str = Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z.-]*$")
    relocation: int
    is_known: bool
    folder: str = Field(pattern=r"^ohif-[0-9A-Za-z_]+$")
    scripts: tuple[str, ...]
    styles: tuple[str, ...]
    files: dict[str, InstalledFile]
    previous: "Installed | None" = None

    def of_release(self, release: str) -> "Installed | None":
        """Return whose files are named so, this or what was before; None: of neither."""
        if release == self.release:
            return self
        return self.previous.of_release(release) if self.previous else None

    @property
    def length_bytes(self) -> int:
        """Of all files, as they are unpacked."""
        return sum(file.length_bytes for file in self.files.values())


class ViewerFiles:
    """The folder that `pacs-cloud viewer install` fills; looked at afresh when it changes.

    Attributes:
        folder: where it is; it need not be there.
    """

    def __init__(self, folder: Path) -> None:
        """Look there."""
        self.folder = folder
        self._known: tuple[tuple[int, int], Installed | str] | None = None

    @property
    def is_installed(self) -> bool:
        """Whether OHIF can be opened."""
        return self.installed is not None

    @property
    def installed(self) -> Installed | None:
        """What is there, None where nothing is, or nothing that can be served: see `fault`."""
        found = self._look()
        return found if isinstance(found, Installed) else None

    @property
    def fault(self) -> str:
        """Why what is there cannot be served, in words; "" where it can, or nothing is there."""
        found = self._look()
        return "" if isinstance(found, Installed) else found

    def _look(self) -> Installed | str:
        try:
            found = (self.folder / MANIFEST).stat()
        except (FileNotFoundError, NotADirectoryError):
            return ""
        except OSError as error:
            return f"{self.folder / MANIFEST} cannot be read: {error.strerror}"
        # Written anew it is another file; and who may read it can change.
        which = found.st_ino, found.st_ctime_ns
        if self._known is None or self._known[0] != which:
            try:
                self._known = which, read_manifest(self.folder) or ""
            except Unavailable as error:
                self._known = which, str(error)
        return self._known[1]

    def path_of(self, installed: Installed, name: str, *, is_packed: bool = False) -> Path:
        """Return where one of its files lies."""
        return self.folder / installed.folder / (name + PACKED if is_packed else name)

    def damaged(self, installed: Installed) -> Iterator[str]:
        """Yield the names of files that are not as they were written."""
        for name, file in installed.files.items():
            wanted = {False: file.digest, True: file.packed_digest}
            for is_packed, digest in wanted.items():
                path = self.path_of(installed, name, is_packed=is_packed)
                if digest is not None and _digest_of(path) != digest:
                    yield path.name


def root_of(release: str) -> str:
    """Return the URL's path below which a release's files are."""
    return f"{FOLDER}{release}/"


def read_manifest(folder: Path) -> Installed | None:
    """Return what a folder holds, None where it holds nothing.

    Raises:
        Unavailable: its manifest cannot be read.
    """
    manifest = folder / MANIFEST
    try:
        return Installed.model_validate_json(manifest.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unavailable(f"{manifest} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise Unavailable(f"{manifest} cannot be read: install the viewer again") from error


def _digest_of(path: Path) -> Digest | None:
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError:
        return None

"""OHIF written to the folder that is served: whole, or not at all."""

import fcntl
import os
import shutil
import stat
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

import imagecodecs

from pacs_cloud.directories import sync_directory
from pacs_cloud.errors import Conflict, InvalidRequest, Unavailable
from pacs_cloud.web.viewer.build import Build
from pacs_cloud.web.viewer.installed import (
    FOLDER,
    MANIFEST,
    PACKED,
    Installed,
    InstalledFile,
    read_manifest,
    root_of,
)
from pacs_cloud.web.viewer.relocation import (
    RELOCATION,
    entry_points,
    is_movable,
    relocated,
)

_PACKED_TYPES: Final = (".js", ".css", ".wasm", ".svg", ".json")
_LEAST_PACKED: Final = 1024
_READ, _SEARCHED = 0o644, 0o755
"""Of files and of folders, whatever the umask: who installs is seldom who serves."""
_EFFORT: Final = 9
"""Of Brotli: the whole build in a few seconds; 11 takes minutes for a tenth less."""
_WORTH: Final = 0.9


def install(build: Build, folder: Path, wrote: Callable[[int], None]) -> Installed:
    """Return what `folder` serves from now on: `build`, in place of what it held.

    Pages that are open go on to load parts of what they came with: the files of the release
    before are kept, of those before that none.

    Args:
        build: which.
        folder: where to; made if it is not there.
        wrote: is told of each file's length.

    Raises:
        InvalidRequest: the build is none that we know to move.
        Conflict: it is being installed by another process.
        Unavailable: the folder cannot be written.
    """
    with _alone(folder):
        files = build.files()
        entries = entry_points(build.page.decode("utf-8", "replace"))
        for entry in (*entries.scripts, *entries.styles):
            if entry not in files:
                raise InvalidRequest(f"its index.html names {entry}, which is not there")
        for script in entries.scripts:
            if not is_movable(script, build.content(script)):
                raise InvalidRequest(f"{script} is no script that we know to move to {FOLDER}")
        release = _release(build, files)
        previous = _previous(folder, release)
        place = Path(mkdtemp(prefix="ohif-", dir=folder))
        try:
            written: dict[str, InstalledFile] = {}
            for path in files:
                content = build.content(path)
                written[path] = _write(place, path, relocated(path, content, root_of(release)))
                wrote(len(content))
            if licence := build.licence:
                _put(place / "LICENSE", licence)
            installed = Installed(
                version=build.version,
                release=release,
                relocation=RELOCATION,
                is_known=build.is_known,
                folder=place.name,
                scripts=entries.scripts,
                styles=entries.styles,
                files=written,
                previous=previous,
            )
            fresh = place / MANIFEST
            _put(fresh, installed.model_dump_json().encode())
            for directory in (place, *(one for one in place.rglob("*") if one.is_dir())):
                directory.chmod(_SEARCHED)
                sync_directory(directory)
            fresh.replace(folder / MANIFEST)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        sync_directory(folder.resolve())
        _clear(folder, keep=(place.name, "" if previous is None else previous.folder))
        return installed


def remove(folder: Path) -> bool:
    """Remove what is there, whole or not; return whether anything was.

    Raises:
        Conflict: it is being installed by another process.
        Unavailable: the folder cannot be written.
    """
    if not folder.is_dir():
        return False
    with _alone(folder):
        manifest = folder / MANIFEST
        was_there = manifest.exists() or any(folder.glob("ohif-*"))
        manifest.unlink(missing_ok=True)
        _clear(folder, keep=())
        return was_there


def _previous(folder: Path, release: str) -> Installed | None:
    """Return what is to be kept beside a release: the one in its place, or that one's own."""
    found = _found(folder)
    if found is not None and found.release == release:
        found = found.previous
    return None if found is None else found.model_copy(update={"previous": None})


def _found(folder: Path) -> Installed | None:
    try:
        return read_manifest(folder)
    except Unavailable:  # it is no use: what is installed now takes its place
        return None


def _release(build: Build, files: list[str]) -> str:
    """Return a name that no other content has: what it names is kept by browsers for ever."""
    digest = sha256()
    for path in files:
        content = relocated(path, build.content(path), FOLDER)
        digest.update(f"{path}\0{len(content)}\0".encode())
        digest.update(content)
    told = "".join(one for one in build.version if one.isascii() and (one.isalnum() or one in ".-"))
    return f"{told.lstrip('.-') or 'own'}-{digest.hexdigest()[:8]}"


def _write(place: Path, path: str, content: bytes) -> InstalledFile:
    target = place / path
    target.parent.mkdir(parents=True, exist_ok=True)
    _put(target, content)
    packed = _packed(path, content)
    if packed is not None:
        _put(target.with_name(target.name + PACKED), packed)
    return InstalledFile(
        digest=sha256(content).hexdigest(),
        length_bytes=len(content),
        packed_digest=None if packed is None else sha256(packed).hexdigest(),
    )


def _packed(path: str, content: bytes) -> bytes | None:
    if not path.endswith(_PACKED_TYPES) or len(content) < _LEAST_PACKED:
        return None
    packed = bytes(imagecodecs.brotli_encode(content, level=_EFFORT, lgwin=22))
    return packed if len(packed) < len(content) * _WORTH else None


def _put(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        os.fchmod(file.fileno(), _READ)
        file.write(content)
        file.flush()
        os.fdatasync(file.fileno())


def _clear(folder: Path, *, keep: Collection[str]) -> None:
    """Remove what earlier installations left."""
    for old in folder.glob("ohif-*"):
        if old.name not in keep:
            shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """Keep other processes from installing there meanwhile; what cannot be written is said."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = folder.stat()
        if found.st_uid == os.geteuid():  # else whoever made it says who comes in
            folder.chmod(stat.S_IMODE(found.st_mode) | _SEARCHED)
        with (folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Conflict(f"the viewer in {folder} is being installed already") from error
            yield
    except OSError as error:
        raise Unavailable(f"{folder} cannot be written: {error.strerror}") from error

"""What of a study has been fetched already: a file beside it, until all of it is there."""

import json
import re
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, cast

from pacs_cloud.errors import Unavailable

NAME: Final = ".unfinished"
_LARGEST_BYTES: Final = 256 << 20
_ETAG: Final = re.compile(r'"[!#-~]{1,200}"')


class Fetched(NamedTuple):
    """A file that was fetched whole: the mark of its state, and its length."""

    etag: str
    length_bytes: int


class Unfinished:
    """Remembers, in a study's folder, which of its files are there and in which state.

    A file counts as there while it has the length that it was fetched with; whether the archive
    still has it in that state is for the archive to say.
    """

    def __init__(self, folder: Path) -> None:
        """Go on in `folder`, which need not exist; raises Unavailable."""
        self.folder = folder
        self._path = folder / NAME
        self._fetched = _read(self._path)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: IO[str] = self._path.open("a", encoding="ascii")
        except OSError as error:
            raise Unavailable(f"cannot write {self._path}: {error.strerror}") from error

    def known(self, path: Path) -> Fetched | None:
        """Return what is remembered of a file that is as it was fetched."""
        fetched = self._fetched.get(self._name_of(path))
        try:
            is_there = fetched is not None and path.stat().st_size == fetched.length_bytes
        except OSError:
            return None
        return fetched if is_there else None

    def note(self, path: Path, etag: str, length_bytes: int) -> None:
        """Remember a file that is there whole; one without a mark will be fetched again."""
        if etag:
            line = {"file": self._name_of(path), "etag": etag, "bytes": length_bytes}
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Keep what is noted."""
        self._file.close()

    def forget(self) -> None:
        """Let no note stay: everything is there."""
        self._path.unlink(missing_ok=True)

    def _name_of(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


def _read(path: Path) -> dict[str, Fetched]:
    try:
        text = path.read_text("ascii") if path.stat().st_size <= _LARGEST_BYTES else ""
    except (OSError, UnicodeDecodeError):
        return {}
    fetched: dict[str, Fetched] = {}
    for line in text.splitlines():
        match _line(line):
            case {"file": str(name), "etag": str(etag), "bytes": int(length_bytes)}:
                if _ETAG.fullmatch(etag):
                    fetched[name] = Fetched(etag, length_bytes)
            case _:  # the last one of a process that was killed
                continue
    return fetched


def _line(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}

"""What signs sessions: what the settings say, or on one machine a file of our own making."""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from pacs_cloud.directories import sync_directory
from pacs_cloud.errors import Corrupt, InvalidRequest, Unavailable
from pacs_cloud.settings import SECRET_BYTES, Settings

FILE: Final = "session.key"
_OWNER_ONLY: Final = 0o600


def session_secrets(settings: Settings) -> tuple[bytes, ...]:
    """Return the secrets of sessions, the one that signs first.

    An archive on this machine's disk makes one for itself, once: `session.key` in the data
    directory, a secret a line; whoever writes another line in front of it exchanges it. So does
    one with `no_auth`, which no other machine serves.

    Raises:
        InvalidRequest: the archive is on a bucket, people sign in, and the settings say none.
        Unavailable: the file cannot be read or made.
        Corrupt: it holds no secrets, or others may read it.
    """
    if settings.session_secret:
        return tuple(one.get_secret_value().encode() for one in settings.session_secret)
    if not settings.is_embedded and not settings.no_auth:
        raise InvalidRequest(
            "sessions need a secret that all machines share: set PACS_SESSION_SECRET to 32"
            " characters or more, e.g. from `openssl rand -base64 48`"
        )
    path = settings.data.absolute() / FILE
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {error.strerror}") from error
    try:
        _make(path)
        return _read(path)
    except OSError as error:
        raise Unavailable(f"{path} cannot be made: {error.strerror}") from error


def _read(path: Path) -> tuple[bytes, ...]:
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        lines = file.read(1 << 16).split()
    if mode & stat.S_IRWXO:
        raise Corrupt(f"others may read {path}: chmod 600, and write a new secret in front")
    if not lines or any(len(line) < SECRET_BYTES for line in lines):
        raise Corrupt(f"{path} holds no secrets of {SECRET_BYTES} bytes or more, one a line")
    return tuple(lines)


def _make(path: Path) -> None:
    """Give the file its name once it is whole and durable; one that is there already stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{FILE}.{secrets.token_hex(8)}")
    try:
        number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _OWNER_ONLY)
        with open(number, "wb") as file:  # noqa: PTH123  a descriptor is no path
            file.write(secrets.token_hex(SECRET_BYTES).encode() + b"\n")
            file.flush()
            os.fsync(number)
        with suppress(FileExistsError):
            path.hardlink_to(part)
        sync_directory(path.parent)
    finally:
        part.unlink(missing_ok=True)

"""Files that hold keys: for their owner's eyes alone."""

import os
import stat
from pathlib import Path
from typing import Final

from pacs_cloud.errors import Denied, NotFound, Unavailable

_MOST_BYTES: Final = 64 << 10


def key_file_text(path: Path) -> str:
    """Return what a file of keys holds, 64 KiB of it at most.

    Raises:
        Denied: others than its owner may read it.
        NotFound: it is not there.
        Unavailable: it cannot be read, or is no ASCII; no error quotes it.
    """
    try:
        with path.open(encoding="ascii") as file:
            if os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise Denied(f"{path} may be read by others than its owner: chmod 600")
            return file.read(_MOST_BYTES)
    except FileNotFoundError as error:
        raise NotFound(f"there is no key file {path}") from error
    except (OSError, UnicodeDecodeError):
        raise Unavailable(f"the key file {path} cannot be read") from None

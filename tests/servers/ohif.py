"""OHIF as `pacs-cloud viewer install` writes it: fetched by npm once, installed once per change."""

import fcntl
from hashlib import sha256
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory

from pacs_cloud.errors import PacsError
from pacs_cloud.web.viewer import npm
from pacs_cloud.web.viewer.build import integrity_of, opened_build
from pacs_cloud.web.viewer.installed import ViewerFiles
from pacs_cloud.web.viewer.installing import install
from pacs_cloud.web.viewer.release import INTEGRITY, VERSION

_CACHE = Path(__file__).parents[2] / ".node" / "ohif"


class Absent(Exception):
    """It cannot be had here; the message says why."""


def archive() -> Path:
    """Return the package's archive; raises Absent."""
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes come at once
        kept = _CACHE / f"ohif-app-{VERSION}.tgz"
        if not kept.exists() or integrity_of(kept) != INTEGRITY:
            kept.unlink(missing_ok=True)
            try:
                with TemporaryDirectory(dir=_CACHE) as fresh:
                    npm.fetch(VERSION, Path(fresh)).replace(kept)
            except PacsError as error:
                raise Absent(str(error)) from error
        return kept


def installed() -> Path:
    """Return a folder in which it is installed as the code of now does it; raises Absent."""
    source = archive()
    code = sha256(VERSION.encode())
    for name in ("relocation.py", "installing.py", "installed.py"):
        code.update((resources.files("pacs_cloud.web.viewer") / name).read_bytes())
    folder = _CACHE / "installed"
    with (_CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made_by = folder / "made-by"
        is_there = made_by.exists() and made_by.read_text() == code.hexdigest()
        if not is_there or not ViewerFiles(folder).is_installed:
            with opened_build(source, is_known_needed=True) as build:
                install(build, folder, lambda _: None)
            made_by.write_text(code.hexdigest())
    return folder

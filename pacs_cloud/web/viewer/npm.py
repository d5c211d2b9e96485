"""OHIF's package from npm's registry, by npm itself: whatever proxy it has been told counts."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

from pacs_cloud.errors import InvalidRequest, Unavailable
from pacs_cloud.web.viewer.release import PACKAGE

_LIMIT_S: Final = 900
_VERSION_SIGNS: Final = frozenset("0123456789abcdefghijklmnopqrstuvwxyz.-")


def fetch(version: str, folder: Path) -> Path:
    """Return the package's archive, once it is in `folder`.

    None of its scripts run, and nothing that it depends on comes along: the build that it
    ships has all of that in it.

    Raises:
        InvalidRequest: there is no npm here; or that is no version.
        Unavailable: npm could not fetch it.
    """
    if not version or not _VERSION_SIGNS.issuperset(version):
        raise InvalidRequest(f"{version!r} is no version")
    npm = shutil.which("npm")
    if npm is None:
        raise InvalidRequest(
            "npm is not installed here (Node.js brings it). Or fetch the viewer where it is:"
            f" npm pack {PACKAGE}@{version}, and say --from FILE here"
        )
    command = [npm, "pack", "--ignore-scripts", f"--pack-destination={folder}"]
    try:
        subprocess.run(  # noqa: S603 - what is fetched is ours to say; the version has been checked
            [*command, f"{PACKAGE}@{version}"],
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
        )
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"npm could not fetch {PACKAGE}@{version}: {_why(error)}") from error
    except (subprocess.TimeoutExpired, OSError) as error:
        raise Unavailable(f"npm could not fetch {PACKAGE}@{version}: {error}") from error
    archives = list(folder.glob("*.tgz"))
    if len(archives) != 1:
        raise Unavailable(f"npm fetched {len(archives)} archives in place of one")
    return archives[0]


def _why(error: subprocess.CalledProcessError) -> str:
    """Return what npm itself says, in a line."""
    said = [line.removeprefix("npm error").strip() for line in str(error.stderr).splitlines()]
    return "; ".join(line for line in said if line and "complete log" not in line)[:400]

"""`viewer install`, `viewer status`, `viewer remove`."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from pacs_cloud.cli.options import typed
from pacs_cloud.cli.output import counted, print_json, stdout, weighing
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.settings import Settings
from pacs_cloud.web.viewer import installing, npm
from pacs_cloud.web.viewer.build import opened_build
from pacs_cloud.web.viewer.installed import Installed, ViewerFiles, read_manifest
from pacs_cloud.web.viewer.release import VERSION
from pacs_cloud.web.viewer.relocation import RELOCATION

_INSTALL: Final = "viewer install"
_NOT_WHOLE: Final = 1
_LISTED: Final = 10


def install(settings: Settings, source: Path | None, version: str | None, *, as_json: bool) -> None:
    """Install OHIF where the settings say.

    Args:
        settings: of the archive.
        source: an archive of npm's, or a folder; None: npm fetches it.
        version: which; None: the one whose digest we ship, or whichever `source` is.
        as_json: print an object.

    Raises:
        InvalidRequest: there is no npm here, or what is there is no OHIF that we know to move.
        Conflict: it is being installed by another process.
        Unavailable: it cannot be fetched, or written.
    """
    if source is None:
        with TemporaryDirectory(prefix="pacs-viewer-") as temporary:
            with weighing("fetching") as progress:
                progress.add_task("", total=None)
                archive = npm.fetch(version or VERSION, Path(temporary))
            installed = _install(settings, archive, version, is_known_needed=version is None)
    else:
        installed = _install(settings, source, version)
    _print(settings, installed, [], as_json=as_json)


def status(settings: Settings, *, as_json: bool) -> int:
    """Say what is installed, and whether it is whole; return the exit code.

    Raises:
        Unavailable: what is there cannot be read.
    """
    folder = settings.viewer_folder
    installed = read_manifest(folder)
    if installed is None:
        if as_json:
            print_json({"installed": False, "folder": str(folder)})
        else:
            stdout.print(f"not installed: {typed(_INSTALL, settings)}")
        return _NOT_WHOLE
    damaged = list(ViewerFiles(folder).damaged(installed))
    _print(settings, installed, damaged, as_json=as_json)
    return _NOT_WHOLE if damaged else 0


def remove(settings: Settings, *, as_json: bool) -> None:
    """Remove what is installed; raises Conflict, Unavailable."""
    removed = installing.remove(settings.viewer_folder)
    if as_json:
        print_json({"removed": removed})
    else:
        stdout.print("removed" if removed else "it was not installed")


def _install(
    settings: Settings, source: Path, version: str | None, *, is_known_needed: bool = False
) -> Installed:
    with opened_build(source, is_known_needed=is_known_needed) as build:
        if version is not None and build.version != version:
            raise InvalidRequest(f"{source.name} is OHIF {build.version or '?'}, not {version}")
        with weighing("installing") as progress:
            lengths = ((build.dist / one).stat().st_size for one in build.files())
            task = progress.add_task("", total=sum(lengths))
            return installing.install(
                build, settings.viewer_folder, lambda written: progress.advance(task, written)
            )


def _print(settings: Settings, installed: Installed, damaged: list[str], *, as_json: bool) -> None:
    is_current = installed.relocation == RELOCATION
    if as_json:
        print_json(
            {
                "installed": True,
                "folder": str(settings.viewer_folder),
                "version": installed.version,
                "release": installed.release,
                "is_known": installed.is_known,
                "is_current": is_current,
                "files": len(installed.files),
                "bytes": installed.length_bytes,
                "previous": None if installed.previous is None else installed.previous.release,
                "damaged": damaged,
            }
        )
        return
    whose = "the package we know" if installed.is_known else "a build of your own"
    files = counted(len(installed.files), "file")
    stdout.print(
        f"OHIF {installed.version or '?'} ({whose}), {files},"
        f" {installed.length_bytes / 1e6:.0f} MB in {settings.viewer_folder}"
    )
    if (before := installed.previous) is not None:
        stdout.print(
            f"OHIF {before.version or '?'} is kept until the next install, for pages that are"
            f" open: {before.length_bytes / 1e6:.0f} MB"
        )
    if not is_current:
        stdout.print(
            "installed by another release of pacs-cloud; bring it up to date:"
            f" {typed(_INSTALL, settings)}"
        )
    if damaged:
        some = ", ".join(damaged[:_LISTED])
        stdout.print(
            f"{counted(len(damaged), 'file')} damaged: {some}."
            f" Install it again: {typed(_INSTALL, settings)}"
        )

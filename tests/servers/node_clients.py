"""The DICOMweb clients of tests/node, installed by npm once per lock file."""

import fcntl
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "node"
_INSTALLED = Path(__file__).parents[2] / ".node"
_INSTALL_LIMIT_S = 300


class Absent(Exception):
    """They cannot be had here; the message says why."""


def installed() -> Path:
    """Return the folder of the programs with what they import.

    Raises:
        Absent: there is no Node, no npm, or no registry that answers.
    """
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise Absent("Node and npm are not installed (Debian: apt-get install nodejs npm)")
    _INSTALLED.mkdir(exist_ok=True)
    with (_INSTALLED / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes come at once
        _install(npm)
    return _INSTALLED


def _install(npm: str) -> None:
    locked = (SOURCE / "package-lock.json").read_bytes()
    done = _INSTALLED / "installed-lock.json"
    if not done.exists() or done.read_bytes() != locked:
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(SOURCE / name, _INSTALLED)
        command = [npm, "ci", "--ignore-scripts"]
        try:
            subprocess.run(
                command, cwd=_INSTALLED, check=True, capture_output=True, timeout=_INSTALL_LIMIT_S
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise Absent("npm cannot install the viewers' clients: no registry answers") from error
        # The loader's codecs, where it is told to look for them.
        codecs = _INSTALLED / "wasm"
        codecs.mkdir(exist_ok=True)
        for wasm in _INSTALLED.glob("node_modules/@cornerstonejs/codec-*/dist/*.wasm"):
            shutil.copy(wasm, codecs)
        done.write_bytes(locked)
    for program in SOURCE.glob("*.mjs"):
        shutil.copy(program, _INSTALLED)

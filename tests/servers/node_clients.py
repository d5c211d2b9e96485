"""The programs of tests/node with what they import, installed by npm once per lock file."""

import fcntl
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "node"
_INSTALLED = Path(__file__).parents[2] / ".node"
_INSTALL_LIMIT_S = 300
# Some of what the clients import are CommonJS modules that require ES modules.
_SERVES = "process.exit(process.features.require_module ? 0 : 1)"


class Absent(Exception):
    """They cannot be had here; the message says why."""


def installed() -> Path:
    """Return the folder of the programs with what they import.

    Raises:
        Absent: there is no npm, no Node that serves, or no registry that answers.
    """
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None or subprocess.run([node, "-e", _SERVES], check=False).returncode:
        raise Absent("npm or Node 20.19 or later is not installed (.ci/node fetches them)")
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
            raise Absent(
                "npm cannot install what tests/node imports: no registry answers"
            ) from error
        # The loader's codecs, where it is told to look for them.
        codecs = _INSTALLED / "wasm"
        codecs.mkdir(exist_ok=True)
        for wasm in _INSTALLED.glob("node_modules/@cornerstonejs/codec-*/dist/*.wasm"):
            shutil.copy(wasm, codecs)
        done.write_bytes(locked)
    for program in SOURCE.glob("*.mjs"):
        shutil.copy(program, _INSTALLED)

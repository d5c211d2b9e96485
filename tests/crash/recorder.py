"""Record what a program does to its files, with strace."""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from crash.replay import TRACED
from patience import PATIENCE_S

LONGEST_WRITE_BYTES = 256 << 20


@functools.cache
def unavailable() -> str | None:
    """Return why nothing can be recorded here, or None."""
    strace = shutil.which("strace")
    if strace is None:
        return "strace is not installed (Debian: apt-get install strace)"
    with tempfile.TemporaryDirectory() as folder:
        command = command_line([sys.executable, "-c", ""], Path(folder) / "log")
        ended = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
    return f"strace cannot trace here: {ended.stderr.strip()[-200:]}" if ended.returncode else None


def command_line(command: Sequence[str], log: Path) -> list[str]:
    """Return the command that runs `command` and writes its system calls to `log`."""
    return [
        *("strace", "-f", "--seccomp-bpf", "-qq", "-ttt", "-yy", "-xx"),
        *("-s", str(LONGEST_WRITE_BYTES), "-e", "signal=none", "-e", f"trace={TRACED}"),
        *("-o", os.fspath(log), *command),
    ]

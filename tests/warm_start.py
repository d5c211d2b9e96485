"""`pacs-cloud` in a process of its own, forked from one that has imported the archive already.

Importing it takes most of a short command's time. What is forked has run nothing yet: a command
gets arguments, environment, directory and files as if a shell had started it.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from patience import PATIENCE_S

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["pacs_cloud.cli.app", "pacs_cloud.bootstrap.services"])


def run(
    *words: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    said: str = "",
    timeout_s: float = PATIENCE_S,
) -> "subprocess.CompletedProcess[str]":
    """Return how `pacs-cloud` ended, and what it wrote.

    Args:
        words: its arguments.
        cwd: its directory; ours where none is given.
        env: its environment; ours where none is given.
        said: what it reads on its standard input.
        timeout_s: until it is killed.

    Raises:
        subprocess.TimeoutExpired: it was killed.
    """
    command = [str(word) for word in words]
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("stdin", "stdout", "stderr")]
        files[0].write_text(said)
        process = _FORKS.Process(
            target=_command,
            args=(command, cwd or Path.cwd(), dict(os.environ if env is None else env), files),
        )
        process.start()
        process.join(timeout_s)
        if process.is_alive():
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(command, timeout_s)
        code = process.exitcode
        assert code is not None
        process.close()
        return subprocess.CompletedProcess(command, code, *(file.read_text() for file in files[1:]))


def _command(words: list[str], cwd: Path, env: dict[str, str], files: list[Path]) -> None:
    for stream, file in enumerate(files):
        os.dup2(os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND), stream)
    sys.stdin = os.fdopen(0)  # multiprocessing has put another one there
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["pacs-cloud", *words]

    from pacs_cloud.cli.app import main

    main()

"""Fixtures for every test: the real servers, real DICOM data, and DCMTK's programs."""

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import settings

from pacs_cloud.telemetry import ROOT, EventFormatter
from patience import PATIENCE_S
from real_files import REAL_DATA

pytest_plugins = ["servers.fixtures"]

# What httpx waits for an answer where a test says nothing else: 5 s.
vars(httpx._config.DEFAULT_TIMEOUT_CONFIG).update(
    dict.fromkeys(("connect", "read", "write", "pool"), PATIENCE_S)
)

# No example fails for being slow: this machine is shared. In CI the same
# examples are tried each time, so that a red run can be had again.
settings.register_profile("pacs", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("pacs")


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """Take back what a command that ran in this process has said of logs."""
    yield
    ours = logging.getLogger(ROOT)
    for logger in (ours, logging.getLogger()):
        for handler in [
            one for one in logger.handlers if isinstance(one.formatter, EventFormatter)
        ]:
            logger.removeHandler(handler)
    ours.setLevel(logging.NOTSET)
    ours.propagate = True


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real DICOM files that lies beside the project."""
    if not REAL_DATA.is_dir():
        pytest.skip("no real DICOM data beside the project: ../shared/data/real")
    return REAL_DATA


@pytest.fixture
def dcmtk(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """A function from a DCMTK program's name to its path; it skips where there is none.

    Not the same-named Python program that pynetdicom puts into a virtual
    environment: such folders are passed over.
    """
    # Without it Nagle's algorithm and delayed ACKs cost 40 ms a message.
    monkeypatch.setenv("TCP_NODELAY", "1")
    directories = [
        directory
        for directory in os.environ.get("PATH", os.defpath).split(os.pathsep)
        if not (Path(directory).parent / "pyvenv.cfg").exists()
    ]

    def find(program: str) -> str:
        found = shutil.which(program, path=os.pathsep.join(directories))
        if found is None:
            pytest.skip(f"DCMTK's {program} is not installed (Debian: apt-get install dcmtk)")
        return found

    return find

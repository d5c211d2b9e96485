"""A study far longer than the memory that sends it, as one ZIP file from a real web process."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from crash.archive import Archive, running
from dicomweb_samples import make_instance
from patience import PATIENCE_S

INSTANCES = 16
SIDE = 2048  # 8 MiB of pixels each
MOST_BYTES = 40 << 20
"""What sending may take beside what the process holds anyway: less than a third of the study."""


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    monkeypatch.setenv("PACS_WEB_PROCESSES", "1")
    with running(tmp_path / "data", log=tmp_path / "log") as started:
        yield started


def memory_of(pid: int, field: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{field}:"))


def test_a_long_study_is_sent_at_constant_memory(archive: Archive, tmp_path: Path) -> None:
    url = f"{archive.http}/dicom-web/studies"
    for number in range(INSTANCES):
        pixels = bytes([number]) * (SIDE * SIDE * 2)
        stored = httpx.post(
            url,
            content=make_instance(f"1.2.3.1.1.{number + 1}", rows=SIDE, pixels=pixels),
            headers={"content-type": "application/dicom"},
            timeout=PATIENCE_S,
        )
        assert stored.status_code in {200, 202}, stored.text
    (pid,) = archive.web_pids
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak counts from here
    before = memory_of(pid, "VmRSS")
    path = tmp_path / "study.zip"
    asked = {"accept": "application/zip", "dicomdir": "true"}
    with path.open("wb") as file, httpx.stream("GET", f"{url}/1.2.3.1", params=asked) as answer:
        assert answer.status_code == 200
        for chunk in answer.iter_raw():
            file.write(chunk)
    assert path.stat().st_size == int(answer.headers["content-length"])
    with zipfile.ZipFile(path) as opened:
        assert len(opened.namelist()) == INSTANCES + 1
        assert opened.testzip() is None
    assert path.stat().st_size > 3 * MOST_BYTES
    taken = memory_of(pid, "VmHWM") - before
    assert taken < MOST_BYTES, f"{taken / 2**20:.1f} MiB"

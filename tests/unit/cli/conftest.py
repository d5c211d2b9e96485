"""An archive for tests of the commands."""

from pathlib import Path

import numpy as np
import pytest

from dicomweb_samples import make_instance
from pacs_cloud.settings import load_settings
from unit.cli.cli_archive import fill

ROWS = 64


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The directory of an archive that holds one native image, of study 1.2.3."""
    ramp = np.indices((ROWS, ROWS)).sum(axis=0).astype("<u2")
    file = make_instance(
        "1.2.3.1.1", study="1.2.3", series="1.2.3.1", rows=ROWS, pixels=ramp.tobytes()
    )
    (tmp_path / "1.dcm").write_bytes(file)
    fill(load_settings({"data": tmp_path / "data"}), tmp_path / "1.dcm")
    return tmp_path / "data"

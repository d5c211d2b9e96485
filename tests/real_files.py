"""Where real DICOM files lie, for those who have them."""

from pathlib import Path

REAL_DATA = Path(__file__).parents[2] / "shared" / "data" / "real"

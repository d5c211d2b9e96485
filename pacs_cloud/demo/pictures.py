"""The made-up hospital's pictures, by modality: each function yields a study's data sets."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalXRayImageStorageForPresentation,
    MRImageStorage,
    UltrasoundMultiFrameImageStorage,
)

from pacs_cloud.demo import phantoms
from pacs_cloud.demo.datasets import Series, Visit, with_pixels
from pacs_cloud.demo.phantoms import Random, Volume

_HEAD_CT: Final = (-1000, 40, 1050, 8, 38, 30, 72)
"""Hounsfield units by `phantoms.TISSUES`, as the weightings of MR below."""
_HEAD_MR: Final = {
    "T1": (0, 820, 90, 140, 480, 700, 330),
    "T2": (0, 420, 60, 950, 560, 400, 820),
}
_AXIAL: Final = [1, 0, 0, 0, 1, 0]


def ct_chest(visit: Visit, random: Random, *, slices: int, nodule: float) -> Iterator[Dataset]:
    """Yield a CT of a chest with contrast, `slices` of 256 x 256."""
    series = Series(visit, 2, "CT", CTImageStorage, "Chest 3.0 B40f", "CT1", "CHEST")
    body = phantoms.softened(phantoms.chest(random, (slices, 256, 256), nodule))
    yield from _ct(series, phantoms.noisy(random, body, 16), 300 / slices, 1.5, (40, 400))


def ct_head(visit: Visit, random: Random) -> Iterator[Dataset]:
    """Yield a CT of a head with a bleeding, 24 slices of 192 x 192."""
    series = Series(visit, 2, "CT", CTImageStorage, "Head 5.0 H31s", "CT2", "HEAD")
    tissues = phantoms.head(random, (24, 192, 192), random.uniform(0.08, 0.16))
    head = phantoms.softened(np.array(_HEAD_CT, np.float32)[tissues])
    yield from _ct(series, phantoms.noisy(random, head, 4), 6.0, 1.15, (40, 80))


def _ct(
    series: Series, volume: Volume, thickness_mm: float, spacing_mm: float, window: tuple[int, int]
) -> Iterator[Dataset]:
    half_mm = volume.shape[1] * spacing_mm / 2
    for number, picture in enumerate(np.clip(volume + 1024, 0, 4095).astype(np.int16), 1):
        z_mm = -(number - 1) * thickness_mm
        made = series.dataset(
            number,
            ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
            FrameOfReferenceUID=f"{series.visit.uid}.1",
            PositionReferenceIndicator="",
            AcquisitionNumber=1,
            KVP="120",
            XRayTubeCurrent="180",
            PatientPosition="HFS",
            SliceThickness=f"{thickness_mm:.2f}",
            SliceLocation=f"{z_mm:.2f}",
            PixelSpacing=[spacing_mm, spacing_mm],
            ImageOrientationPatient=_AXIAL,
            ImagePositionPatient=[-half_mm, -half_mm, round(z_mm, 3)],
            RescaleIntercept="-1024",
            RescaleSlope="1",
            RescaleType="HU",
            WindowCenter=window[0],
            WindowWidth=window[1],
        )
        yield with_pixels(made, picture, bits=16)


def mr_head(visit: Visit, random: Random) -> Iterator[Dataset]:
    """Yield an MR of a head in two weightings, 20 slices of 160 x 160 each."""
    tissues = phantoms.head(random, (20, 160, 160), random.uniform(0.05, 0.12))
    for number, (weighting, signal) in enumerate(_HEAD_MR.items(), 2):
        series = Series(visit, number, "MR", MRImageStorage, f"{weighting} axial", "MR1", "BRAIN")
        head = phantoms.softened(np.array(signal, np.float32)[tissues])
        pictures = np.clip(phantoms.noisy(random, head, 16), 0, 1500).astype(np.uint16)
        for at, picture in enumerate(pictures):
            made = series.dataset(
                at + 1,
                ImageType=["ORIGINAL", "PRIMARY", "M", "SE"],
                FrameOfReferenceUID=f"{visit.uid}.1",
                PositionReferenceIndicator="",
                ScanningSequence="SE",
                SequenceVariant="NONE",
                ScanOptions="",
                MRAcquisitionType="2D",
                RepetitionTime="500" if weighting == "T1" else "4000",
                EchoTime="12" if weighting == "T1" else "95",
                EchoTrainLength=1,
                MagneticFieldStrength="1.5",
                PatientPosition="HFS",
                SliceThickness="5",
                SpacingBetweenSlices="6",
                PixelSpacing=[1.4, 1.4],
                ImageOrientationPatient=_AXIAL,
                ImagePositionPatient=[-112, -112, 60 - 6 * at],
                WindowCenter=500,
                WindowWidth=1000,
            )
            yield with_pixels(made, picture, bits=12)


def chest_film(visit: Visit, random: Random, *, digital: bool) -> Iterator[Dataset]:
    """Yield a radiograph of a chest: computed (CR), or digital (DX)."""
    modality, station = ("DX", "DX1") if digital else ("CR", "CR1")
    sop_class = (
        DigitalXRayImageStorageForPresentation if digital else (ComputedRadiographyImageStorage)
    )
    series = Series(visit, 2, modality, sop_class, "Chest PA", station, "CHEST")
    nodule = random.choice([0.0, 0.0, 0.05])
    body = phantoms.chest(random, (160, 96, 192), float(nodule))
    made = series.dataset(
        1,
        ImageType=["DERIVED" if digital else "ORIGINAL", "PRIMARY"],
        ViewPosition="PA",
        PatientOrientation=["L", "F"],
        ImagerPixelSpacing=[0.5, 0.5],
        PixelSpacing=[0.5, 0.5],
        KVP="110",
        WindowCenter=1900,
        WindowWidth=3400,
        **({"PresentationIntentType": "FOR PRESENTATION"} if digital else {}),
    )
    yield with_pixels(made, phantoms.projected(random, body, (704, 768)), bits=12)


def mammogram(visit: Visit, random: Random) -> Iterator[Dataset]:
    """Yield a mammography: two views of each side."""
    sop_class = DigitalMammographyXRayImageStorageForPresentation
    for number, (side, view) in enumerate(
        (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO")), 2
    ):
        series = Series(visit, number, "MG", sop_class, f"{side} {view}", "MG1", "BREAST")
        left, oblique = side == "L", view == "MLO"
        made = series.dataset(
            1,
            ImageType=["DERIVED", "PRIMARY"],
            PresentationIntentType="FOR PRESENTATION",
            ImageLaterality=side,
            ViewPosition=view,
            PatientOrientation=["A" if left else "P", "F" * oblique + ("R" if left else "L")],
            ImagerPixelSpacing=[0.35, 0.35],
            KVP="28",
            WindowCenter=1800,
            WindowWidth=3400,
        )
        picture = phantoms.breast(random, (640, 448), left=left, oblique=oblique)
        yield with_pixels(made, picture, bits=12)


def ultrasound(visit: Visit, random: Random) -> Iterator[Dataset]:
    """Yield a loop of a beating heart, 20 frames."""
    series = Series(
        visit, 2, "US", UltrasoundMultiFrameImageStorage, "Apical four chambers", "US1", "HEART"
    )
    made = series.dataset(
        1,
        ImageType=["ORIGINAL", "PRIMARY"],
        FrameTime="40",
        FrameIncrementPointer=0x00181063,
        HeartRate="63",
        CineRate="25",
        RecommendedDisplayFrameRate="25",
    )
    yield with_pixels(made, phantoms.beating_heart(random, 20, (240, 320)), bits=8)

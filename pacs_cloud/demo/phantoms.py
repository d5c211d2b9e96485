"""Bodies that are none: ellipsoids of tissue, of which each modality makes its own picture."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Volume = NDArray[np.float32]
"""Values by slice, row and column."""
Random = np.random.Generator


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """One organ, or a part of one; lengths in parts of the volume's half, -1 to 1.

    Attributes:
        value: what it is filled with.
        centre: along slices, rows and columns.
        radii: likewise.
        tilt: how far its columns shift with its rows.
    """

    value: float
    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    tilt: float = 0.0


def filled(shape: tuple[int, int, int], background: float, parts: list[Ellipsoid]) -> Volume:
    """Return a volume of `background` with its parts, later ones over earlier ones."""
    volume = np.full(shape, background, np.float32)
    for part in parts:
        box: list[slice] = []
        axes: list[NDArray[np.float32]] = []
        reach = (*part.radii[:2], part.radii[2] + abs(part.tilt) * part.radii[1])
        for length, centre, radius in zip(shape, part.centre, reach, strict=True):
            first = max(0, int((centre - radius + 1) / 2 * length))
            last = min(length, int((centre + radius + 1) / 2 * length) + 2)
            box.append(slice(first, last))
            axes.append(((np.arange(first, last) + 0.5) / length * 2 - 1 - centre).astype("f4"))
        z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
        (rz, ry, rx), where = part.radii, tuple(box)
        inside = (z / rz) ** 2 + (y / ry) ** 2 + ((x - part.tilt * y) / rx) ** 2 <= 1
        volume[where][inside] = part.value
    return volume


def chest(random: Random, shape: tuple[int, int, int], nodule: float) -> Volume:
    """Return a chest in Hounsfield units, feet first in the last slice.

    Args:
        random: makes no two alike.
        shape: slices, rows, columns.
        nodule: the radius of the nodule in the right lung; 0: none.
    """
    wide, deep = random.uniform(0.8, 0.88), random.uniform(0.56, 0.64)
    parts = [
        Ellipsoid(-90, (0, 0, 0), (3, deep, wide)),  # fat
        Ellipsoid(45, (0, 0, 0), (3, deep - 0.05, wide - 0.06)),  # muscle
    ]
    for rib in np.arange(-1.3, 1.4, 0.26):
        parts += [
            Ellipsoid(420, (rib, 0, 0), (0.07, deep - 0.08, wide - 0.1)),
            Ellipsoid(40, (rib, 0, 0), (0.09, deep - 0.13, wide - 0.15)),
        ]
    for side in (-1, 1):
        lung = (0.95, deep - 0.17, 0.31 + random.uniform(-0.02, 0.02))
        parts.append(Ellipsoid(-860, (0.0, -0.02, side * 0.41), lung))
        parts += _vessels(random, side)
    parts += [
        Ellipsoid(60, (1.05, 0.0, -0.3), (0.5, deep - 0.14, 0.5)),  # liver under the diaphragm
        Ellipsoid(55, (0.25, -0.1, 0.12), (0.42, 0.28, 0.27)),  # heart
        Ellipsoid(210, (0.2, -0.1, 0.16), (0.26, 0.16, 0.15)),  # its blood, with contrast
        Ellipsoid(260, (-0.55, -0.06, 0.02), (0.25, 0.12, 0.11)),  # arch of the aorta
        Ellipsoid(230, (0.1, 0.24, 0.1), (1.6, 0.08, 0.08)),  # descending aorta
        Ellipsoid(-950, (-0.8, 0.02, 0), (0.7, 0.06, 0.06)),  # windpipe
        Ellipsoid(320, (0, 0.41, 0), (3, 0.1, 0.1)),  # spine
        Ellipsoid(650, (0, 0.41, 0), (3, 0.085, 0.085)),
        Ellipsoid(260, (0, 0.41, 0), (3, 0.07, 0.07)),
        Ellipsoid(20, (0, 0.45, 0), (3, 0.04, 0.04)),  # spinal canal
        Ellipsoid(450, (0, -deep + 0.09, 0), (0.9, 0.035, 0.09)),  # breastbone
    ]
    if nodule:
        depth = nodule * shape[1] / shape[0] * 0.5
        parts.append(Ellipsoid(35, (-0.15, 0.08, -0.46), (max(depth, 0.05), nodule, nodule)))
    return filled(shape, -1000, parts)


def _vessels(random: Random, side: int) -> list[Ellipsoid]:
    """Return what branches from a lung's root outwards, thinner and thinner."""
    found: list[Ellipsoid] = []
    for _ in range(14):
        end = (random.uniform(-0.8, 0.8), random.uniform(-0.35, 0.3), random.uniform(0.3, 0.64))
        for step in np.linspace(0.1, 1, 16):
            at = (end[0] * step, end[1] * step * step, side * (0.16 + (end[2] - 0.16) * step))
            radius = 0.035 * (1.15 - step)
            found.append(Ellipsoid(20, at, (radius * 1.6, radius, radius)))
    return found


TISSUES: Final = ("air", "skin", "skull", "fluid", "grey", "white", "lesion")
"""What a head is made of; `head` fills it with their numbers."""


def head(random: Random, shape: tuple[int, int, int], lesion: float) -> NDArray[np.uint8]:
    """Return a head as numbers of `TISSUES`; `lesion` is the radius of one, 0: none."""
    wide = random.uniform(0.66, 0.72)
    kinds = {name: float(number) for number, name in enumerate(TISSUES)}
    parts = [
        Ellipsoid(kinds["skin"], (0.05, 0, 0), (1.15, 0.88, wide + 0.06)),
        Ellipsoid(kinds["skull"], (0.05, 0, 0), (1.1, 0.84, wide + 0.02)),
        Ellipsoid(kinds["fluid"], (0.05, 0, 0), (1.05, 0.78, wide - 0.04)),
    ]
    for side in (-1, 1):
        half = side * wide * 0.41
        parts.append(Ellipsoid(kinds["grey"], (0.05, 0, half), (1.0, 0.75, wide * 0.42)))
        for fold in range(44):
            angle, depth = fold / 44 * 2 * np.pi, random.uniform(0.86, 0.97)
            at = (
                random.uniform(-0.6, 0.6),
                0.75 * depth * np.sin(angle),
                half + wide * 0.42 * depth * np.cos(angle),
            )
            parts.append(Ellipsoid(kinds["fluid"], at, (0.35, 0.075, 0.02), random.uniform(-1, 1)))
        parts += [
            Ellipsoid(kinds["white"], (0.05, 0, half), (0.85, 0.6, wide * 0.32)),
            Ellipsoid(kinds["grey"], (0.1, 0.05, side * 0.2), (0.25, 0.17, 0.09)),
            Ellipsoid(kinds["fluid"], (0, -0.1, side * 0.1), (0.4, 0.3, 0.06), side * 0.25),
            Ellipsoid(kinds["fluid"], (0, 0.25, side * 0.16), (0.3, 0.2, 0.055), side * -0.3),
        ]
    if lesion:
        parts.append(Ellipsoid(kinds["lesion"], (0.0, -0.25, 0.3), (lesion * 2, lesion, lesion)))
    return filled(shape, 0, parts).astype(np.uint8)


def noisy(random: Random, volume: Volume, deviation: float) -> Volume:
    """Return a volume with noise of some grain, as a reconstruction has it."""
    noise = random.standard_normal(volume.shape, np.float32)
    noise = (noise + np.roll(noise, 1, -1) + np.roll(noise, 1, -2)) / np.float32(np.sqrt(3))
    return (volume + noise * np.float32(deviation)).astype(np.float32)


def softened(volume: Volume) -> Volume:
    """Return a volume with edges as soft as a scanner's."""
    for axis in (-1, -2):
        blurred = (np.roll(volume, 1, axis) + 2 * volume + np.roll(volume, -1, axis)) / 4
        volume = blurred.astype(np.float32)
    return volume


def projected(random: Random, body: Volume, size: tuple[int, int]) -> NDArray[np.uint16]:
    """Return a radiograph of a body from the front, 12 bits, dense parts bright."""
    attenuation = np.clip((body + 1000) / 1000, 0, 2.2).sum(axis=1)
    low, high = np.percentile(attenuation, (2, 99.5))
    scaled = np.clip((attenuation - low) / (high - low), 0, 1.1) ** 0.8
    picture = resized(scaled.astype(np.float32), size)
    noise = random.standard_normal(picture.shape, np.float32) * np.float32(0.012)
    return np.clip((picture + noise) * 3600 + 200, 0, 4095).astype(np.uint16)


def resized(picture: Volume, size: tuple[int, int]) -> Volume:
    """Return a picture in another size: rows, columns."""
    image = Image.fromarray(picture).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return np.asarray(image, np.float32)


def breast(
    random: Random, size: tuple[int, int], *, left: bool, oblique: bool
) -> NDArray[np.uint16]:
    """Return a mammogram, 12 bits; the chest wall is at the side that the body is on."""
    rows, columns = size
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    y, x = y / rows * 2 - 1, x / columns
    distance = np.sqrt((y / 0.78) ** 2 + (x / 0.82) ** 2)
    picture = np.clip((1 - distance) * 6, 0, 1) * (0.5 + 0.25 * (1 - distance))
    texture = sum(
        resized(random.random((max(2, rows // grain), max(2, columns // grain)), np.float32), size)
        * weight
        for grain, weight in ((96, 0.5), (40, 0.3), (14, 0.2))
    )
    gland = np.clip(1.4 - np.sqrt((y / 0.5) ** 2 + ((x - 0.3) / 0.35) ** 2), 0, 1)
    picture = picture * (0.75 + 0.5 * texture * gland)
    if oblique:
        picture[(x * 2.2 + y < -0.35)] = 0.93
    for _ in range(12):
        at = int(rows * random.uniform(0.42, 0.5)), int(columns * random.uniform(0.3, 0.38))
        picture[at[0] : at[0] + 2, at[1] : at[1] + 2] = 1.0
    picture += random.standard_normal(size, np.float32) * np.float32(0.01)
    if not left:
        picture = picture[:, ::-1]
    return np.clip(picture * 3500, 0, 4095).astype(np.uint16)


def beating_heart(random: Random, frames: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return an echocardiogram's frames: a fan of speckle, in which a chamber beats once."""
    rows, columns = size
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    y, x = (y + 1) / rows, x / columns * 2 - 1
    radius, angle = np.hypot(x * 0.7, y), np.arctan2(x * 0.7, y)
    fan = (np.abs(angle) < 0.7) & (radius < 0.98) & (radius > 0.04)
    made = np.zeros((frames, rows, columns), np.uint8)
    for frame in range(frames):
        beat = 0.5 + 0.5 * np.cos(frame / frames * 2 * np.pi)
        wide, long = 0.13 + 0.07 * beat, 0.2 + 0.05 * beat
        chamber = ((x + 0.03) * 0.7 / wide) ** 2 + ((y - 0.5) / long) ** 2
        speckle = random.rayleigh(0.35, size).astype(np.float32)
        tissue = np.where(chamber < 1, 0.06, np.where(chamber < 1.7, 0.85, 0.42))
        valve = np.abs(y - 0.7 - 0.04 * beat + 0.3 * np.abs(x) * beat) < 0.012
        tissue = np.where(valve & (np.abs(x) < 0.2), 1.0, tissue)
        made[frame] = np.where(fan, np.clip(tissue * (0.35 + speckle) * 230, 0, 255), 0)
    return made

"""What `/rendered` and `/thumbnail` look like: one instance of each kind, on contact sheets.

Asked over HTTP from a whole archive, written to `.bench/gallery/instances` as PNG sheets and one HTML page.
A picture cannot be tested for looking right: look at the sheets.
"""

import argparse
import html
import io
import os
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pydicom
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset

import presentation_samples as samples
from bench.servers import Server, pacs

REAL = Path("../shared/data/real")
OWN = Path(pydicom.__file__).parent / "data"
CELL, CAPTION, COLUMNS, ROWS = 300, 62, 6, 4
BOUNDARY = "gallery"


@dataclass(frozen=True, slots=True)
class Picture:
    """One cell: what was asked for, and what came."""

    caption: str
    path: str
    status: int
    media_type: str
    body: bytes
    thumbnail: bytes


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--work", type=Path, default=Path(".bench"))
    asked.add_argument("--all", action="store_true", help="every instance, not one of each kind")
    options = asked.parse_args()
    out = options.work / "gallery" / "instances"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    warnings.simplefilter("ignore")
    with pacs(options.work) as server:
        pictures = list(_pictures(server, every=options.all))
    sheets = [
        _sheet(some, out / f"sheet-{number:02}.png")
        for number, some in enumerate(_in_sheets(pictures), 1)
    ]
    page = _page(pictures, out)
    odd = [one for one in pictures if one.status not in {200, 406}]
    for one in pictures:
        if one.status != 200:
            print(f"{one.status} {one.caption.replace(chr(10), ' ')}")
    print(f"{len(pictures)} pictures, {len(sheets)} sheets: {page}")
    if odd:
        raise SystemExit(f"{len(odd)} answers were neither 200 nor 406")


def _pictures(server: Server, *, every: bool) -> Iterator[Picture]:
    with httpx.Client(base_url=server.web, timeout=120) as client:
        seen: set[tuple[str, ...]] = set()
        stored: set[str] = set()
        ct: Dataset | None = None
        for path in _files():
            header = pydicom.dcmread(path, stop_before_pixels=True)
            if "SOPInstanceUID" not in header:
                continue
            kind = _kind(header, path)
            if header.SOPInstanceUID in stored or (kind in seen and not every):
                continue
            if not _store(client, path.read_bytes()):
                continue
            seen.add(kind)
            stored.add(header.SOPInstanceUID)
            yield _picture(client, header, f"{kind[0]} {kind[2]}\n{kind[1]}\n{path.name[-44:]}")
            if ct is None and header.get("Modality") == "CT" and header.get("Rows") == 512:
                ct = header
        if ct is not None:
            yield from _variants(client, ct)
            yield from _states(client, ct)


def _files() -> Iterator[Path]:
    for folder in (REAL, OWN):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "malformed" not in path.parts:
                with path.open("rb") as file:
                    if file.read(132)[128:] == b"DICM":
                        yield path


def _kind(header: Dataset, path: Path) -> tuple[str, ...]:
    # Character set samples are one picture over and over.
    syntax = header.file_meta.get("TransferSyntaxUID", "")
    return (
        pydicom.uid.UID(header.get("SOPClassUID", "")).name.removesuffix(" Storage"),
        getattr(syntax, "name", ""),
        str(header.get("PhotometricInterpretation", "")),
        str(header.get("BitsStored", "")),
        str("ModalityLUTSequence" in header or "VOILUTSequence" in header),
        str("PixelAspectRatio" in header),
        str("overlay" in path.name),
    )


def _store(client: httpx.Client, content: bytes) -> bool:
    head = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    answer = client.post(
        "/studies",
        content=head + content + f"\r\n--{BOUNDARY}--\r\n".encode(),
        headers={
            "content-type": f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
        },
    )
    return answer.status_code == 200


def _path(header: Dataset) -> str:
    return (
        f"/studies/{header.StudyInstanceUID}/series/{header.SeriesInstanceUID}"
        f"/instances/{header.SOPInstanceUID}"
    )


def _picture(client: httpx.Client, header: Dataset, caption: str, query: str = "") -> Picture:
    path = _path(header)
    rendered = client.get(f"{path}/rendered{query}")
    thumbnail = client.get(f"{path}/thumbnail")
    return Picture(
        caption,
        f"{path}/rendered{query}",
        rendered.status_code,
        rendered.headers.get("content-type", ""),
        rendered.content,
        thumbnail.content if thumbnail.status_code == 200 else b"",
    )


def _variants(client: httpx.Client, ct: Dataset) -> Iterator[Picture]:
    for query in (
        "?window=40,400,linear",
        "?window=-600,1500,linear-exact",
        "?window=40,400,sigmoid",
        "?viewport=300,150",
        "?viewport=300,300,100,100,200,200",
        "?viewport=300,300,,,-512,512",
        "?viewport=300,300,,,512,-512",
        "?quality=5",
        "?annotation=patient,technique",
    ):
        yield _picture(client, ct, f"CT {query}", query)


def _states(client: httpx.Client, ct: Dataset) -> Iterator[Picture]:
    lines = samples.annotation(
        [
            samples.graphic("POLYLINE", [100, 100, 200, 120, 180, 220, 100, 100]),
            samples.graphic("CIRCLE", [300, 200, 340, 200]),
            samples.graphic("ELLIPSE", [250, 350, 350, 350, 300, 330, 300, 370], filled=True),
            samples.graphic("INTERPOLATED", [60, 400, 120, 360, 180, 440, 240, 400]),
            samples.graphic("POINT", [256, 256]),
        ],
        [
            samples.label("Läsion Ω 病変", (150, 140)),
            samples.boxed_label("BOXED", (0.6, 0.8), (0.95, 0.95)),
        ],
    )
    forms: dict[str, dict[str, object]] = {
        "as it is": {"window": (40, 400)},
        "inverse": {"window": (40, 400), "PresentationLUTShape": "INVERSE"},
        "turned 90": {"window": (40, 400), "ImageRotation": 90, "ImageHorizontalFlip": "N"},
        "turned 90, flipped": {
            "window": (40, 400),
            "ImageRotation": 90,
            "ImageHorizontalFlip": "Y",
        },
        "area": {
            "window": (40, 400),
            "DisplayedAreaSelectionSequence": [samples.area((101, 101), (400, 300))],
        },
        "area beyond": {
            "window": (40, 400),
            "DisplayedAreaSelectionSequence": [samples.area((-99, -99), (612, 612))],
        },
        "circular shutter": {
            "window": (40, 400),
            "ShutterShape": "CIRCULAR",
            "CenterOfCircularShutter": [256, 256],
            "RadiusOfCircularShutter": 180,
            "ShutterPresentationValue": 0x8000,
        },
        "graphics": {
            "window": (40, 400),
            "GraphicLayerSequence": [samples.layer(shade=0xFFFF)],
            "GraphicAnnotationSequence": [lines],
        },
        "coloured graphics, turned": {
            "window": (40, 400),
            "ImageRotation": 90,
            "ImageHorizontalFlip": "N",
            "GraphicLayerSequence": [samples.layer(lab=(0xC000, 0xC000, 0xD000))],
            "GraphicAnnotationSequence": [lines],
        },
    }
    for number, (name, form) in enumerate(forms.items(), 1):
        made = samples.make_state(ct, f"2.25.7{os.getpid()}{number}", **form)
        assert _store(client, made), name
        state = pydicom.dcmread(io.BytesIO(made))
        yield _picture(client, state, f"Presentation state\n{name}")


def _sheet(pictures: tuple[Picture, ...], path: Path) -> Path:
    sheet = Image.new("RGB", (COLUMNS * CELL, ROWS * (CELL + CAPTION)), (40, 44, 60))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for place, picture in enumerate(pictures):
        left, top = place % COLUMNS * CELL, place // COLUMNS * (CELL + CAPTION)
        if picture.status == 200 and picture.media_type.startswith("image/"):
            shown = Image.open(io.BytesIO(picture.body)).convert("RGB")
            size = shown.size
            shown.thumbnail((CELL - 8, CELL - 8))
            sheet.paste(shown, (left + 4, top + 4))
            said = f"{size[0]}x{size[1]} {len(picture.body) / 1024:.0f} KiB"
        else:
            said = f"{picture.status} {picture.media_type}"
            draw.text((left + 8, top + 60), picture.body[:400].decode("latin-1"), "white", font)
        if picture.thumbnail:
            small = Image.open(io.BytesIO(picture.thumbnail)).convert("RGB")
            small.thumbnail((72, 72))
            sheet.paste(small, (left + CELL - 76, top + CELL - 76))
        lines = [line[:46] for line in (*picture.caption.split("\n"), said)]
        draw.text((left + 4, top + CELL), "\n".join(lines), "white", font)
    sheet.save(path)
    return path


def _in_sheets(pictures: list[Picture]) -> Iterator[tuple[Picture, ...]]:
    for first in range(0, len(pictures), COLUMNS * ROWS):
        yield tuple(pictures[first : first + COLUMNS * ROWS])


def _page(pictures: list[Picture], out: Path) -> Path:
    parts = [
        "<!doctype html><meta charset=utf-8><title>Gallery</title><style>body{background:#222;"
    ]
    parts.append(
        "color:#ddd;font:12px sans-serif}figure{display:inline-block;width:280px;margin:6px;"
    )
    parts.append("vertical-align:top}img{max-width:100%}</style>")
    for number, picture in enumerate(pictures):
        kind = picture.media_type.partition(";")[0].partition("/")[2] or "txt"
        name = f"{number:03}.{kind.replace('+', '-')}"
        (out / name).write_bytes(picture.body)
        shown = f'<img src="{name}" alt="">' if picture.media_type.startswith("image/") else ""
        caption = html.escape(f"{picture.status} {picture.caption}").replace("\n", "<br>")
        parts.append(
            f'<figure>{shown}<figcaption><a href="{name}">{caption}</a></figcaption></figure>'
        )
    page = out / "index.html"
    page.write_text("\n".join(parts), encoding="utf-8")
    return page


if __name__ == "__main__":
    main()

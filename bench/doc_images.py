"""The pictures of the documentation, from what `make gallery` took: `docs/img/*.webp`."""

import argparse
from pathlib import Path

from PIL import Image

PREFIX = "docs-"
QUALITY = 72
WIDEST = 1280


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("shots", type=Path, help="folder of screenshots")
    asked.add_argument("--to", type=Path, default=Path("docs/img"))
    options = asked.parse_args()
    for shot in sorted(options.shots.glob(f"{PREFIX}*.png")):
        picture = Image.open(shot).convert("RGB")
        if picture.width > WIDEST or "phone" in shot.name:
            width = 390 if "phone" in shot.name else WIDEST
            picture = picture.resize((width, round(picture.height * width / picture.width)))
        target = options.to / f"{shot.stem.removeprefix(PREFIX)}.webp"
        picture.save(target, quality=QUALITY, method=6)
        print(f"{target}: {target.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()

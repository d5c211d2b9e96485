"""A build of OHIF in small: the same places that name the root of its host, in few bytes."""

import tarfile
from pathlib import Path
from typing import Final

APP: Final = "app.bundle.0a1b.js"
_ARRAY: Final = """function compileConstructor(dtype, dimension) {
  return new Function(code)()
}
"""
FILES: Final = {
    "index.html": (
        '<!doctype html><script>window.PUBLIC_URL="/"</script>'
        '<script rel="preload" as="script" src="/app-config.js"></script>'
        f'<script defer src="/{APP}"></script><link href="/app.bundle.css" rel="stylesheet">'
    ),
    APP: (
        "/* padding of a long file */\n" * 100
        + '__webpack_require__.p = "/";\n'
        + "await window.browserImportFunction('/dicom-microscopy-viewer/viewer.min.js');\n"
        + _ARRAY
    ),
    "136.bundle.aa.js": '__webpack_require__.p = "/";\n',
    "dicom-microscopy-viewer/viewer.min.js": "var a = 1;\n",
    "app.bundle.css": "@font-face{src:url(/font.woff2)} a{background:url(//other/x.png)}\n",
    "font.woff2": "a font",
    "decoder.wasm": "\0asm" + "wasm" * 1000,
    "assets/images/CT-AAA.png": "a picture",
    "assets/apple-touch-icon.png": "an icon",
    "app-config.js": "window.config = {wadoRoot: 'https://elsewhere.example'};\n",
    "sw.js": "importScripts('https://elsewhere.example/workbox.js');\n",
    "init-service-worker.js": "importScripts('https://elsewhere.example/workbox.js');\n",
    "google.js": "fetch('https://elsewhere.example')\n",
    "app.bundle.js.map": "{}",
    "ort/ort-wasm.wasm": "a network",
    "customizations/tools/ctPresets.jsonc": "{}",
}


def package(folder: Path, version: str = "3.13.2", **changed: str) -> Path:
    """Write a package into `folder`; return it. `changed` has other contents, by file."""
    dist = folder / "dist"
    for path, content in {**FILES, **changed}.items():
        (dist / path).parent.mkdir(parents=True, exist_ok=True)
        (dist / path).write_text(content)
    (folder / "package.json").write_text(f'{{"name": "@ohif/app", "version": "{version}"}}')
    (folder / "LICENSE").write_text("MIT")
    return folder


def archive(folder: Path, version: str = "3.13.2") -> Path:
    """Write the archive that npm would, into `folder`; return it."""
    packed = package(folder / "package", version)
    path = folder / f"ohif-app-{version}.tgz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(packed, "package")
    return path

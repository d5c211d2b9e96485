"""OHIF's build moved to /viewer/: what is rewritten, and what is left out."""

import pytest

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.web.viewer.relocation import entry_points, is_movable, is_served, relocated
from viewer_samples import APP, FILES

ROOT = "/viewer/3.13.2-0a1b2c3d/"


def moved(path: str) -> str:
    return relocated(path, FILES[path].encode(), ROOT).decode()


def test_scripts_of_pages_and_of_workers_find_the_others_below_the_root() -> None:
    assert f'__webpack_require__.p = "{ROOT}";' in moved(APP)
    assert f'__webpack_require__.p = "{ROOT}";' in moved("136.bundle.aa.js")
    assert f"'{ROOT}dicom-microscopy-viewer/viewer.min.js'" in moved(APP)


def test_fonts_are_below_the_root_and_urls_of_other_hosts_stay() -> None:
    assert f"url({ROOT}font.woff2)" in moved("app.bundle.css")
    assert "url(//other/x.png)" in moved("app.bundle.css")


def test_classes_are_made_without_text_where_the_page_has_such() -> None:
    head, _, rest = moved(APP).partition("function compileConstructor(dtype, dimension) {\n")
    assert head
    assert rest.startswith("if (globalThis.ndarrayConstructor) return globalThis.ndarrayConst")


@pytest.mark.parametrize("path", ["font.woff2", "decoder.wasm", "assets/images/CT-AAA.png"])
def test_what_is_no_text_stays_as_it_is(path: str) -> None:
    assert moved(path) == FILES[path]


@pytest.mark.parametrize(
    "path",
    [
        *("index.html", "app-config.js", "sw.js", "init-service-worker.js", "google.js"),
        *("app.bundle.js.map", "ort/ort-wasm.wasm", "customizations/tools/ctPresets.jsonc"),
        *("assets/apple-touch-icon.png", "_headers", "README"),
    ],
)
def test_what_reaches_beyond_this_origin_or_is_ours_is_left_out(path: str) -> None:
    assert not is_served(path)


@pytest.mark.parametrize(
    "path",
    [
        *(APP, "136.bundle.aa.js", "app.bundle.css", "decoder.wasm", "font.woff2"),
        *("assets/images/CT-AAA.png", "dicom-microscopy-viewer/viewer.min.js"),
    ],
)
def test_what_the_viewer_loads_is_served(path: str) -> None:
    assert is_served(path)


def test_its_own_page_says_what_is_loaded() -> None:
    found = entry_points(FILES["index.html"])
    assert (found.scripts, found.styles) == ((APP,), ("app.bundle.css",))


@pytest.mark.parametrize(
    "page",
    [
        "",
        '<script defer src="/a.js"></script>',
        '<link rel="stylesheet" href="/a.css">',
        '<script src="/a.js"></script><link rel="stylesheet" href="/a.css">',
        '<script defer src="//b/a.js"></script><link rel="stylesheet" href="/a.css">',
        "<script defer></script><link rel=stylesheet>",
    ],
)
def test_another_page_is_refused(page: str) -> None:
    with pytest.raises(InvalidRequest):
        entry_points(page)


def test_a_script_that_names_its_root_otherwise_is_not_moved() -> None:
    assert is_movable(APP, FILES[APP].encode())
    assert not is_movable(APP, b'o.p="/"')

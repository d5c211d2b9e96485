"""Where a page may send somebody on to."""

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pacs_cloud.web.local_paths import HOME, local_path

HERE = "https://pacs.example"


@pytest.mark.parametrize(
    "path", ["/", "/studies", "/studies?a=//b&c=%5c", "/a//b", "/account#keys"]
)
def test_a_path_of_ours_is_kept(path: str) -> None:
    assert local_path(path) == path


@pytest.mark.parametrize(
    "path", ["", "a", "//a", "/\\a", "\\/a", "/\t/a", "/ /a", "/ü", "/a\n", "http:/a", "/sign-out"]
)
def test_anything_else_leads_home(path: str) -> None:
    assert local_path(path) == HOME


def test_it_may_lead_to_another_start() -> None:
    assert local_path("//a", "/") == "/"
    assert local_path("/account", "/") == "/account"


def as_a_browser_goes(path: str) -> str:
    """Return where a browser takes a Location: it drops controls, and turns backslashes."""
    path = "".join(one for one in path.strip() if one not in "\t\r\n").replace("\\", "/")
    return urlsplit(urljoin(HERE, path)).netloc


@given(st.text(alphabet="/\\\t\r\n :@.?#a%5cé", max_size=12))
@example("/\\evil.example")
@example("/\t/evil.example")
def test_none_leads_to_another_origin(path: str) -> None:
    assert as_a_browser_goes(local_path(path)) == "pacs.example"

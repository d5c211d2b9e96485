"""Every page: its weight, its colours, and what it must not hold."""

import re
from http import HTTPStatus
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jinja2 import UndefinedError

from pacs_cloud.security.caller import Grant, Role
from pacs_cloud.web.assets import Assets
from pacs_cloud.web.break_glass import OpenText
from pacs_cloud.web.codes import _qr
from pacs_cloud.web.own_keys import KeyText, role_choices
from pacs_cloud.web.refusals import Failure, Words
from pacs_cloud.web.roles_text import grant_text
from pacs_cloud.web.templating import Templates

WEB = Path(__file__).parents[3] / "pacs_cloud/web"
URI = "otpauth://totp/pacs-cloud:anna?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=pacs-cloud"
ME = {"who": "Anna", "csrf": "c" * 43}
WRONG = Failure("Wrong", "Try again.")
PAGES: dict[str, dict[str, Any]] = {
    "sign_in.html": {
        "next": "/", "name": "", "failure": WRONG, "notice": "Out", "is_out": True, "host": "a",
        "provider": "St. Elsewhere", "is_unprotected": True,
    },
    "sign_in_code.html": {"next": "/", "name": "anna", "step": "x" * 300, "failure": WRONG},
    "sign_out.html": ME,
    "welcome.html": {"failure": WRONG},
    "welcome_password.html": {
        "name": "anna", "display_name": "Anna", "has_codes": True, "secret": "s", "failure": WRONG,
    },
    "account.html": {
        **ME, "subject": "user:anna", "tenant": "default", "notice": "Done",
        "local": SimpleNamespace(name="anna", has_codes=True, recovery_codes=3),
        "may_break_glass": True, "may_share": True,
        "grants": [grant_text(Grant(role)) for role in Role],
        "keys": [KeyText(str(n), f"Key {n}", "Device · good until …", n > 18) for n in range(20)],
        "roles": role_choices(), "failures": {"password": WRONG, "codes": WRONG},
    },
    "break_glass.html": {
        **ME, "notice": "Done", "failure": WRONG, "minutes": 240, "shortest": 3, "longest": 200,
        "found": [OpenText(f"{n}", (f"1.2.{n}", "1.3"), "why", "then") for n in range(5)],
        "given": dict.fromkeys(("patient", "issuer", "accession", "study", "reason"), "x"),
    },
    "codes.html": {**ME, "uri": URI, "secret": "JBSW", "picture": _qr(URI), "failure": WRONG},
    "recovery.html": {**ME, "recovery": ["abcd-efgh-ijkl-mnop"] * 10},
    "key.html": {**ME, "label": "Export", "role": "Device", "secret": "pacs_" + "x" * 60, "until": "then"},
    "refusal.html": {
        "words": Words(HTTPStatus.FORBIDDEN, "No", "", "/", "Home"), "detail": "Because.",
    },
}  # fmt: skip


def page(name: str) -> str:
    return bytes(Templates(Assets()).page(name, HTTPStatus.OK, **PAGES[name]).body).decode()


def test_every_template_is_tried() -> None:
    names = {path.name for path in (WEB / "templates").iterdir() if path.is_file()}
    # Those of share links, and of each area in its folder, are tried by their own tests.
    assert {name for name in names if not name.startswith("share")} == {
        *PAGES, "base.html", "parts.html",
    }  # fmt: skip


def test_what_is_missing_does_not_pass_for_empty() -> None:
    with pytest.raises(UndefinedError):
        Templates(Assets()).page("refusal.html", HTTPStatus.OK)


@pytest.mark.parametrize("name", PAGES)
class TestPage:
    def test_it_weighs_little(self, name: str) -> None:
        html = page(name)
        parts = set(re.findall(r'"/static/[0-9a-f]{16}/([^"]+)"', html))
        assert "pacs.css" in parts
        weight = len(html.encode()) + sum((WEB / "static" / part).stat().st_size for part in parts)
        assert weight <= 50_000

    def test_nothing_is_inline_or_foreign(self, name: str) -> None:
        html = page(name)
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", html)
        assert not re.search(r"<script(?! src=\"/static/)", html)
        for url in re.findall(r'(?:href|src|action)="([^"]*)"', html):
            assert re.match(r"/(?!/)|#|otpauth:", url), url

    def test_its_colours_are_chosen_before_anything_is_painted(self, name: str) -> None:
        head, _, styled = page(name).partition('<link rel="stylesheet"')
        assert re.search(r'<script src="/static/[0-9a-f]{16}/theme.js"></script>', head)
        assert "theme.js" not in styled

    def test_every_form_that_a_session_sends_is_bound_to_it(self, name: str) -> None:
        for form in re.findall(r"<form.*?</form>", page(name), re.DOTALL):
            action = re.findall(r'action="([^"#]*)', form)
            assert 'method="post"' in form
            if action not in (["/sign-in"], ["/welcome"]):
                assert f'name="csrf" value="{ME["csrf"]}"' in form

    def test_it_can_be_read_aloud(self, name: str) -> None:
        html = page(name)
        ids = re.findall(r'\sid="([^"]+)"', html)
        assert len(ids) == len(set(ids))
        assert '<html lang="en">' in html
        assert len(re.findall("<h1", html)) == 1
        assert '<main id="main"' in html
        for label in re.findall(r'<label for="([^"]+)"', html):
            assert label in ids
        for field in re.findall(r"<(?:input|select)[^>]*>", html):
            if not re.search(r'type="(?:hidden|radio)"|\shidden>', field):
                found = re.search(r'id="([^"]+)"', field)
                assert found is not None, field
                assert f'for="{found[1]}"' in html
        for described in re.findall(r'aria-(?:describedby|labelledby)="([^"]+)"', html):
            assert described in ids
        for link in re.findall(r'href="#([^"]+)"', html):
            assert link in ids


def luminance(colour: str) -> float:
    """WCAG 2.1, relative luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """WCAG 2.1, contrast ratio."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def tokens(theme: str) -> dict[str, str]:
    css = (WEB / "static/pacs.css").read_text()
    rules = {"dark": ":root {", "light": ':root[data-theme="light"] {'}
    found: dict[str, str] = {}
    for name, rule in rules.items():
        block = css.partition(rule)[2].partition("}")[0]
        found |= re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)
        if name == theme:
            return found
    raise AssertionError(theme)


def test_the_light_theme_leaves_no_colour_as_it_was() -> None:
    dark, light = tokens("dark"), tokens("light")
    assert {name for name in dark if dark[name] == light[name]} == {"film"}


def test_style_sheets_have_no_colours_but_tokens() -> None:
    """So that each is there in both themes, and on paper; shadows are black in all of them.

    OHIF's page is always dark, and has no tokens: what stands in it is of their colours.
    """
    static = WEB / "static"
    sheets = {str(path.relative_to(static)): path.read_text() for path in static.rglob("*.css")}
    colour = re.compile(r"#[0-9a-f]{3,8}\b|rgba?\((?!0 0 0 /)[^)]*\)", re.IGNORECASE)
    within_ohif = set(colour.findall(sheets.pop("viewer/ohif.css")))
    assert within_ohif
    assert within_ohif <= set(tokens("dark").values())
    sheets["pacs.css"] = re.sub(r"--[\w-]+: #[0-9a-f]{6};", "", sheets["pacs.css"])
    assert {name: found for name, css in sheets.items() if (found := colour.findall(css))} == {}


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        *product(("text", "quiet", "accent", "accent-hover"), ("ground", "surface", "raised")),
        ("on-accent", "accent"), ("on-accent", "accent-hover"),
        *product(("bad", "text"), ("bad-ground",)), ("bad", "surface"),
        *product(("good", "text"), ("good-ground",)),
        *product(("warn", "text"), ("warn-ground",)),
    ],
)  # fmt: skip
def test_text_can_be_read(text: str, ground: str, theme: str) -> None:
    """WCAG 2.1, 1.4.3."""
    assert contrast(tokens(theme)[text], tokens(theme)[ground]) >= 4.5


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize(
    ("line", "ground"), [*product(("edge", "accent", "bad"), ("ground", "surface"))]
)
def test_what_can_be_used_can_be_seen(line: str, ground: str, theme: str) -> None:
    """WCAG 2.1, 1.4.11."""
    assert contrast(tokens(theme)[line], tokens(theme)[ground]) >= 3

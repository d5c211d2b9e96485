"""The dashboard and the alerts ask for numbers that there are."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pacs_cloud import errors, metrics
from pacs_cloud.dimse.state import EndKind
from pacs_cloud.errors import Refusal

ROOT = Path(__file__).parents[3]
DASHBOARD = ROOT / "infra" / "grafana" / "pacs-cloud.json"
ALERTS = ROOT / "infra" / "prometheus" / "alerts.yml"
MONITORING = ROOT / "docs" / "monitoring.md"
OPERATIONS = ROOT / "docs" / "operations.md"
NAME = re.compile(r"\bpacs_[a-z_]+")
SELECTOR = re.compile(r"(pacs_[a-z_]+)\{([^}]*)\}")
MATCHER = re.compile(r'([a-z_]+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
BY = re.compile(r"\bby \(([^)]*)\)")
ADDED = {"instance", "job"}
"""By Prometheus."""
SAID = {
    "how": {one.name.lower() for one in EndKind},
    "reason": {"unavailable", *(one.value for one in Refusal)},
    "result": {"hit", "miss", "ok", *vars(errors)},
    "route": {"/dicom-web/studies/{study}/series/{series}/instances/{instance}/frames/{frames}"},
    "state": {"ready", "leased", "dead"},
    "status": {"none", *(f"{first}xx" for first in range(1, 6))},
}
"""What labels say that queries look for."""


def dashboard_queries() -> Iterator[tuple[str, str]]:
    board = json.loads(DASHBOARD.read_text("utf-8"))
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]["query"]


def alerts() -> list[dict[str, Any]]:
    return [
        rule
        for group in yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
        for rule in group["rules"]
    ]


EXPRESSIONS = [*dashboard_queries(), *((rule["alert"], rule["expr"]) for rule in alerts())]
CASES = [pytest.param(expression, id=title) for title, expression in EXPRESSIONS]


def kept_by(expression: str) -> set[str]:
    """Return the labels that what an expression finds may have."""
    groups = BY.findall(expression)
    if groups:
        return {one.strip() for inside in groups for one in inside.split(",")} - {"le"}
    return ADDED | {one for name in NAME.findall(expression) for one in metrics.labels_of(name)}


@pytest.mark.parametrize("expression", CASES)
def test_every_name_and_label_in_a_query_exists(expression: str) -> None:
    names = set(NAME.findall(expression)) - {"pacs_cloud"}
    assert names <= metrics.names(), names - metrics.names()
    for name, inside in SELECTOR.findall(expression):
        asked = {label for label, _, _ in MATCHER.findall(inside)}
        assert asked <= metrics.labels_of(name) | ADDED, name
    if names:
        shared = set.intersection(*(set(metrics.labels_of(name)) for name in names))
        assert kept_by(expression) - ADDED <= shared


@pytest.mark.parametrize("expression", CASES)
def test_every_value_that_a_query_looks_for_is_said(expression: str) -> None:
    for label, how, value in MATCHER.findall(expression):
        if label not in ADDED:
            wanted = value.split("|") if "~" in how else [re.escape(value)]
            for one in wanted:
                assert any(re.fullmatch(one, said) for said in SAID[label]), (label, one)


@pytest.mark.parametrize("expression", CASES)
def test_brackets_match(expression: str) -> None:
    for opening, closing in ("()", "[]", "{}"):
        assert expression.count(opening) == expression.count(closing)


@pytest.mark.parametrize("expression", CASES)
def test_nothing_is_added_that_may_not_be_there(expression: str) -> None:
    # A counter with labels is there once it has counted; a sum with one that is not is nothing.
    assert not re.search(r"\)\s*\+\s*\w", expression)


def test_every_number_is_on_the_dashboard() -> None:
    shown = set(NAME.findall(" ".join(expression for _, expression in dashboard_queries())))
    parts = {name for name in metrics.names() if name.endswith(("_sum", "_count"))}
    assert metrics.names() - parts - shown == set()


def test_panels_stand_apart_and_load_nothing() -> None:
    board = json.loads(DASHBOARD.read_text("utf-8"))
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert "://" not in DASHBOARD.read_text("utf-8")


def test_each_alert_says_how_bad_it_is_and_what_is_wrong() -> None:
    rules = alerts()
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert len(rule["annotations"]["summary"]) > 20


def test_what_is_said_of_a_number_is_among_its_labels() -> None:
    board = json.loads(DASHBOARD.read_text("utf-8"))
    legends = [
        (target["expr"], re.findall(r"{{(\w+)}}", target.get("legendFormat", "")))
        for panel in board["panels"]
        for target in panel.get("targets", [])
    ]
    said = [
        (rule["expr"], re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        for rule in alerts()
    ]
    for expression, labels in (*legends, *said):
        assert {*labels} <= kept_by(expression), expression
    assert any(labels for _, labels in legends)
    assert any(labels for _, labels in said)


def test_an_alert_goes_off_where_a_store_is_away_full_or_refuses() -> None:
    (rule,) = (rule for rule in alerts() if rule["alert"] == "PacsStoreFails")
    for label, _, value in MATCHER.findall(rule["expr"]):
        assert label == "result"
        for error in (errors.Unavailable, errors.StorageFull, errors.Denied):
            assert re.fullmatch(value, error.__name__), error


def test_the_documents_name_numbers_and_alerts_that_there_are_and_all_of_them() -> None:
    text = MONITORING.read_text("utf-8")
    named = set(re.findall(r"`(pacs_[a-z_]+)`", text)) - {"pacs_cloud"}
    for name in (*named, *re.findall(r"`(pacs_[a-z_]+)…`", OPERATIONS.read_text("utf-8"))):
        assert any(one.startswith(name) for one in metrics.names()), name
    assert [one for one in metrics.names() if not one.startswith(tuple(named))] == []
    assert set(re.findall(r"`(Pacs[A-Za-z]+)`", text)) == {rule["alert"] for rule in alerts()}

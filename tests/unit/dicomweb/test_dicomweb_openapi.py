"""The OpenAPI document and the capabilities say what the routes and their handlers do."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Mount, Route

from pacs_cloud.dicomweb import openapi_operations, problems
from pacs_cloud.dicomweb.app import HttpOptions, create_app
from pacs_cloud.dicomweb.openapi import openapi_document
from pacs_cloud.dicomweb.openapi_terms import ANY_REQUEST, STATUSES
from pacs_cloud.dicomweb.qido_query import _NOT_KEYS
from pacs_cloud.dicomweb.served import Served, served
from pacs_cloud.dicomweb.wado_uri_query import RENDERING

PROJECT = Path(__file__).parents[3]
EDGE = PROJECT / "pacs_cloud" / "dicomweb"
# Read by a name that the caller gives, or not from a query at all.
READERS = {"_one", "_number", "_flag", "_count", "one_of", "uid_in"}


class Nothing:
    """Stands for services that no route is asked for here."""

    def __getattr__(self, name: str) -> "Nothing":
        return self

    def __call__(self, *_: object, **__: object) -> "Nothing":
        return self


def routes_of(options: HttpOptions | None = None) -> list[Any]:
    app: Any = create_app(Nothing(), options)
    return app._app.routes


@pytest.fixture(scope="module")
def operations() -> list[Served]:
    return served(routes_of())


@pytest.fixture(scope="module")
def document(operations: list[Served]) -> dict[str, Any]:
    return json.loads(json.dumps(openapi_document(operations)))


def test_it_is_valid_openapi(document: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(document).validate()


def test_the_copy_in_the_documents_is_this_one(document: dict[str, Any]) -> None:
    """CONTRIBUTING.md says how it is written anew."""
    assert json.loads((PROJECT / "docs" / "openapi.json").read_text()) == document


def test_every_route_is_described_and_nothing_else(operations: list[Served]) -> None:
    described = {*openapi_operations.DICOMWEB, *openapi_operations.ROOT}
    found = {(one.method, one.path.removeprefix(one.prefix)) for one in operations}
    assert found == described


def test_every_route_of_the_application_is_walked(operations: list[Served]) -> None:
    paths = set()
    for route in routes_of():
        inner = route.app.routes if isinstance(route, Mount) else [route]
        prefix = route.path if isinstance(route, Mount) else ""
        paths |= {
            prefix + one.path.replace(":path}", "}") for one in inner if isinstance(one, Route)
        }
    assert {one.path for one in operations} == paths


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    ids = [
        operation["operationId"]
        for path in document["paths"].values()
        for method, operation in path.items()
        if method != "parameters"
    ]
    assert len(ids) == len(set(ids))


def test_another_prefix_moves_the_paths() -> None:
    moved = served(routes_of(HttpOptions(prefix="/pacs/rs")))
    assert {one.path for one in moved} >= {"/pacs/rs/studies", "/wado", "/pacs/rs/wado"}


def query_names() -> set[str]:
    """Return every query parameter that a handler reads by a name of its own."""
    trees = [ast.parse(path.read_text()) for path in sorted(EDGE.glob("*.py"))]
    constants = {
        node.target.id: node.value.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and isinstance(node.value, ast.Constant)
    }
    names = {*_NOT_KEYS, *RENDERING}
    for tree in trees:
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called not in READERS and not called.endswith(
                ("query_params.getlist", "query_params.get")
            ):
                continue
            for argument in node.args[:2]:
                if isinstance(argument, ast.Name):
                    names.add(constants.get(argument.id, ""))
                elif isinstance(argument, ast.Constant):
                    names.add(str(argument.value))
    # A tag is a key of a header, where readers of the same name look it up.
    return {name for name in names if name and not re.fullmatch("[0-9A-F]{8}", name)}


def test_every_query_parameter_that_is_read_is_described(operations: list[Served]) -> None:
    described = {
        parameter.name
        for one in operations
        for parameter in one.operation.parameters
        if parameter.place == "query"
    }
    read = query_names()
    assert {"accept", "limit", "requestType", "dicomdir"} <= read, "the search finds nothing"
    assert read <= described, read - described


def test_every_status_that_an_error_becomes_has_its_words() -> None:
    statuses = {int(status) for _, status, _ in problems._TABLE}
    assert statuses <= {*STATUSES}
    assert set(map(int, ANY_REQUEST)) <= {*STATUSES}


def test_every_path_variable_is_described(document: dict[str, Any]) -> None:
    for path, item in document["paths"].items():
        named = {one["$ref"].rpartition(".")[2] for one in item.get("parameters", ())}
        assert named == set(re.findall(r"\{(\w+)\}", path))

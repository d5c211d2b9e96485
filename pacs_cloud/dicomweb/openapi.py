"""The OpenAPI 3.1 document of whatever the route table serves."""

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from http import HTTPStatus
from typing import Any, Final

import orjson
from blake3 import blake3
from starlette.requests import Request

import pacs_cloud
from pacs_cloud.dicomweb.openapi_operations import SERVICE
from pacs_cloud.dicomweb.openapi_parameters import PATH
from pacs_cloud.dicomweb.openapi_schemas import (
    COMPONENTS,
    DOCUMENTS,
    EXAMPLE_PROBLEM,
    EXAMPLE_STUDY,
    SECURITY_SCHEMES,
    ref,
)
from pacs_cloud.dicomweb.openapi_terms import ANY_REQUEST, GUARDED, STATUSES, Operation, Parameter
from pacs_cloud.dicomweb.problems import PROBLEM_JSON
from pacs_cloud.dicomweb.responses import Answer, Bytes
from pacs_cloud.dicomweb.served import Served
from pacs_cloud.entity_tags import is_unchanged

_VARIABLE: Final = re.compile(r"\{(\w+)\}")
_WITH_DATA_SET: Final = frozenset({HTTPStatus.ACCEPTED, HTTPStatus.CONFLICT})


class OpenApi:
    """Answers with one document, made once."""

    def __init__(self, operations: Callable[[], Sequence[Served]]) -> None:
        """Describe what `operations` returns: the route table is complete once it is asked."""
        self._operations = operations

    @cached_property
    def _body(self) -> bytes:
        return orjson.dumps(openapi_document(self._operations()))

    async def document(self, request: Request) -> Answer:
        """Answer GET of it."""
        etag = f'"{blake3(self._body).hexdigest(length=16)}"'
        headers = {"etag": etag, "cache-control": "no-cache"}
        if is_unchanged(request, etag):
            return Answer(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Bytes(self._body, "application/json", headers=headers)


def openapi_document(operations: Sequence[Served]) -> dict[str, Any]:
    """Return the document (OpenAPI 3.1.1) of `operations`; HEAD stands beside each GET."""
    paths: dict[str, dict[str, Any]] = {}
    used: dict[str, Parameter] = {}
    for one in operations:
        path = paths.setdefault(one.path, {})
        variables = [PATH[name] for name in _VARIABLE.findall(one.path)]
        if variables:
            path["parameters"] = [_parameter_ref(parameter) for parameter in variables]
        for parameter in (*variables, *one.operation.parameters):
            used[_component(parameter)] = parameter
        is_alias = any(
            other.operation is one.operation and other.path < one.path for other in operations
        )
        is_get = one.method == "GET"
        path[one.method.lower()] = _operation(one.operation, is_alias=is_alias, is_get=is_get)
        if is_get:
            path["head"] = _operation(one.operation, is_alias=is_alias, is_head=True)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "pacs_cloud",
            "version": pacs_cloud.__version__,
            "summary": "DICOMweb (PS3.18), and what surrounds it.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{name: []} for name in SECURITY_SCHEMES],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": COMPONENTS,
            "parameters": {name: _parameter(used[name]) for name in sorted(used)},
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def _operation(
    operation: Operation, *, is_alias: bool = False, is_get: bool = False, is_head: bool = False
) -> dict[str, Any]:
    suffix = ("Head" if is_head else "") + ("Alias" if is_alias else "")
    is_open = operation.tag == SERVICE
    statuses = {*operation.statuses, *ANY_REQUEST, *(() if is_open else GUARDED)}
    described: dict[str, Any] = {
        "operationId": operation.operation_id + suffix,
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": {
            str(int(status)): _response(operation, int(status), is_get=is_get, is_head=is_head)
            for status in sorted(statuses)
        },
    }
    if is_open:
        described["security"] = []
    if operation.source:
        described["description"] = operation.source
    if operation.parameters:
        described["parameters"] = [_parameter_ref(one) for one in operation.parameters]
    if operation.consumes:
        described["requestBody"] = {
            "required": True,
            "content": {name: {"schema": schema} for name, schema in operation.consumes.items()},
        }
    return described


def _response(operation: Operation, status: int, *, is_get: bool, is_head: bool) -> dict[str, Any]:
    described: dict[str, Any] = {"description": STATUSES[status]}
    if is_head or status in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}:
        return described
    has_data = status < HTTPStatus.MULTIPLE_CHOICES
    content: dict[str, Any] = {}
    if has_data or (operation.consumes and status in _WITH_DATA_SET):
        content = {name: {"schema": schema} for name, schema in operation.produces.items()}
        for name in DOCUMENTS:
            if operation.operation_id == "SearchForStudies" and "json" in name:
                content[name]["examples"] = {"one study": {"value": EXAMPLE_STUDY}}
    if not has_data:
        problem: dict[str, Any] = {"schema": ref("Problem")}
        if status == HTTPStatus.NOT_FOUND:
            problem["examples"] = {"no such study": {"value": EXAMPLE_PROBLEM}}
        content[PROBLEM_JSON] = problem
        if is_get:  # a browser that opens the address gets the problem as a page
            content.setdefault("text/html", {"schema": {"type": "string"}})
    described["content"] = content
    return described


def _component(parameter: Parameter) -> str:
    return f"{parameter.place}.{parameter.name}"


def _parameter_ref(parameter: Parameter) -> dict[str, str]:
    return {"$ref": f"#/components/parameters/{_component(parameter)}"}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema = parameter.schema
    described: dict[str, Any] = {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.description,
        "required": parameter.is_required or parameter.place == "path",
        "schema": {"type": "array", "items": schema} if parameter.is_list else schema,
    }
    if parameter.is_list:
        described |= {"style": "form", "explode": True}
    if parameter.example is not None:
        described["example"] = [parameter.example] if parameter.is_list else parameter.example
    return described

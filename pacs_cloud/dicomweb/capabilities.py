"""Retrieve Capabilities: the DICOMweb resources as WADL or JSON (PS3.18 8.9, Annex H)."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement, tostring

import orjson
from starlette.requests import Request

from pacs_cloud.dicomweb import media
from pacs_cloud.dicomweb.openapi_operations import WADL
from pacs_cloud.dicomweb.openapi_parameters import PATH
from pacs_cloud.dicomweb.openapi_terms import ANY_REQUEST, Operation, Parameter
from pacs_cloud.dicomweb.problems import PROBLEM_JSON
from pacs_cloud.dicomweb.requests import accepted, root_url
from pacs_cloud.dicomweb.responses import Answer, Bytes
from pacs_cloud.dicomweb.served import Served
from pacs_cloud.errors import NotAcceptable

_NAMESPACE: Final = "http://wadl.dev.java.net/2009/02"
_VARIABLE: Final = re.compile(r"\{(\w+)\}")
_STYLES: Final = {"path": "template", "query": "query", "header": "header"}


class Capabilities:
    """Describes what is served below one base URL."""

    def __init__(self, operations: Callable[[], Sequence[Served]], public_url: str = "") -> None:
        """Describe what `operations` returns: the route table is complete once it is asked."""
        self._operations = operations
        self._public_url = public_url

    async def describe(self, request: Request) -> Answer:
        """Answer OPTIONS and GET of the base URL.

        Raises:
            NotAcceptable: neither WADL, XML nor JSON is accepted.
        """
        root = root_url(request, self._public_url)
        headers = {"cache-control": "no-cache", "vary": "accept"}
        if request.method == "OPTIONS":
            headers["allow"] = "GET, HEAD, OPTIONS"
        for wanted in accepted(request):
            for content in (WADL, media.XML):
                if wanted.covers(content):
                    return Bytes(wadl(self._operations(), root), content, headers=headers)
            for content in (media.JSON, media.DICOM_JSON):
                if wanted.covers(content):
                    body = orjson.dumps(tree(self._operations(), root))
                    return Bytes(body, content, headers=headers)
        raise NotAcceptable(f"Capabilities are {WADL}, {media.XML} or {media.JSON}.")


def wadl(operations: Sequence[Served], root: str) -> bytes:
    """Return the WADL document: resources nested as their paths are (Annex H.2)."""
    application = Element("application", {"xmlns": _NAMESPACE})
    resources = SubElement(application, "resources", {"base": f"{root}/"})
    nodes: dict[tuple[str, ...], Element] = {(): resources}
    for one in sorted(operations, key=lambda one: one.path):
        # The base URL itself is a resource of an empty path.
        parts = tuple(filter(None, one.path.removeprefix(one.prefix).split("/"))) or ("",)
        for depth in range(1, len(parts) + 1):
            if parts[:depth] not in nodes:
                node = SubElement(nodes[parts[: depth - 1]], "resource", {"path": parts[depth - 1]})
                for name in _VARIABLE.findall(parts[depth - 1]):
                    _describe_parameter(node, PATH[name])
                nodes[parts[:depth]] = node
        _describe_method(nodes[parts], one)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(application)


def _describe_method(node: Element, one: Served) -> None:
    operation = one.operation
    method = SubElement(node, "method", {"name": one.method, "id": operation.operation_id})
    request = SubElement(method, "request")
    for parameter in operation.parameters:
        _describe_parameter(request, parameter)
    if operation.produces:
        accept = SubElement(request, "param", {"name": "Accept", "style": "header"})
        for name in operation.produces:
            SubElement(accept, "option", {"value": name})
    for name in operation.consumes:
        SubElement(request, "representation", {"mediaType": name})
    for status in _statuses(operation):
        response = SubElement(method, "response", {"status": str(status)})
        if status < 300:
            for name in operation.produces if status != 204 else ():
                SubElement(response, "representation", {"mediaType": name})
        elif status >= 400:
            SubElement(response, "representation", {"mediaType": PROBLEM_JSON})


def _describe_parameter(node: Element, parameter: Parameter) -> None:
    is_required = parameter.is_required or parameter.place == "path"
    attributes = {
        "name": parameter.name,
        "style": _STYLES[parameter.place],
        "required": "true" if is_required else "false",
    }
    if parameter.is_list:
        attributes["repeating"] = "true"
    described = SubElement(node, "param", attributes)
    for value in parameter.schema.get("enum", ()):
        SubElement(described, "option", {"value": value})


def tree(operations: Sequence[Served], root: str) -> dict[str, Any]:
    """Return the same as JSON: for each resource its methods."""
    resources: dict[str, dict[str, Any]] = {}
    for one in sorted(operations, key=lambda one: one.path):
        operation = one.operation
        methods = resources.setdefault(one.path.removeprefix(one.prefix) or "/", {})
        methods[one.method] = {
            "id": operation.operation_id,
            "summary": operation.summary,
            "reference": operation.source,
            "parameters": [
                {"name": parameter.name, "style": _STYLES[parameter.place]}
                for parameter in operation.parameters
            ],
            "consumes": list(operation.consumes),
            "produces": list(operation.produces),
            "statuses": _statuses(operation),
        }
    return {
        "base": f"{root}/",
        "resources": [{"path": path, "methods": methods} for path, methods in resources.items()],
    }


def _statuses(operation: Operation) -> list[int]:
    return sorted({int(status) for status in (*operation.statuses, *ANY_REQUEST)})

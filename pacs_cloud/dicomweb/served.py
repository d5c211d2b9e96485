"""What a route table serves: the one list behind the capabilities and the OpenAPI document."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from starlette.routing import BaseRoute, Mount, Route, Router

from pacs_cloud.dicomweb.openapi_operations import DICOMWEB, ROOT
from pacs_cloud.dicomweb.openapi_terms import Operation
from pacs_cloud.dicomweb.resource import methods_of


@dataclass(frozen=True, slots=True)
class Served:
    """One operation that is served.

    Attributes:
        method: GET, POST, …; HEAD is not listed beside GET.
        path: from the root, `{name}` for each variable part.
        prefix: the part of it that is the DICOMweb base, "" elsewhere.
        operation: its description.
    """

    method: str
    path: str
    prefix: str
    operation: Operation


def served(
    routes: Sequence[BaseRoute], prefix: str = "", *, is_dicomweb: bool = False
) -> list[Served]:
    """Return what `routes` serve, in their order.

    Args:
        routes: Starlette's, mounted ones too.
        prefix: where they are.
        is_dicomweb: whether that is the DICOMweb base.

    Raises:
        KeyError: one has no description; a test keeps that from happening.
    """
    return list(_each(routes, prefix, is_dicomweb=is_dicomweb))


def _each(routes: Sequence[BaseRoute], prefix: str, *, is_dicomweb: bool) -> Iterator[Served]:
    for route in routes:
        if isinstance(route, Mount) and isinstance(route.app, Router):
            yield from _each(route.app.routes, prefix + route.path, is_dicomweb=True)
        elif isinstance(route, Route):
            path = route.path.replace(":path}", "}")
            table = DICOMWEB if is_dicomweb else ROOT
            base = prefix if is_dicomweb else ""
            for method in methods_of(route):
                if method != "HEAD":
                    yield Served(method, prefix + path, base, table[method, path])

"""A long list a page at a time: which page an address asks for, and where the others are."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Final, Generic, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request

from pacs_cloud.errors import InvalidRequest

T = TypeVar("T")

PAGE: Final = 50
_MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a long list.

    Attributes:
        items: of this page.
        first: the number of the first of them, 1 for the list's first.
        before: the address of the page before; "" where this is the first.
        after: of the page behind it; "" where this is the last.
    """

    items: tuple[T, ...]
    first: int
    before: str
    after: str


def page_number(request: Request) -> int:
    """Return which page an address asks for, 1 for the first; raises InvalidRequest."""
    text = request.query_params.get("page", "1")
    if not (text.isascii() and text.isdecimal() and len(text) < 9 and 0 < int(text) <= _MOST):
        raise InvalidRequest("A page has a number.")
    return int(text)


async def page_of(request: Request, found: AsyncIterator[T], size: int = PAGE) -> Page[T]:
    """Return the page of a list that an address asks for; no more of the list is read."""
    number = page_number(request)
    first, items, more = (number - 1) * size, list[T](), False
    position = 0
    try:
        async for one in found:
            if position == first + size:
                more = True
                break
            if position >= first:
                items.append(one)
            position += 1
    finally:
        if isinstance(found, AsyncGenerator):  # one that reads ahead stops
            await found.aclose()
    return _page(request, items, number, size, more=more)


def page_in(request: Request, found: list[T], size: int = PAGE) -> Page[T]:
    """Return the page of a list that is all at hand."""
    number = page_number(request)
    first = (number - 1) * size
    more = len(found) > first + size
    return _page(request, found[first : first + size], number, size, more=more)


def _page(request: Request, items: list[T], number: int, size: int, *, more: bool) -> Page[T]:
    given = {name: text for name, text in request.query_params.items() if name != "page"}

    def address(page: int) -> str:
        query = urlencode({**given, "page": page} if page > 1 else given)
        return f"{request.url.path}?{query}" if query else request.url.path

    return Page(
        tuple(items),
        (number - 1) * size + 1,
        address(number - 1) if number > 1 else "",
        address(number + 1) if more else "",
    )

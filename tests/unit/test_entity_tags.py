"""What a client has already, as its request says it."""

import pytest
from starlette.requests import Request

from pacs_cloud.entity_tags import is_unchanged


@pytest.mark.parametrize(
    ("lines", "is_known"),
    [
        ([], False),
        (['"a"'], True),
        (['W/"a"'], True),
        (["*"], True),
        (['"b",W/"a" , "c"'], True),
        (['"b"', '"a"'], True),
        (['"b"', '"aa"', "a"], False),
        (['x"a"x'], False),
    ],
)
def test_a_tag_is_known_by_the_whole_of_it(lines: list[str], is_known: bool) -> None:
    headers = [(b"if-none-match", line.encode()) for line in lines]
    request = Request({"type": "http", "method": "GET", "path": "/", "headers": headers})
    assert is_unchanged(request, '"a"') == is_known

"""Metadata of a store request: the instances in it, each still as its JSON (PS3.18 F, PS3.19 A)."""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import orjson

from pacs_cloud.dicom import native_model
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.records import MAX_DEPTH
from pacs_cloud.dicomweb.problems import BodyTooLarge
from pacs_cloud.errors import InvalidRequest

MAX_METADATA_BYTES: Final = 32 << 20
"""Of all metadata of one request: it is in memory until the bulk data is there."""
MAX_INSTANCES: Final = 20_000
_MAX_VALUES: Final = 1_500_000
"""Objects, arrays and values of one instance: each takes far more memory than its text."""
_MAX_JSON_DEPTH: Final = 4 + 4 * MAX_DEPTH
_ARRAY: Final = re.compile(rb"\xef?\xbb?\xbf?[ \t\r\n]*+\[")
_BRACKET: Final = re.compile(
    # What lies before it, texts whole. Possessive: nothing is looked at twice.
    rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")*+([\[\]{}"]|\Z)',
    re.DOTALL,
)
"""The next bracket that is not in a text; a quote where a text has no end; or the end."""


def too_large() -> BodyTooLarge:
    """Return the refusal of more metadata than MAX_METADATA_BYTES."""
    return BodyTooLarge(f"The metadata of one request may have {MAX_METADATA_BYTES} bytes.")


def split(document: bytes | bytearray) -> list[bytes]:
    """Return the instances of a JSON array, or the one that stands alone, each as its text.

    Nothing is decoded yet: a hostile array costs no more memory than its text.

    Raises:
        InvalidRequest: it is neither, or nested deeper than a data set can be.
    """
    instances = list(islice(_objects(document), MAX_INSTANCES + 1))
    if not instances or len(instances) > MAX_INSTANCES:
        raise InvalidRequest(f"The metadata must be an array of 1 to {MAX_INSTANCES} instances.")
    return instances


def from_xml(document: bytes) -> bytes:
    """Return the instance in a NativeDicomModel document as JSON; raises InvalidRequest."""
    try:
        return orjson.dumps(native_model.parse(document))
    except orjson.JSONEncodeError as problem:  # an integer of more than 64 bits
        raise InvalidRequest("The metadata has a number that no attribute can hold.") from problem


def load(instance: bytes) -> Elements:
    """Return one instance's elements; raises InvalidRequest."""
    if sum(map(instance.count, (b"{", b"[", b","))) > _MAX_VALUES:
        raise InvalidRequest("An instance's metadata has too many values.")
    try:
        elements: Any = orjson.loads(instance)
    except orjson.JSONDecodeError as problem:
        raise InvalidRequest("The metadata is no JSON.") from problem
    if not isinstance(elements, dict):
        raise InvalidRequest("An instance's metadata is no JSON object.")
    return elements  # pyright: ignore[reportUnknownVariableType]


def _objects(document: bytes | bytearray) -> Iterator[bytes]:
    """Yield the objects at the top of `document`, or within the array that it is."""
    level = 1 if _ARRAY.match(document) else 0
    view = memoryview(document)
    depth, start, after = 0, 0, 0
    for found in _BRACKET.finditer(document):
        bracket = found[1]
        if not bracket:
            break
        if bracket in b"{[":
            if depth == level:
                start = found.start(1)
                _check_between(document[after:start], is_first=after == 0, is_array=level == 1)
            depth += 1
            if depth > _MAX_JSON_DEPTH:
                raise InvalidRequest("The metadata is nested deeper than any data set.")
        elif bracket in b"]}":
            depth -= 1
            if depth == level:
                after = found.end()
                yield bytes(view[start:after])
            elif depth < 0:
                break
        else:
            raise InvalidRequest("The metadata has a text without an end.")
    rest = document[after:].strip()
    if depth != 0 or rest != (b"]" if level else b""):
        raise InvalidRequest("The metadata is no JSON: it is cut short, or goes on behind its end.")


def _check_between(text: bytes | bytearray, *, is_first: bool, is_array: bool) -> None:
    expected = (b"[" if is_array else b"") if is_first else b","
    if text.lstrip(b"\xef\xbb\xbf").strip() != expected:
        raise InvalidRequest("The metadata is no array of instances.")

"""What a C-FIND, C-MOVE or C-GET asks for: its data set, read (PS3.4 C.4.1.1.3, C.4.2.1.4)."""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from pacs_cloud.dicom.charset import terms_of
from pacs_cloud.dicom.dicomjson import keyword_of, read_elements
from pacs_cloud.dicom.elements import Element, Elements
from pacs_cloud.dicom.person_name import PersonName
from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.dimse.information_models import UNIQUE_KEYS, Model
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.query.request import Level, SearchKey

CHARACTER_SET: Final = "00080005"
QUERY_RETRIEVE_LEVEL: Final = "00080052"

_MAX_BYTES: Final = 4 << 20
"""More than the longest list of UIDs that a key may have."""
_WILDCARDS: Final = frozenset("*?")


class IdentifierSink:
    """Keeps an identifier as it comes."""

    __slots__ = ("data",)

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, piece: memoryview, /) -> None:
        """Keep the bytes.

        Raises:
            InvalidRequest: it is longer than any identifier is.
        """
        if len(self.data) + len(piece) > _MAX_BYTES:
            raise InvalidRequest(f"an identifier over {_MAX_BYTES} bytes")
        self.data += piece

    def abort(self) -> None:
        """Forget it."""
        self.data.clear()


@dataclass(frozen=True, slots=True)
class Identifier:
    """A request's identifier.

    Attributes:
        level: what it asks for.
        keys: its attributes as DICOM JSON, by tag; neither the level nor the
            character set is among them.
        charset: the values of its Specific Character Set, none where it has none.
    """

    level: Level
    keys: Elements
    charset: tuple[str, ...]

    def texts(self, tag: str) -> tuple[str, ...]:
        """Return the values of a key, empty ones left out."""
        element = self.keys.get(tag)
        return () if element is None else tuple(filter(None, _text(element).split("\\")))

    def unique(self, level: Level) -> tuple[str, ...]:
        """Return the values of a level's unique key; none where it is absent or empty.

        Raises:
            InvalidRequest: one holds a wildcard, or is no UID.
        """
        values = self.texts(UNIQUE_KEYS[level])
        if level == Level.PATIENT:
            if any(_WILDCARDS.intersection(value) for value in values):
                raise InvalidRequest("PatientID holds a wildcard")
        else:
            for value in values:
                parse_uid(value)
        return values

    def search_keys(self) -> tuple[SearchKey, ...]:
        """Return every key as searches take them; those in sequences by their path."""
        return tuple(_search_keys(self.keys, ()))


def read_identifier(data: bytes | bytearray, transfer_syntax_uid: str, model: Model) -> Identifier:
    """Return an identifier, its text decoded.

    Args:
        data: the data set.
        transfer_syntax_uid: one of `IDENTIFIER_SYNTAXES`.
        model: whose levels it may ask for.

    Raises:
        InvalidRequest: its Query/Retrieve Level is missing or not one of `model`.
        InvalidInstance: it cannot be decoded.
    """
    keys = read_elements(bytes(data), transfer_syntax_uid)
    named = keys.pop(CHARACTER_SET, None)
    charset = () if named is None else terms_of(_text(named).encode("ascii", "replace"))
    asked = keys.pop(QUERY_RETRIEVE_LEVEL, None)
    name = "" if asked is None else _text(asked).strip().upper()
    level = next((one for one in model.levels if one.name == name), None)
    if level is None:
        names = ", ".join(one.name for one in model.levels)
        raise InvalidRequest(f"QueryRetrieveLevel is not one of {names}")
    # Group lengths (retired) are not keys.
    keys = {tag: key for tag, key in keys.items() if not tag.endswith("0000")}
    return Identifier(level, keys, charset if any(charset) else ())


def require_higher_keys(identifier: Identifier, model: Model) -> None:
    """Check that each level above the one asked for is named (PS3.4 C.4.1.2.1).

    Raises:
        InvalidRequest: a unique key is missing, is a list, or holds a wildcard.
    """
    for level in model.above(identifier.level):
        if len(identifier.unique(level)) != 1:
            raise InvalidRequest(f"{keyword_of(UNIQUE_KEYS[level])} must have one value here")


def _search_keys(elements: Elements, above: tuple[str, ...]) -> Iterator[SearchKey]:
    for tag, element in elements.items():
        path = (*above, tag)
        if element["vr"] != "SQ":
            yield SearchKey(path, _text(element))
            continue
        items: list[Elements] = element.get("Value", [])
        if len(items) > 1:
            raise InvalidRequest(f"{keyword_of(tag)} is a sequence: its key is one item")
        if not items or not items[0]:
            yield SearchKey(path, "")
        else:
            yield from _search_keys(items[0], path)


def _text(element: Element) -> str:
    """Return a key's values as PS3.4 C.2.2.2 writes them."""
    if "InlineBinary" in element:
        # What does not fit its VR, as `*` for a date, comes as bytes.
        try:
            text = base64.b64decode(element["InlineBinary"]).decode("latin-1")
        except binascii.Error as error:  # pragma: no cover - `read_elements` wrote it
            raise InvalidRequest("a key that is neither text nor bytes") from error
    else:
        values: list[Any] = element.get("Value", [])
        is_name = element["vr"] == "PN"
        text = "\\".join(
            str(PersonName.from_json(value)) if is_name else "" if value is None else str(value)
            for value in values
        )
    text = text.strip(" \0")
    # Devices write it for any attribute, also where the VR has no wildcards.
    return "" if text == "*" else text

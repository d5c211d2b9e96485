"""The Native DICOM Model's XML as DICOM JSON (PS3.19 A.1): a document that a client sent.

A document type declaration is refused, so that there are no entities to expand and
nothing outside to fetch.
"""

import math
import re
from dataclasses import dataclass, field
from typing import Any, Final
from xml.parsers import expat

from pacs_cloud.dicom.elements import Element, Elements
from pacs_cloud.dicom.records import MAX_DEPTH
from pacs_cloud.errors import InvalidRequest

MAX_NODES: Final = 500_000
"""XML elements of one document."""
_MAX_XML_DEPTH: Final = 2 * MAX_DEPTH + 6
_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_GROUPS: Final = frozenset({"Alphabetic", "Ideographic", "Phonetic"})
_COMPONENTS: Final = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
_INTEGERS: Final = frozenset({"SL", "SS", "SV", "UL", "US", "UV"})
_REALS: Final = frozenset({"FD", "FL"})
_TEXTS: Final = frozenset({"Value", "InlineBinary", *_COMPONENTS})
_PRIVATE_BLOCKS: Final = range(0x10, 0x100)
_MAX_VALUES: Final = 1_000_000


def parse(document: bytes) -> Elements:
    """Return the data set in a NativeDicomModel document.

    Args:
        document: as XML says, in UTF-8 or in the encoding that it declares.

    Raises:
        InvalidRequest: it is no such document, or has a document type declaration.
    """
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(document, True)
    except (expat.ExpatError, ValueError, LookupError) as problem:
        raise InvalidRequest("The metadata is no well-formed XML.") from problem
    if reader.whole is None:
        raise InvalidRequest("The metadata is no NativeDicomModel.")
    return reader.whole


def _refuse_doctype(*_: object) -> None:
    raise InvalidRequest("XML metadata must not have a document type declaration.")


@dataclass(slots=True)
class _Node:
    """An XML element that is open.

    Attributes:
        name: without a prefix.
        said: its attributes, names in lower case.
        parts: of a data set its elements, of an attribute what it holds.
        text: collected.
    """

    name: str
    said: dict[str, str]
    elements: Elements = field(default_factory=dict[str, Element])
    values: dict[int, Any] = field(default_factory=dict[int, Any])
    content: dict[str, Any] = field(default_factory=dict[str, Any])
    text: list[str] = field(default_factory=list[str])


class _Reader:
    """Builds the data set while the document is read."""

    def __init__(self) -> None:
        self.whole: Elements | None = None
        self._open: list[_Node] = []
        self._nodes_left = MAX_NODES

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._nodes_left -= 1
        if self._nodes_left < 0 or len(self._open) >= _MAX_XML_DEPTH:
            raise InvalidRequest("The metadata has too many XML elements, or nested too deep.")
        said = {key.lower(): value for key, value in attributes.items()}
        self._open.append(_Node(name.rpartition(":")[2], said))
        if len(self._open) == 1 and self._open[0].name != "NativeDicomModel":
            raise InvalidRequest("The metadata is no NativeDicomModel.")

    def text(self, text: str) -> None:
        if self._open and self._open[-1].name in _TEXTS:
            self._open[-1].text.append(text)

    def end(self, _: str) -> None:
        node = self._open.pop()
        if not self._open:
            self.whole = _with_creators(node.elements)
            return
        parent = self._open[-1]
        if node.name == "DicomAttribute":
            tag, element = _attribute(node)
            if tag in parent.elements:
                raise InvalidRequest(f"{tag} is there twice.")
            parent.elements[tag] = element
        elif node.name == "Value":
            parent.values[_number(node, parent)] = "".join(node.text)
        elif node.name == "PersonName":
            parent.values[_number(node, parent)] = node.content
        elif node.name == "Item":
            parent.values[_number(node, parent)] = _with_creators(node.elements)
        elif node.name in _GROUPS:
            parts = [node.content.get(component, "") for component in _COMPONENTS]
            parent.content[node.name] = "^".join(parts).rstrip("^")
        elif node.name in _COMPONENTS or node.name == "InlineBinary":
            parent.content[node.name] = "".join(node.text)
        elif node.name == "BulkData":
            parent.content["BulkDataURI"] = node.said.get("uri") or node.said.get("uuid", "")


def _attribute(node: _Node) -> tuple[str, Element]:
    """Return the tag and the JSON of a DicomAttribute; `privateCreator` stays with it for now."""
    tag, vr = node.said.get("tag", "").upper(), node.said.get("vr", "")
    if _TAG.fullmatch(tag) is None:
        raise InvalidRequest("A DicomAttribute has no tag.")
    element: Element = {"vr": vr}
    if creator := node.said.get("privatecreator"):
        element["privateCreator"] = creator
    if node.values:
        last = max(node.values)
        values = [node.values.get(number) for number in range(1, last + 1)]
        element["Value"] = [None if value is None else _value(tag, vr, value) for value in values]
    element.update(node.content)
    return tag, element


def _number(node: _Node, parent: _Node) -> int:
    """Return a value's place; those that are absent before it are empty (PS3.19 A.1.5)."""
    said = node.said.get("number", "")
    number = int(said) if said.isascii() and said.isdecimal() else 0
    if not 1 <= number <= _MAX_VALUES or number in parent.values:
        raise InvalidRequest("A value's number is missing, or is there twice.")
    return number


def _value(tag: str, vr: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        if vr in _INTEGERS:
            return int(value)
        if vr in _REALS and math.isfinite(number := float(value)):
            return number
    except ValueError as problem:
        raise InvalidRequest(f"{tag} has a value that is no number.") from problem
    return value.strip() if vr in {"DS", "IS", "AT"} else value


def _with_creators(elements: Elements) -> Elements:
    """Return `elements` with a creator for every private block that `privateCreator` names.

    A block is written as it is in the tag; one that was left out (gggg00ee) is chosen here.
    """
    whole: Elements = {}
    chosen: dict[tuple[str, str], int] = {}
    for tag, element in sorted(elements.items()):
        creator = element.pop("privateCreator", "")
        if not creator or int(tag[3], 16) % 2 == 0:
            whole[tag] = element
            continue
        group, block = tag[:4], int(tag[4:6], 16)
        if block not in _PRIVATE_BLOCKS:
            block = chosen.get((group, creator)) or _free_block(group, creator, elements, whole)
            chosen[group, creator] = block
        reserved = f"{group}00{block:02X}"
        if reserved not in elements:
            whole[reserved] = {"vr": "LO", "Value": [creator]}
        whole[f"{group}{block:02X}{tag[6:]}"] = element
    return whole


def _free_block(group: str, creator: str, elements: Elements, whole: Elements) -> int:
    for block in _PRIVATE_BLOCKS:
        reserved = f"{group}00{block:02X}"
        holder = elements.get(reserved) or whole.get(reserved)
        if holder is None or holder.get("Value") == [creator]:
            return block
    raise InvalidRequest(f"Group {group} has no private block left.")

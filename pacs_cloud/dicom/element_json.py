"""One element's value as DICOM JSON (PS3.18 F.2).

pydicom is the judge of what bytes mean. Where it raises, or answers what JSON
cannot hold, nothing is lost and nothing is refused:

* IS and DS that are no numbers become strings (PS3.18 Table F.2.3-1 allows both),
  an empty one among others null;
* NaN and infinities become "NaN", "inf", "-inf";
* the escape sequence of ISO 2022 IR 58 (Chinese) is no text and goes;
* a value that does not fit its VR becomes UN with its bytes;
* the bytes of OW, OF, OL, OD and OV from a big endian data set are given in
  little endian, the only order a reader of JSON can know.
"""

import base64
import math
from collections.abc import Sequence
from typing import Any, Final

import orjson
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.tag import BaseTag

from pacs_cloud.dicom.byte_order import swap_words
from pacs_cloud.dicom.elements import Element
from pacs_cloud.dicom.plain_values import PlainReader, plain_reader
from pacs_cloud.dicom.quiet import quiet_pydicom

BINARY_VRS: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_DESCRIPTOR_TAGS: Final = frozenset({0x00281101, 0x00281102, 0x00281103, 0x00283002})
"""LUT descriptors: pydicom mends a negative first value."""


_GB2312_ESCAPE: Final = b"\\u001b$)A"
"""Escape to ISO 2022 IR 58, which pydicom leaves standing in the text it decodes."""
_NUMBER_BYTES: Final = {
    **dict.fromkeys(("SS", "US"), 2),
    **dict.fromkeys(("AT", "FL", "SL", "UL"), 4),
    **dict.fromkeys(("FD", "SV", "UV"), 8),
}


class UndecodableError(Exception):
    """The value does not fit its VR; only its bytes can be given."""


def binary_element(vr: str, raw: bytes, *, little: bool) -> Element:
    """Return the element with `raw` inline, or without a value if there is none."""
    if not raw:
        return {"vr": vr}
    data = raw if little else swap_words(raw, vr)
    return {"vr": vr, "InlineBinary": base64.b64encode(data).decode("ascii")}


def value_element(
    tag: int, vr: str, raw: bytes, *, little: bool, encodings: Sequence[str]
) -> Element:
    """Return the JSON of a value that is neither binary nor a sequence.

    Args:
        tag: group and element.
        vr: its settled VR.
        raw: the value as stored.
        little: its byte order.
        encodings: Python encodings of the character set in force.

    Raises:
        UndecodableError: `raw` cannot be a value of `vr`.
    """
    if not raw:
        return {"vr": vr}
    if len(raw) % _NUMBER_BYTES.get(vr, 1):
        raise UndecodableError
    read = element_reader(tag, vr, little=little)
    values = None if read is None else read(raw)
    if values is not None:
        return {"vr": vr, "Value": values} if values else {"vr": vr}
    element = _ask_pydicom(tag, vr, raw, little=little, encodings=encodings)
    if element is None:
        if vr not in {"DS", "IS"}:
            raise UndecodableError
        return {"vr": vr, "Value": _number_texts(raw)}
    return element


def element_reader(tag: int, vr: str, *, little: bool) -> PlainReader | None:
    """Return what reads an element's plain values in any character set, None where nothing may.

    Args:
        tag: group and element.
        vr: its settled VR.
        little: its byte order.
    """
    if tag in _DESCRIPTOR_TAGS and vr == "SS":
        return None
    return plain_reader(vr, little=little)


def _ask_pydicom(
    tag: int, vr: str, raw: bytes, *, little: bool, encodings: Sequence[str]
) -> Element | None:
    record = RawDataElement(BaseTag(tag), vr, len(raw), raw, 0, False, little)
    try:
        with quiet_pydicom():
            converted = convert_raw_data_element(record, encoding=list(encodings))
            element = converted.to_json_dict(None, 0)
        values = element.get("Value")
        if values and isinstance(values[0], float):
            if vr == "DS" and not all(map(math.isfinite, values)):
                return None
            element["Value"] = [v if math.isfinite(v) else _not_a_number(v) for v in values]
        json = orjson.dumps(element)
        if "iso_ir_58" in encodings:
            json = json.replace(_GB2312_ESCAPE, b"")
        plain: Element = orjson.loads(json)
    except Exception:  # noqa: BLE001 - pydicom raises whatever its converters do; the bytes decide what next
        return None
    if plain["vr"] != vr:  # it gave up, or read the value under another VR
        return None
    return plain


def _not_a_number(value: float) -> str:
    return "NaN" if math.isnan(value) else "inf" if value > 0 else "-inf"


def _number_texts(raw: bytes) -> list[Any]:
    texts = [part.strip(" \0\t\r\n") for part in raw.decode("latin-1").split("\\")]
    numbers: list[Any] = []
    for text in texts:
        try:
            number = float(text)
        except ValueError:
            numbers.append(text or None)
        else:
            numbers.append(number if math.isfinite(number) else text)
    return numbers

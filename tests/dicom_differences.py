"""Where two headers as DICOM JSON differ, when one was written from the other."""

import base64
import math
from collections.abc import Mapping
from typing import Any

Elements = Mapping[str, Mapping[str, Any]]


def differences(given: Elements, found: Elements, path: str = "") -> list[str]:
    """Return where two headers differ, apart from group lengths and the character set named."""
    lost = [tag for tag in given.keys() - found.keys() if not tag.endswith("0000")]
    wrong = [f"{path}{tag} missing" for tag in lost]
    for tag, element in found.items():
        if tag == "00080005":
            assert element == {"vr": "CS", "Value": ["ISO_IR 192"]}
        elif tag not in given:
            wrong.append(f"{path}{tag} added")
        elif element["vr"] == given[tag]["vr"] == "SQ":
            pairs = zip(given[tag].get("Value", []), element.get("Value", []), strict=True)
            for number, (before, after) in enumerate(pairs):
                wrong += differences(before or {}, after or {}, f"{path}{tag}/{number}/")
        elif not equal(given[tag], element):
            wrong.append(f"{path}{tag}: {str(given[tag])[:200]} became {str(element)[:200]}")
    return wrong


def equal(given: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Tell whether two elements say the same.

    Decimals have the 16 characters that a DS has; inline bytes are padded to an even number;
    and encapsulated pixel data is OB, whatever a device wrote (PS3.5 A.4).
    """
    if given["vr"] == found["vr"] == "DS":
        pairs = zip(given.get("Value", []), found.get("Value", []), strict=True)
        return all(
            math.isclose(a, b, rel_tol=1e-9) if isinstance(a, float) else a == b for a, b in pairs
        )
    if "InlineBinary" in given and "InlineBinary" in found:
        before, after = (base64.b64decode(one["InlineBinary"]) for one in (given, found))
        return after == before + bytes(len(before) % 2)
    if "BulkDataURI" in given and "BulkDataURI" in found:
        paths = [one["BulkDataURI"].split("/instances/")[-1] for one in (given, found)]
        return paths[0] == paths[1] and (
            given["vr"] == found["vr"] or paths[0].endswith("/7FE00010")
        )
    return given == found

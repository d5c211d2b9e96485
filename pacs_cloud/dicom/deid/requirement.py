"""How much an IOD asks for an attribute: what decides between the codes of `X/Z/D` (PS3.15 E.1)."""

from functools import lru_cache
from typing import Final

from pacs_cloud.dicom.deid.tables import lines_of

OPTIONAL: Final = 3
"""Type 3, or no part of the IOD."""
_TOP: Final = "-"


def resolved(code: str, required: int | None) -> str:
    """Return the one action that a combined code means.

    Args:
        code: as Table E.1-1 has it; `U*` is `U` within the items.
        required: the attribute's type: 1, 2, or `OPTIONAL`; None where nobody knows, which is
            taken for the strictest, so that the instance stays readable.
    """
    codes = code.replace("*", "").split("/")
    if len(codes) == 1 or required is None or required == 1:
        return codes[-1]
    if required == OPTIONAL:
        return codes[0]
    return "Z" if "Z" in codes else codes[-1]


def requirement(sop_class_uid: str, tag: int, parent: int | None) -> int | None:
    """Return the type of an attribute in an IOD; a condition is taken as met (1C is 1).

    Args:
        sop_class_uid: whose IOD.
        tag: of an attribute with a combined code.
        parent: of the sequence that it is in, None for the top level.

    Returns:
        1, 2 or `OPTIONAL`; None for a SOP class, or a place in one, that is not known.
    """
    classes, types = _tables()
    iod = classes.get(sop_class_uid)
    if iod is None:
        return None
    around = _TOP if parent is None else f"{parent:08X}"
    found = types.get((f"{tag:08X}", around, iod))
    if found is None and parent is None:
        return OPTIONAL
    return found


@lru_cache(1)
def _tables() -> tuple[dict[str, int], dict[tuple[str, str, int], int]]:
    classes: dict[str, int] = {}
    types: dict[tuple[str, str, int], int] = {}
    for kind, *fields in lines_of("types.tsv"):
        if kind == "class":
            classes[fields[0]] = int(fields[1])
            continue
        tag, around, type_, iods = fields
        for span in iods.split():
            first, _, last = span.partition("-")
            for iod in range(int(first), int(last or first) + 1):
                key = tag, around, iod
                types[key] = min(int(type_), types.get(key, OPTIONAL))
    return classes, types

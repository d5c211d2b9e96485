"""What became of the instances of a store request, as its answer says (PS3.18 10.5.3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from pacs_cloud.dicom.elements import Elements
from pacs_cloud.errors import Refusal
from pacs_cloud.remote.rows import first_text, read_elements

_REFERENCED_INSTANCE: Final = "00081155"
_FAILURE_REASON: Final = "00081197"
_FAILED_SEQUENCE: Final = "00081198"
_REFERENCED_SEQUENCE: Final = "00081199"
_OTHER_FAILURES_SEQUENCE: Final = "0008119A"


class Reason(NamedTuple):
    """Why an instance was refused: a word for programs, a sentence for people."""

    reason: str
    message: str


_REASONS: Final[Mapping[int, Reason]] = {
    # PS3.18 Table 10.5.3-2; the codes of PS3.4 Table B.2-1 and PS3.7 Annex C.
    0x0110: Reason("processing-failure", "The archive could not process it."),
    0x0111: Reason(Refusal.CONFLICT, "Other content is stored under this SOP Instance UID."),
    0x0122: Reason(Refusal.UNSUPPORTED_CLASS, "The archive does not take its SOP class."),
    0x0124: Reason("not-authorized", "It may not be stored with this key."),
    0xA700: Reason("out-of-resources", "The archive has no room for it at the moment."),
    0xA900: Reason(Refusal.MISMATCH, "UIDs are missing, or do not fit the request."),
    0xC000: Reason(Refusal.UNREADABLE, "The archive cannot read it."),
    0xC122: Reason(Refusal.UNSUPPORTED_SYNTAX, "The archive does not take its transfer syntax."),
}
_KINDS: Final = (
    # Ranges of codes whose last digits are the implementation's (PS3.4 Table B.2-1).
    (0xA700, 0xFF00),
    (0xA900, 0xFF00),
    (0xC000, 0xF000),
)


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """What an answer says.

    Attributes:
        stored: SOP Instance UIDs that are stored.
        refused: why those were not that it names.
        others: why parts were not that it cannot name.
    """

    stored: frozenset[str]
    refused: Mapping[str, Reason]
    others: tuple[Reason, ...]


def read_store_answer(answer: object) -> StoreAnswer:
    """Return what a store's answer says; raises Unavailable where it is no DICOM JSON.

    Args:
        answer: the JSON; some servers put the data set into a list.
    """
    if isinstance(answer, list) and len(answer) == 1:
        (answer,) = answer
    elements = read_elements(answer)
    failed = _items(elements, _FAILED_SEQUENCE)
    return StoreAnswer(
        frozenset(
            first_text(item, _REFERENCED_INSTANCE)
            for item in _items(elements, _REFERENCED_SEQUENCE)
        ),
        {first_text(item, _REFERENCED_INSTANCE): _reason(item) for item in failed},
        tuple(_reason(item) for item in _items(elements, _OTHER_FAILURES_SEQUENCE)),
    )


def reason_of(code: int) -> Reason:
    """Return what a Failure Reason (0008,1197) means."""
    if code in _REASONS:
        return _REASONS[code]
    for kind, mask in _KINDS:
        if code & mask == kind:
            return Reason(_REASONS[kind].reason, f"{_REASONS[kind].message} ({code:04X}H)")
    return Reason("refused", f"The archive says {code:04X}H.")


def _items(elements: Elements, tag: str) -> list[Elements]:
    element = elements.get(tag)
    return element["Value"] if element is not None and element["vr"] == "SQ" else []


def _reason(item: Elements) -> Reason:
    values = item[_FAILURE_REASON]["Value"] if _FAILURE_REASON in item else [None]
    code = values[0]
    return reason_of(code if isinstance(code, int) and 0 <= code <= 0xFFFF else 0x0110)

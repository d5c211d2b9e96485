"""An amendment: attributes that are shown otherwise than they were received.

The bytes that came in never change; what is read is read with the amendments that stand
over it (`DESIGN.md` 4), in searches, headers and whole instances alike.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from pacs_cloud.dicom.elements import Elements


class AmendmentReason(StrEnum):
    """Reason for the Attribute Modification (0400,0565), PS3.3 C.12.1.1.9."""

    COERCE = "COERCE"
    """To agree with another system: a patient merge, an order."""
    CORRECT = "CORRECT"
    """To mend what was wrong: a misspelt name, the wrong patient."""


@dataclass(frozen=True, slots=True)
class Amendment:
    """What one correction changes in one study.

    Attributes:
        correction_id: of the correction, which may touch many studies, each once: a version
            7 UUID, so that amendments sort by age.
        elements: by tag, what is shown instead, at the top level of the data set: DICOM JSON
            (PS3.18 Annex F), an element without a value is shown empty. Never a tag that says
            what the instance is or how its pixels are read (`not_amendable`).
        amended_us: when, microseconds since 1970 UTC.
        series_instance_uid: the only series that it touches; "" for the whole study.
        sop_instance_uid: the only instance that it touches; "" for all of them.
        reason: why, in the standard's terms.
        system: Modifying System (0400,0563).
        source: Source of Previous Values (0400,0564); "" where it is not known.
    """

    correction_id: str
    elements: Elements = field(hash=False)
    amended_us: int
    series_instance_uid: str = ""
    sop_instance_uid: str = ""
    reason: AmendmentReason = AmendmentReason.CORRECT
    system: str = ""
    source: str = ""

    def touches_series(self, series_instance_uid: str) -> bool:
        """Return whether it is about that series, or some of its instances."""
        return self.series_instance_uid in {"", series_instance_uid}

    def touches(self, sop_instance_uid: str) -> bool:
        """Return whether it is about that instance of a series that it touches."""
        return self.sop_instance_uid in {"", sop_instance_uid}


def of_series(amendments: Iterable[Amendment], series_instance_uid: str) -> tuple[Amendment, ...]:
    """Return those of a study's amendments that touch one of its series, in their order."""
    return tuple(one for one in amendments if one.touches_series(series_instance_uid))


def in_order(amendments: Iterable[Amendment]) -> tuple[Amendment, ...]:
    """Return amendments as they are laid over one another: the latest last."""
    return tuple(sorted(amendments, key=lambda one: (one.amended_us, one.correction_id)))


def shown_elements(
    elements: Elements, amendments: Iterable[Amendment], sop_instance_uid: str
) -> Elements:
    """Return `elements` of an instance as `amendments` show them.

    Args:
        elements: DICOM JSON; may be a part of the header.
        amendments: those that touch its series, in order.
        sop_instance_uid: which instance.
    """
    for one in amendments:
        if one.touches(sop_instance_uid):
            elements = elements | one.elements
    return elements

"""The options of the Basic Application Level Confidentiality Profile (PS3.15 E.3), as code."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from pacs_cloud.errors import InvalidRequest


class Option(StrEnum):
    """One option, by the name that commands and projects know it by."""

    CLEAN_PIXELS = "clean-pixel-data"
    CLEAN_VISUAL_FEATURES = "clean-recognizable-visual-features"
    CLEAN_GRAPHICS = "clean-graphics"
    CLEAN_STRUCTURED_CONTENT = "clean-structured-content"
    CLEAN_DESCRIPTORS = "clean-descriptors"
    FULL_DATES = "retain-full-dates"
    MODIFIED_DATES = "retain-modified-dates"
    PATIENT_CHARACTERISTICS = "retain-patient-characteristics"
    DEVICE_IDENTITY = "retain-device-identity"
    UIDS = "retain-uids"
    SAFE_PRIVATE = "retain-safe-private"
    INSTITUTION_IDENTITY = "retain-institution-identity"


BASIC: Final = ("113100", "Basic Application Confidentiality Profile")
"""Code value and meaning, of DCM."""
CODES: Final = {
    Option.CLEAN_PIXELS: ("113101", "Clean Pixel Data Option"),
    Option.CLEAN_VISUAL_FEATURES: ("113102", "Clean Recognizable Visual Features Option"),
    Option.CLEAN_GRAPHICS: ("113103", "Clean Graphics Option"),
    Option.CLEAN_STRUCTURED_CONTENT: ("113104", "Clean Structured Content Option"),
    Option.CLEAN_DESCRIPTORS: ("113105", "Clean Descriptors Option"),
    Option.FULL_DATES: (
        "113106",
        "Retain Longitudinal Temporal Information Full Dates Option",
    ),
    Option.MODIFIED_DATES: (
        "113107",
        "Retain Longitudinal Temporal Information Modified Dates Option",
    ),
    Option.PATIENT_CHARACTERISTICS: ("113108", "Retain Patient Characteristics Option"),
    Option.DEVICE_IDENTITY: ("113109", "Retain Device Identity Option"),
    Option.UIDS: ("113110", "Retain UIDs Option"),
    Option.SAFE_PRIVATE: ("113111", "Retain Safe Private Option"),
    Option.INSTITUTION_IDENTITY: ("113112", "Retain Institution Identity Option"),
}
"""Of CID 7050, De-identification Method (PS3.16)."""


def checked_options(names: Iterable[str]) -> frozenset[Option]:
    """Return the options of these names.

    Raises:
        InvalidRequest: one is unknown, two contradict each other, or one is not done here:
            faces are not looked for, so nobody is told that they are gone.
    """
    found: set[Option] = set()
    for name in names:
        try:
            found.add(Option(name))
        except ValueError:
            known = ", ".join(one for one in Option if one is not Option.CLEAN_VISUAL_FEATURES)
            raise InvalidRequest(f"there is no option {name[:60]!r}; there are {known}") from None
    if Option.CLEAN_VISUAL_FEATURES in found:
        raise InvalidRequest(
            "faces are not recognised here, so clean-recognizable-visual-features is not claimed:"
            " deface head scans with a tool made for it"
        )
    if {Option.FULL_DATES, Option.MODIFIED_DATES} <= found:
        raise InvalidRequest("dates are retained in full or modified, not both")
    return frozenset(found)

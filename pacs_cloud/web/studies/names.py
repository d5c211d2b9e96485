"""Patients' names as pages write them: each of its writings by itself."""

from dataclasses import dataclass

from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.person_name import PersonName

PATIENT_NAME = "00100010"


@dataclass(frozen=True, slots=True)
class NameText:
    """A patient's name.

    Attributes:
        main: as it is called first: in Latin letters where there are any; "" for none.
        others: its other writings: ideographic, phonetic.
    """

    main: str
    others: tuple[str, ...] = ()


def name_text(elements: Elements, tag: str = PATIENT_NAME) -> NameText:
    """Return a name, the patient's: `Yamada, Tarou`, `山田 太郎`, `やまだ たろう`."""
    values = elements.get(tag, {}).get("Value") or ()
    name = next((PersonName.from_json(value) for value in values if value), PersonName())
    written = [_alphabetic(name.alphabetic), _east(name.ideographic), _east(name.phonetic)]
    main, *others = list(dict.fromkeys(filter(None, written))) or [""]
    return NameText(main, tuple(others))


def _alphabetic(group: str) -> str:
    """Return `Family, Prefix Given Middle Suffix` (PS3.5 6.2.1.1 has the prefix fourth)."""
    family, given, middle, prefix, suffix = [*_components(group), *[""] * 5][:5]
    rest = " ".join(filter(None, (prefix, given, middle, suffix)))
    return ", ".join(filter(None, (family, rest)))


def _east(group: str) -> str:
    return " ".join(filter(None, _components(group)))


def _components(group: str) -> list[str]:
    return [" ".join(part.split()) for part in group.split("^")]

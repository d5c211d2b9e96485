"""Content items that go whole: their concepts are people, places, devices and identifiers.

From what Table E.3.4-1 of PS3.15 is about: the observer and subject contexts (PS3.16 TID 1001
to 1010), radiation dose reports' people and devices, specimens. All other items are cleaned as
text, dates and UIDs are.
"""

from collections.abc import Mapping
from typing import Final

from pacs_cloud.dicom.deid.dummies import CODE_VALUE, CODING_SCHEME, CONCEPT_NAME
from pacs_cloud.dicom.deid.option import Option
from pacs_cloud.dicom.deid.tree import DataSet

_PEOPLE: Final = frozenset(
    {
        *("121008", "128774", "128775", "121105", "121152"),  # observers, physicist, who injects
        *("113870", "113871", "113872"),  # person name, ID, its issuer
        *("121029", "121030", "121031", "121036"),  # the subject's name, ID, birth, mother
        *("121020", "121021", "121022"),  # placer, filler, accession number
        *("121040", "121041", "121043", "111700", "111705"),  # specimens
        *("126070", "126071", "113516", "125010"),  # time points, prescription, any identifier
    }
)
_UNLESS: Final[Mapping[Option, frozenset[str]]] = {
    Option.INSTITUTION_IDENTITY: frozenset({"121009", "113873", "121434", "122128"}),
    Option.DEVICE_IDENTITY: frozenset(
        {
            *("121013", "121016", "121017", "121193", "121196", "121197"),
            *("113877", "113880", "122143", "121148"),
        }
    ),
    Option.PATIENT_CHARACTERISTICS: frozenset(
        {"121032", "121033", "8302-2", "3137-7", "29463-7", "3141-9", "3142-7"}
    ),
}
"""By the option that keeps them: places, devices; sex, age, height and weight."""
_SCHEMES: Final = frozenset({"DCM", "LN"})


def goes_whole(item: DataSet, options: frozenset[Option]) -> bool:
    """Return whether a content item is about who, where or with what, and no option keeps it."""
    concept = item.elements.get(CONCEPT_NAME)
    if concept is None or not isinstance(concept.value, list) or not concept.value:
        return False
    name = concept.value[0]
    if name.text(CODING_SCHEME).strip() not in _SCHEMES:
        return False
    code = name.text(CODE_VALUE).strip()
    return code in _PEOPLE or any(
        code in codes for option, codes in _UNLESS.items() if option not in options
    )

"""What was done, by instance and in sum, without a value of any patient."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from pacs_cloud.dicom.deid.burned_in import Withheld
from pacs_cloud.dicom.deid.deidentifier import Deidentifier
from pacs_cloud.dicom.deid.option import BASIC, CODES
from pacs_cloud.dicom.deid.result import Result
from pacs_cloud.dicom.deid.tables import EDITION

_NOT_DONE: Final = (
    "Faces are not recognised: a head scan shows one when it is rendered.",
    "Pixels are not read: text in them is found by Burned In Annotation, SOP class and rules.",
)


@dataclass(slots=True)
class Report:
    """What one run did.

    Attributes:
        project: its name.
        options: of the run.
        instances: an entry for each, as `entry_of` makes it.
    """

    project: str
    options: list[str]
    instances: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    @staticmethod
    def of(deidentifier: Deidentifier) -> "Report":
        """Return the report of a run that has done nothing yet."""
        return Report(deidentifier.project.name, sorted(deidentifier.options))

    def add(self, number: int, result: Result, *, length_bytes: int) -> None:
        """Take in what became of one instance.

        Args:
            number: its place in the run, from 1.
            result: what became of it.
            length_bytes: of the file that was written, 0 for none.
        """
        self.instances.append(entry_of(number, result, length_bytes))

    @property
    def written(self) -> int:
        """How many instances were given out."""
        return sum(not one["withheld"] for one in self.instances)

    @property
    def withheld(self) -> int:
        """How many were not."""
        return len(self.instances) - self.written

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        deeds: dict[str, Counter[str]] = {}
        for one in self.instances:
            for deed, names in one["elements"].items():
                deeds.setdefault(deed, Counter()).update(names)
        chosen = {str(option): code for option, code in CODES.items()}
        codes = [BASIC, *(chosen[option] for option in self.options)]
        return {
            "version": 1,
            "project": self.project,
            "profile": f"PS3.15 {EDITION} Basic Application Level Confidentiality Profile",
            "options": self.options,
            "codes": [{"value": value, "meaning": meaning} for value, meaning in codes],
            "not_done": list(_NOT_DONE),
            "written": self.written,
            "withheld": dict(sorted(Counter(_reasons(self.instances)).items())),
            "pixels": dict(sorted(Counter(one["pixels"] for one in self.instances).items())),
            "elements": {
                deed: dict(sorted(names.items())) for deed, names in sorted(deeds.items())
            },
            "instances": self.instances,
        }


def entry_of(number: int, result: Result, length_bytes: int) -> dict[str, Any]:
    """Return what became of one instance, as JSON values; UIDs are the new ones."""
    return {
        "number": number,
        "study": result.study_instance_uid,
        "series": result.series_instance_uid,
        "instance": result.sop_instance_uid,
        "modality": result.modality,
        "withheld": "" if result.withheld is None else result.withheld.value,
        "pixels": result.pixels,
        "bytes": length_bytes,
        "elements": result.tally.by_deed(),
    }


def reason_text(reason: str) -> str:
    """Return what a reason to withhold means, in a sentence."""
    return _SENTENCES[Withheld(reason)]


_SENTENCES: Final = {
    Withheld.UNREADABLE: "it cannot be read to its end",
    Withheld.NO_UIDS: "it says not what it is, or which",
    Withheld.DICOMDIR: "it is a directory of files",
    Withheld.DOCUMENT: "it holds a document, which is not read",
    Withheld.AUDIO: "it is a voice",
    Withheld.PRIVATE_CLASS: "its SOP class is private, so that nobody knows what is in it",
    Withheld.BURNED_IN: "its pixels may show text, and no rule says where (--rules)",
    Withheld.RULE_NEEDS_OPTION: "a rule says what to blank: ask for clean-pixel-data",
    Withheld.CANNOT_BE_BLANKED: "a rule says what to blank, but its pixels have a form that is not",
    Withheld.OVERLAY_IN_PIXELS: "an overlay lies in unused bits of its pixels",
    Withheld.NAMED_IN_PIXELS: "its pixel data has one of the patient's strings in it",
    Withheld.PIXELS_ELSEWHERE: "its pixels are at an address",
}


def _reasons(instances: list[dict[str, Any]]) -> list[str]:
    return [one["withheld"] for one in instances if one["withheld"]]

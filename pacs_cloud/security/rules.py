"""Which studies: rules over what is known of one, as pure values."""

from dataclasses import dataclass, replace
from typing import Final

from pacs_cloud.dicom.person_name import normalise

_COMPANIONS: Final = frozenset(
    {
        "AU",
        "DOC",
        "KO",
        "PLAN",
        "PR",
        "REG",
        "RTDOSE",
        "RTPLAN",
        "RTRECORD",
        "RTSTRUCT",
        "SEG",
        "SR",
    }
)
"""Modalities of what is made from other images: they are seen with these (PS3.3 C.7.3.1.1.1)."""


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """What rules go by, as the catalogue shows it now, corrections and all.

    Attributes:
        study_instance_uid: (0020,000D).
        institution: (0008,0080).
        referring_physician: (0008,0090).
        modalities: (0008,0061).
        labels: what the site has said of it (`labels`).
        is_sensitive_by: those of its labels that hide it from all who are not named for them.
    """

    study_instance_uid: str
    institution: str
    referring_physician: str
    modalities: frozenset[str]
    labels: frozenset[str] = frozenset()
    is_sensitive_by: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class StudyRule:
    """Every field that says something must be met; one that says nothing fits all.

    Names are compared as person names are: case, blanks and Latin accents do not matter.
    A sensitive study is fitted by a rule alone that names each label whereby it is.

    Attributes:
        institutions: the study's is one of them.
        referring_physicians: the study's is one of them.
        modalities: all of the study's are among them, those left out that only come with
            others (SR, PR, KO, SEG, …).
        studies: its UID is one of them.
        labels: it has one of them.
        series: of such a study only these series, by their UIDs; none: all of them.
    """

    institutions: frozenset[str] = frozenset()
    referring_physicians: frozenset[str] = frozenset()
    modalities: frozenset[str] = frozenset()
    studies: frozenset[str] = frozenset()
    series: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()

    def fits(self, facts: StudyFacts) -> bool:
        """Return whether a study is one of those meant; a value that it lacks fits nothing."""
        imaging = facts.modalities - _COMPANIONS
        return (
            facts.is_sensitive_by <= self.labels
            and (not self.labels or not self.labels.isdisjoint(facts.labels))
            and (not self.studies or facts.study_instance_uid in self.studies)
            and _is_among(facts.institution, self.institutions)
            and _is_among(facts.referring_physician, self.referring_physicians)
            and (not self.modalities or bool(imaging and imaging <= self.modalities))
        )


def rules_despite(rule: StudyRule, labels: frozenset[str]) -> tuple[StudyRule, ...]:
    """Return rules for the studies that `rule` means, be they sensitive by some of `labels`."""
    return (rule, replace(rule, labels=labels)) if labels else (rule,)


def _is_among(value: str, names: frozenset[str]) -> bool:
    if not names:
        return True
    value = normalise(value)
    return bool(value) and any(value == normalise(name) for name in names)

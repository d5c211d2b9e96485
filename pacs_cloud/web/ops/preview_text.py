"""What a correction, or its undoing, would change, as pages show it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from blake3 import blake3

from pacs_cloud.custody.corrections.correction import Correction
from pacs_cloud.custody.corrections.preview import StudyPreview
from pacs_cloud.dicom.dicomjson import keyword_of
from pacs_cloud.dicom.element_text import element_text
from pacs_cloud.web.ops.seen_studies import study_words

_STUDIES: Final = 50


@dataclass(frozen=True, slots=True)
class StudyChange:
    """What becomes of one study.

    Attributes:
        study: its UID.
        about: it, in a line.
        attributes: those that are shown otherwise: keyword, now, then.
    """

    study: str
    about: str
    attributes: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """What is changed.

    Attributes:
        studies: of many the first ones.
        count: how many there are.
        instances: in all of them.
        mark: another one where anything of it is another.
    """

    studies: tuple[StudyChange, ...]
    count: int
    instances: int
    mark: str


def changes_of(previews: Sequence[StudyPreview], correction: Correction | None = None) -> Changes:
    """Return previews of a correction, or of an undoing, as pages show them."""
    digest = blake3()
    if correction is not None:
        made = correction.amendment
        parts = made.series_instance_uid, made.sop_instance_uid
        digest.update(f"{correction.kind} {parts} {correction.source} {correction.target}".encode())
    for one in previews:
        digest.update(f"{one.study.study_instance_uid}\n".encode())
        for shown in one.attributes:
            digest.update(f"{shown.tag}\0{shown.now}\0{shown.then}\n".encode())
    return Changes(
        tuple(_change(one) for one in previews[:_STUDIES]),
        len(previews),
        sum(one.study.instance_count for one in previews),
        digest.hexdigest(length=16),
    )


def _change(one: StudyPreview) -> StudyChange:
    return StudyChange(
        one.study.study_instance_uid,
        study_words(one.study),
        tuple(
            (keyword_of(shown.tag), element_text(shown.now), element_text(shown.then))
            for shown in one.attributes
            if shown.is_changed
        ),
    )

"""Grants as people write them: `clinician;institution=St. Elsewhere;modality=CT,MR`.

A role, and behind it what a study has to be, if the role is for some studies only. A word
may come several times: any one of its values is enough. Several words must all be met.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.errors import InvalidInstance, InvalidRequest
from pacs_cloud.security.access import BOUNDED
from pacs_cloud.security.caller import Grant, Role
from pacs_cloud.security.labels import label_of
from pacs_cloud.security.rules import StudyRule

WORDS: Final[Mapping[str, str]] = {
    "institution": "institutions",
    "referring": "referring_physicians",
    "modality": "modalities",
    "label": "labels",
    "study": "studies",
    "series": "series",
}
"""By what is written, the field of a rule."""
_UIDS: Final[Mapping[str, str]] = {"study": "Study", "series": "Series"}
_LONGEST: Final = 324
"""Five components of a person name in three groups are no longer (PS3.5 6.2, VR PN)."""


def parse_grant(text: str) -> Grant:
    """Return what is written; raises InvalidRequest, which says what is wrong with it."""
    role, *parts = (part.strip() for part in text.split(";"))
    said: dict[str, list[str]] = {}
    for part in parts:
        word, equals, value = part.partition("=")
        if not equals:
            raise InvalidRequest(f"{part!r} is not one of {_words()}")
        said.setdefault(word.strip(), []).append(value)
    return grant_of(role, said)


def grant_of(role: str, said: Mapping[str, Sequence[str]]) -> Grant:
    """Return a role for the studies that have what is said, by word; of all where nothing is.

    Raises:
        InvalidRequest: there is no such role, word or value, or the role is nothing by itself.
    """
    try:
        known = Role(role.strip().lower())
    except ValueError as error:
        raise InvalidRequest(f"{role!r} is no role: {', '.join(Role)}") from error
    fields: dict[str, frozenset[str]] = {}
    for word, texts in said.items():
        if word not in WORDS:
            raise InvalidRequest(f"{word!r} is not one of {_words()}")
        if texts:
            fields[WORDS[word]] = frozenset(_values(word, texts))
    if "series" in fields and "studies" not in fields:
        raise InvalidRequest("series= goes with study=: it says which series of that study")
    if not fields:
        if known in BOUNDED:
            raise InvalidRequest(f"a {known} sees nothing unless it is said which studies")
        return Grant(known)
    return Grant(known, (StudyRule(**fields),))


def grant_texts(grant: Grant) -> list[str]:
    """Return how a grant is written: one text for each of its rules."""
    if grant.rules is None:
        return [str(grant.role)]
    return [";".join([str(grant.role), *_rule_texts(rule)]) for rule in grant.rules]


def _rule_texts(rule: StudyRule) -> list[str]:
    return [
        f"{word}={value}" for word, name in WORDS.items() for value in sorted(getattr(rule, name))
    ]


def _values(word: str, texts: Sequence[str]) -> list[str]:
    parts = [part for text in texts for part in (text.split(",") if word == "modality" else [text])]
    values = [part.strip() for part in parts]
    for value in values:
        if not value or len(value) > _LONGEST or not value.isprintable() or ";" in value:
            raise InvalidRequest(f"{word}= wants a value, without a semicolon")
    if word == "modality":
        return [value.upper() for value in values]
    if word == "label":
        return [label_of(value) for value in values]
    if word in _UIDS:
        return [_uid(word, value) for value in values]
    return values


def _uid(word: str, value: str) -> str:
    try:
        return parse_uid(value)
    except InvalidInstance as error:
        raise InvalidRequest(f"{word}= wants a {_UIDS[word]} Instance UID") from error


def _words() -> str:
    return ", ".join(f"{word}=…" for word in WORDS)

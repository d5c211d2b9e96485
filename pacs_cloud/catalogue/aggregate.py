"""Study and series records as order-free functions of their visible instances, as amended.

Every field is the join of a semilattice or a sum over distinct instances: sets
unite, counts add, times take the minimum and maximum, and of two values of an
attribute the better claim wins (`_Claim`). So packs may be added in any order and
grouping, here or on another machine, and the records come out equal. What is
removed cannot be subtracted: then the records are made again from all packs.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import orjson

from pacs_cloud.catalogue.elements import first_text, has_value
from pacs_cloud.catalogue.records import PackRecord, Patient, SeriesRecord, StudyRecord
from pacs_cloud.dicom.attributes import SERIES_TAGS, STUDY_TAGS
from pacs_cloud.dicom.elements import Element, Elements
from pacs_cloud.pack.amended import amended
from pacs_cloud.pack.index import PackIndex, PackInstance

_STUDY_TAGS = frozenset(STUDY_TAGS)
_SERIES_TAGS = frozenset(SERIES_TAGS)
_CLAIMED_TAGS = _STUDY_TAGS | _SERIES_TAGS
_MODALITY = "00080060"
_PATIENT_ID = "00100020"
_ISSUER_OF_PATIENT_ID = "00100021"
_SET_TAGS = frozenset({_MODALITY, _PATIENT_ID, _ISSUER_OF_PATIENT_ID})


def rank_of(instance: PackInstance) -> str:
    """Return what sorts `instance` by when it came in, then by UID; the smallest rank wins."""
    return f"{instance.received_us:017d}#{instance.sop_instance_uid}"


@dataclass(frozen=True, slots=True)
class _Claim:
    """One attribute's value and the rank of the instance that gives it."""

    rank: str
    element: Element

    def beats(self, other: "_Claim | None") -> bool:
        """Return whether this one stands: a value beats none, then the smaller rank wins.

        Equal ranks are one SOP Instance UID seen in two series at one moment: then
        the smaller text, so that the answer still does not depend on the order.
        """
        if other is None:
            return True
        mine, theirs = has_value(self.element), has_value(other.element)
        if mine != theirs:
            return mine
        if self.rank != other.rank:
            return self.rank < other.rank
        return _text(self.element) < _text(other.element)


def _text(element: Element) -> bytes:
    return orjson.dumps(element, option=orjson.OPT_SORT_KEYS)


_Claims = Mapping[str, _Claim]


@dataclass(frozen=True, slots=True)
class Contribution:
    """What some visible instances of one series add to its records.

    Attributes:
        tenant: whose.
        study_instance_uid: of all of them.
        series_instance_uid: of all of them.
        study_claims: study attributes, each with the rank of its instance.
        series_claims: series attributes, likewise.
        patients: every patient they name.
        modalities: every Modality (0008,0060).
        sop_classes: every SOP Class UID.
        instance_count: how many they are; 0 contributes nothing.
        length_bytes: of their Part 10 files.
        first_received_us: of the first; 0 where there is none.
        last_received_us: of the last; 0 where there is none.
    """

    tenant: str
    study_instance_uid: str
    series_instance_uid: str
    study_claims: _Claims
    series_claims: _Claims
    patients: frozenset[Patient]
    modalities: frozenset[str]
    sop_classes: frozenset[str]
    instance_count: int
    length_bytes: int
    first_received_us: int
    last_received_us: int


def summarise(index: PackIndex, visible: Collection[str]) -> Contribution:
    """Return what the instances of `index` whose SOP Instance UID is in `visible` add."""
    instances = [one for one in index.instances if one.sop_instance_uid in visible]
    claims: dict[str, _Claim] = {}
    modalities: set[str] = set()
    patients: set[Patient] = set()
    own_tags: set[str] = set()
    for instance in instances:
        if not _CLAIMED_TAGS.isdisjoint(instance.attributes):  # few say anything of their own
            _claim_each(claims, instance.attributes, rank_of(instance))
            own_tags.update(instance.attributes)
    if instances:
        _claim_each(claims, _without(index.common, own_tags), min(map(rank_of, instances)))
    # What an amendment of one instance says lies over what is common to all.
    for tag in own_tags & index.common.keys():
        if plain := [one for one in instances if tag not in one.attributes]:
            _claim_each(claims, {tag: index.common[tag]}, min(map(rank_of, plain)))
    for own in _distinct(instances):
        modality = first_text(_over(index.common, own, _MODALITY), _MODALITY)
        modalities.update({modality} - {""})
        patient = Patient(
            first_text(_over(index.common, own, _ISSUER_OF_PATIENT_ID), _ISSUER_OF_PATIENT_ID),
            first_text(_over(index.common, own, _PATIENT_ID), _PATIENT_ID),
        )
        if patient.patient_id:
            patients.add(patient)
    received = [instance.received_us for instance in instances]
    return Contribution(
        tenant=index.tenant,
        study_instance_uid=index.study_instance_uid,
        series_instance_uid=index.series_instance_uid,
        study_claims={tag: claim for tag, claim in claims.items() if tag in _STUDY_TAGS},
        series_claims={tag: claim for tag, claim in claims.items() if tag in _SERIES_TAGS},
        patients=frozenset(patients),
        modalities=frozenset(modalities),
        sop_classes=frozenset(instance.sop_class_uid for instance in instances),
        instance_count=len(instances),
        length_bytes=sum(instance.length_bytes for instance in instances),
        first_received_us=min(received, default=0),
        last_received_us=max(received, default=0),
    )


def contribution_of(pack: PackRecord, table: PackIndex) -> Contribution:
    """Return what a pack adds: what its record does not hide, as its amendments show it.

    Args:
        pack: its record.
        table: its table, as received.
    """
    visible = {one.sop_instance_uid for one in table.instances} - pack.hidden.keys()
    return summarise(amended(table, pack.amendments), visible)


def contributes_nothing(pack: PackRecord) -> Contribution:
    """Return what a pack adds of which nothing is visible, without reading its table."""
    return Contribution(
        tenant=pack.tenant,
        study_instance_uid=pack.study_instance_uid,
        series_instance_uid=pack.series_instance_uid,
        study_claims={},
        series_claims={},
        patients=frozenset(),
        modalities=frozenset(),
        sop_classes=frozenset(),
        instance_count=0,
        length_bytes=0,
        first_received_us=0,
        last_received_us=0,
    )


def _claim_each(claims: dict[str, _Claim], elements: Elements, rank: str) -> None:
    for tag, element in elements.items():
        if tag in _CLAIMED_TAGS:
            _claim(claims, tag, _Claim(rank, element))


def _claim(claims: dict[str, _Claim], tag: str, claim: _Claim) -> None:
    if claim.beats(claims.get(tag)):
        claims[tag] = claim


def _without(elements: Elements, tags: Collection[str]) -> Elements:
    return {tag: element for tag, element in elements.items() if tag not in tags}


def _over(common: Elements, own: Elements, tag: str) -> Elements:
    return own if tag in own else common


def _distinct(instances: Iterable[PackInstance]) -> Iterable[Elements]:
    """Yield each instance's own attributes, those without any of interest only once."""
    plain = False
    for instance in instances:
        own = instance.attributes
        if not _SET_TAGS.isdisjoint(own):
            yield own
        elif not plain:
            plain = True
            yield own


def add_to_series(series: SeriesRecord | None, contribution: Contribution) -> SeriesRecord | None:
    """Return `series` with `contribution` added; None while nothing of it is visible."""
    if not contribution.instance_count:
        return series
    claims = _join(series, contribution.series_claims)
    return SeriesRecord(
        tenant=contribution.tenant,
        study_instance_uid=contribution.study_instance_uid,
        series_instance_uid=contribution.series_instance_uid,
        attributes=_elements(claims),
        ranks=_ranks(claims),
        modalities=contribution.modalities | (series.modalities if series else frozenset()),
        sop_classes=contribution.sop_classes | (series.sop_classes if series else frozenset()),
        instance_count=contribution.instance_count + (series.instance_count if series else 0),
        length_bytes=contribution.length_bytes + (series.length_bytes if series else 0),
        first_received_us=_first(series, contribution),
        last_received_us=_last(series, contribution),
    )


def add_to_study(
    study: StudyRecord | None, contribution: Contribution, *, rev: int, new_series: bool
) -> StudyRecord:
    """Return `study` with `contribution` added.

    Args:
        study: None where there is none yet.
        contribution: of instances that are not in it.
        rev: of the record that is returned.
        new_series: whether its series had nothing visible before.
    """
    claims = _join(study, contribution.study_claims)
    counts = bool(contribution.instance_count)
    return StudyRecord(
        tenant=contribution.tenant,
        study_instance_uid=contribution.study_instance_uid,
        rev=rev,
        attributes=_elements(claims),
        ranks=_ranks(claims),
        patients=contribution.patients | (study.patients if study else frozenset()),
        modalities=contribution.modalities | (study.modalities if study else frozenset()),
        sop_classes=contribution.sop_classes | (study.sop_classes if study else frozenset()),
        series_count=(study.series_count if study else 0) + (counts and new_series),
        instance_count=contribution.instance_count + (study.instance_count if study else 0),
        length_bytes=contribution.length_bytes + (study.length_bytes if study else 0),
        first_received_us=_first(study, contribution),
        last_received_us=_last(study, contribution),
        has_cold_packs=study.has_cold_packs if study else False,
        amendments=study.amendments if study else (),
        erased=study.erased if study else frozenset(),
        labels=study.labels if study else frozenset(),
    )


def _join(record: StudyRecord | SeriesRecord | None, claims: _Claims) -> dict[str, _Claim]:
    joined = (
        {tag: _Claim(record.ranks[tag], element) for tag, element in record.attributes.items()}
        if record
        else {}
    )
    for tag, claim in claims.items():
        _claim(joined, tag, claim)
    return joined


def _elements(claims: _Claims) -> Elements:
    return {tag: claims[tag].element for tag in sorted(claims)}


def _ranks(claims: _Claims) -> dict[str, str]:
    return {tag: claims[tag].rank for tag in sorted(claims)}


def _first(record: StudyRecord | SeriesRecord | None, contribution: Contribution) -> int:
    if record is None or not record.instance_count:
        return contribution.first_received_us
    if not contribution.instance_count:
        return record.first_received_us
    return min(record.first_received_us, contribution.first_received_us)


def _last(record: StudyRecord | SeriesRecord | None, contribution: Contribution) -> int:
    return max(record.last_received_us if record else 0, contribution.last_received_us)


def disagreeing(patients: Collection[Patient]) -> bool:
    """Return whether `patients` cannot be one person: two IDs, or one ID of two issuers.

    A patient without an issuer agrees with the same ID of any issuer.
    """
    ids = {patient.patient_id for patient in patients}
    issuers = {patient.issuer for patient in patients} - {""}
    return len(ids) > 1 or len(issuers) > 1

"""Records come back as they were, with or without the fields that few of them have."""

from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogue_samples import NOW_US, SERIES, STUDY, TENANT, instance, pack
from pacs_cloud.catalogue import codec
from pacs_cloud.catalogue.aggregate import add_to_study, summarise
from pacs_cloud.catalogue.records import HiddenReason, PackRecord, StudyRecord
from pacs_cloud.dicom.amendment import Amendment, AmendmentReason
from pacs_cloud.errors import Corrupt

_UIDS = st.sampled_from(["", "1.2.3", "1.2.4"])
_ELEMENTS = st.dictionaries(
    st.sampled_from(["00100010", "00100020", "00081030"]),
    st.sampled_from(
        [{"vr": "LO"}, {"vr": "LO", "Value": ["é"]}, {"vr": "PN", "Value": [{"Alphabetic": "A"}]}]
    ),
)
_AMENDMENTS = st.lists(
    st.builds(
        Amendment,
        correction_id=st.uuids().map(str),
        elements=_ELEMENTS,
        amended_us=st.integers(0, NOW_US),
        series_instance_uid=_UIDS,
        sop_instance_uid=_UIDS,
        reason=st.sampled_from(AmendmentReason),
        system=st.sampled_from(["", "pacs"]),
        source=st.sampled_from(["", "HIS"]),
    ),
    max_size=3,
).map(tuple)


def _study() -> StudyRecord:
    contribution = summarise(pack([instance("1.2.1")]), {"1.2.1"})
    return add_to_study(None, contribution, rev=7, new_series=True)


def _pack() -> PackRecord:
    return PackRecord(TENANT, STUDY, SERIES, "p", 10, 1, NOW_US, {"1.1": HiddenReason.DELETED})


def _decoded_study(data: bytes) -> StudyRecord:
    return codec.decode_study(TENANT, STUDY, 7, data)


def _decoded_pack(data: bytes) -> PackRecord:
    return codec.decode_pack(TENANT, STUDY, SERIES, "p", data)


@given(
    _AMENDMENTS,
    st.frozensets(st.sampled_from(["1.5", "1.6"])),
    st.frozensets(st.sampled_from(["vip", "teaching"])),
    st.booleans(),
)
def test_a_study_comes_back(
    amendments: tuple[Amendment, ...],
    erased: frozenset[str],
    labels: frozenset[str],
    is_cold: bool,
) -> None:
    study = replace(
        _study(), amendments=amendments, erased=erased, labels=labels, has_cold_packs=is_cold
    )
    decoded = _decoded_study(codec.encode_study(study))
    assert decoded == study
    assert decoded.has_cold_packs == is_cold


@given(_AMENDMENTS, st.sampled_from([0, NOW_US]))
def test_a_pack_comes_back(amendments: tuple[Amendment, ...], recalled_until_us: int) -> None:
    record = replace(_pack(), amendments=amendments, recalled_until_us=recalled_until_us)
    assert _decoded_pack(codec.encode_pack(record)) == record


@pytest.mark.parametrize("more", [[], [1]])
def test_a_record_without_them_is_as_it_was(more: list[int]) -> None:
    study = replace(_study(), has_cold_packs=bool(more))
    fields = orjson.loads(codec.encode_study(study))
    assert fields[11:] == more  # nothing behind the times
    record = replace(_pack(), recalled_until_us=sum(more))
    assert orjson.loads(codec.encode_pack(record))[5:] == more


@pytest.mark.parametrize(
    "more",
    [
        {"amendments": [{}]},
        {"amendments": [{"correction": "c", "elements": 1}]},
        {"erased": 3},
        {"labels": 3},
    ],
)
def test_odd_fields_are_told(more: dict[str, object]) -> None:
    with pytest.raises(Corrupt):
        _decoded_study(orjson.dumps([*orjson.loads(codec.encode_study(_study())), more]))
    if "amendments" in more:
        with pytest.raises(Corrupt):
            _decoded_pack(orjson.dumps([*orjson.loads(codec.encode_pack(_pack())), more]))

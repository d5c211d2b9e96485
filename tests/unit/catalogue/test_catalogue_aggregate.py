"""Records are the same in whatever order and grouping their instances come."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from catalogue_samples import NOW_US, SERIES, attributes, element, instance, name, pack
from pacs_cloud.catalogue.aggregate import (
    add_to_series,
    add_to_study,
    disagreeing,
    rank_of,
    summarise,
)
from pacs_cloud.catalogue.recompute import recompute
from pacs_cloud.catalogue.records import Patient, SeriesRecord, StudyRecord
from pacs_cloud.pack.index import PackIndex

VALUES = {
    "00100010": (name("A^B"), name("C^D"), element("PN")),
    "00100020": (element("LO", "1"), element("LO", "2"), element("LO")),
    "00080020": (element("DA", "20240101"), element("DA", "20240102")),
    "00080060": (element("CS", "CT"), element("CS", "SR")),
    "0008103E": (element("LO", "one"), element("LO", "two"), element("LO", None)),
    "00200013": (element("IS", 1), element("IS", 2)),
}

INSTANCES = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.integers(0, 3),
        st.fixed_dictionaries({}, optional={tag: st.sampled_from(VALUES[tag]) for tag in VALUES}),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


def grouped(instances: list, groups: list[int]) -> list[tuple[PackIndex, set[str]]]:
    """Pack the instances of each series and group, with what they share in `common`."""
    packs: list[tuple[PackIndex, set[str]]] = []
    for series in (0, 1):
        for group in sorted(set(groups)):
            members = [
                (at, one)
                for at, (one, its) in enumerate(zip(instances, groups, strict=True))
                if one[0] == series and its == group
            ]
            if not members:
                continue
            shared = {
                tag: value
                for tag, value in members[0][1][2].items()
                if all(one[2].get(tag) == value for _, one in members)
            }
            index = pack(
                [
                    instance(
                        f"1.2.{at}",
                        received_us=NOW_US + one[1],
                        own={tag: value for tag, value in one[2].items() if tag not in shared},
                    )
                    for at, one in members
                ],
                series=f"{SERIES}.{series}",
                common=shared,
            )
            packs.append((index, {f"1.2.{at}" for at, one in members if not one[3]}))
    return packs


def added(packs: list[tuple[PackIndex, set[str]]]) -> tuple[StudyRecord | None, dict]:
    study: StudyRecord | None = None
    series: dict[str, SeriesRecord] = {}
    for index, visible in packs:
        contribution = summarise(index, visible)
        before = series.get(index.series_instance_uid)
        after = add_to_series(before, contribution)
        if after is not None:
            series[index.series_instance_uid] = after
        study = add_to_study(study, contribution, rev=1, new_series=before is None)
    return study, series


@given(INSTANCES, st.data())
def test_any_order_and_grouping_gives_equal_records(instances: list, data: st.DataObject) -> None:
    count = len(instances)
    groupings = st.lists(st.integers(0, 2), min_size=count, max_size=count)
    one = grouped(instances, data.draw(groupings))
    other = data.draw(st.permutations(grouped(instances, data.draw(groupings))))
    assert added(one) == added(other)
    parts = [summarise(index, visible) for index, visible in data.draw(st.permutations(one))]
    assert recompute(parts, rev=1) == added(one)


@given(INSTANCES)
def test_it_says_what_the_first_instance_with_a_value_says(instances: list) -> None:
    study, _ = added(grouped(instances, [0] * len(instances)))
    shown = sorted((one[1], f"1.2.{at}", at) for at, one in enumerate(instances) if not one[3])
    assert study is not None
    for tag in ("00100010", "00100020", "00080020"):
        said = [instances[at][2][tag] for _, _, at in shown if tag in instances[at][2]]
        valued = [value for value in said if value.get("Value")]
        if said:
            assert study.attributes[tag] == (valued or said)[0]


def test_a_value_beats_none_and_the_first_received_wins() -> None:
    early = instance("1.2.2", received_us=5, own={"00100010": element("PN")})
    middle = instance("1.2.9", received_us=6, own={"00100010": name("M")})
    late = instance("1.2.1", received_us=7, own={"00100010": name("L")})
    index = pack([late, early, middle], common=attributes(patient_name=""))
    study, _ = recompute([summarise(index, {"1.2.1", "1.2.2", "1.2.9"})], rev=1)
    assert study is not None
    assert study.attributes["00100010"] == name("M")
    assert study.ranks["00100010"] == rank_of(middle)
    study, _ = recompute([summarise(index, {"1.2.2"})], rev=1)
    assert study is not None
    assert study.attributes["00100010"] == element("PN")


def test_nothing_visible_says_nothing() -> None:
    study, series = recompute([summarise(pack([instance("1.2.1")]), set())], rev=4)
    assert study is not None
    assert (study.rev, study.instance_count, study.series_count) == (4, 0, 0)
    assert study.attributes == {}
    assert series == {}
    assert recompute([], rev=1) == (None, {})


def test_one_uid_in_two_series_at_one_moment_does_not_depend_on_the_order() -> None:
    index = pack([instance("1.2.1")], common=attributes(patient_name="A"))
    other = replace(
        index, series_instance_uid="1.2.7", common=attributes(patient_name="B"), pack_id="x"
    )
    parts = [summarise(index, {"1.2.1"}), summarise(other, {"1.2.1"})]
    assert recompute(parts, rev=1) == recompute(parts[::-1], rev=1)


def test_two_patients_disagree() -> None:
    assert not disagreeing({Patient("", "1"), Patient("H", "1")})
    assert disagreeing({Patient("G", "1"), Patient("H", "1")})
    assert disagreeing({Patient("", "1"), Patient("", "2")})

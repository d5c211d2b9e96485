"""A pack's table as amendments show it."""

from hypothesis import given
from hypothesis import strategies as st

from catalogue_samples import NOW_US, SERIES, attributes, element, instance, name, pack
from pacs_cloud.dicom.amendment import Amendment, in_order, shown_elements
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.pack.amended import amended

_SOME = ("1.1", "1.2", "1.3")


def _amendment(elements: Elements, at: int = 0, series: str = "", uid: str = "") -> Amendment:
    return Amendment(f"c{at}", elements, NOW_US + at, series, uid)


def test_without_amendments_it_is_the_same() -> None:
    index = pack([instance(uid) for uid in _SOME])
    assert amended(index, ()) is index
    other = _amendment({"00100010": name("X")}, series="9.9")
    unsearched = _amendment({"00180050": element("DS", 1)})
    assert amended(index, [other, unsearched]) is index


def test_the_whole_series_shows_it_also_where_an_instance_had_its_own() -> None:
    own: Elements = {"00100010": name("OWN"), "00200013": element("IS", 2)}
    index = pack([instance("1.1"), instance("1.2", own=own)])
    shown = amended(index, [_amendment({"00100010": name("MENDED"), "00104000": {"vr": "LT"}})])
    assert shown.common == attributes(patient_name="MENDED") | {"00104000": {"vr": "LT"}}
    assert [one.attributes for one in shown.instances] == [{}, {"00200013": element("IS", 2)}]
    assert index.instances[1].attributes == own  # what came in stays


def test_one_instance_alone_shows_it() -> None:
    index = pack([instance(uid) for uid in _SOME])
    shown = amended(index, [_amendment({"00200013": element("IS", 7)}, series=SERIES, uid="1.2")])
    assert shown.common == index.common
    assert [one.attributes for one in shown.instances] == [{}, {"00200013": element("IS", 7)}, {}]


_TAGS = ("00100010", "00080060", "00200013", "00180050")
_ELEMENTS = st.dictionaries(st.sampled_from(_TAGS), st.builds(element, st.just("SH"), st.text()))


@given(
    st.lists(
        st.builds(
            _amendment,
            _ELEMENTS,
            st.integers(0, 5),
            st.sampled_from(["", SERIES, "9.9"]),
            st.sampled_from(["", "1.1", "1.2"]),
        ),
        max_size=5,
    ),
    st.tuples(*[_ELEMENTS] * len(_SOME)),
)
def test_each_instance_has_what_overlaying_its_own_attributes_gives(
    amendments: list[Amendment], own: tuple[Elements, ...]
) -> None:
    own = tuple({tag: some[tag] for tag in some if tag != "00180050"} for some in own)
    index = pack([instance(uid, own=some) for uid, some in zip(_SOME, own, strict=True)])
    standing = in_order(amendments)
    shown = amended(index, standing)
    touching = [one for one in standing if one.touches_series(SERIES)]
    for before, after in zip(index.instances, shown.instances, strict=True):
        expected = shown_elements(index.attributes_of(before), touching, before.sop_instance_uid)
        expected.pop("00180050", None)  # not searched: only headers hold it
        assert shown.attributes_of(after) == expected

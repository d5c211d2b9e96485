"""What the ledger says of amendments."""

import orjson
import pytest

from catalogue_samples import NOW_US, STUDY, TENANT, element
from pacs_cloud.catalogue.amendment_entries import AmendmentEntry, standing_amendments
from pacs_cloud.catalogue.decisions import decode_decisions
from pacs_cloud.dicom.amendment import Amendment, AmendmentReason
from pacs_cloud.errors import Corrupt

_FIRST = Amendment(
    "c1", {"00100010": element("LO", "x")}, NOW_US, "1.2", "1.2.3", AmendmentReason.COERCE, "P", "H"
)
_SECOND = Amendment("c2", {"00100020": {"vr": "LO"}}, NOW_US - 1)


def _entry(correction: str, amendment: Amendment | None, at: int) -> AmendmentEntry:
    return AmendmentEntry(TENANT, STUDY, correction, amendment, "ada", "why", NOW_US + at)


@pytest.mark.parametrize("amendment", [_FIRST, _SECOND, None])
def test_an_entry_comes_back(amendment: Amendment | None) -> None:
    entry = _entry("c1", amendment, 0)
    assert AmendmentEntry.from_json(entry.to_json()) == entry
    assert decode_decisions(entry.to_json()) == ()  # it decides nothing of any pack


@pytest.mark.parametrize(
    "change", [{"version": 2}, {"kind": "hidden"}, {"amendment": {}}, {"amendment": []}]
)
def test_an_odd_entry_is_told(change: dict[str, object]) -> None:
    fields = orjson.loads(_entry("c1", _FIRST, 0).to_json()) | change
    with pytest.raises(Corrupt):
        AmendmentEntry.from_json(orjson.dumps(fields))


def test_the_latest_entry_of_each_correction_stands() -> None:
    made = [_entry("c1", _FIRST, 0), _entry("c2", _SECOND, 5)]
    assert standing_amendments(made) == (_SECOND, _FIRST)  # by their own times
    assert standing_amendments([*made, _entry("c1", None, 1)]) == (_SECOND,)
    assert standing_amendments([_entry("c1", None, 0), made[0]]) == ()
    # A second try of the same correction is the same.
    assert standing_amendments([*made, _entry("c1", _FIRST, 9)]) == (_SECOND, _FIRST)

"""What one change takes, so that a DynamoDB transaction never has more than its 4 MB."""

from dataclasses import replace

from amendment_samples import amendment, text_of
from catalogue_samples import NOW_US, STUDY, TENANT
from pacs_cloud.catalogue import changing
from pacs_cloud.catalogue.change_parts import BYTES_PER_CHANGE, first_part, parts_of
from pacs_cloud.catalogue.records import CHANGED_AT_ONCE, HiddenReason, PackRecord

PACK = PackRecord(TENANT, STUDY, f"{STUDY}.1", "p", 1, 1, NOW_US)
AMENDED = replace(PACK, amendments=(amendment(1, {"00104000": text_of("x" * 64_000, "LT")}),))


def packs(one: PackRecord, count: int) -> list[PackRecord]:
    return [replace(one, pack_id=f"p{number:03d}") for number in range(count)]


def test_small_records_are_as_many_as_a_change_takes() -> None:
    every = packs(PACK, CHANGED_AT_ONCE + 3)
    assert [len(part) for part in parts_of(every)] == [CHANGED_AT_ONCE, 3]
    assert first_part(every, 40) == every[:40]
    assert list(parts_of([])) == [[]]


def test_corrections_and_what_is_hidden_count_with_their_bytes() -> None:
    every = packs(AMENDED, CHANGED_AT_ONCE)
    parts = list(parts_of(every))
    assert [one for part in parts for one in part] == every
    assert max(map(len, parts)) * 64_000 <= BYTES_PER_CHANGE
    hidden = {f"{STUDY}.1.{number}": HiddenReason.DELETED for number in range(20_000)}
    assert len(first_part(packs(replace(PACK, hidden=hidden), 10), 10)) == 2


def test_one_record_goes_alone_however_large_it_is() -> None:
    hidden = {f"{STUDY}.1.{number}": HiddenReason.DELETED for number in range(200_000)}
    large = packs(replace(PACK, hidden=hidden), 2)
    assert [len(part) for part in parts_of(large)] == [1, 1]


def test_a_change_of_a_study_has_room_for_the_most_corrections() -> None:
    every = packs(AMENDED, 50)
    assert len(first_part(every, changing.PACKS_PER_CHANGE)) == changing.PACKS_PER_CHANGE

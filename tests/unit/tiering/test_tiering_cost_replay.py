"""An archive's own arrivals and reads: as they were, and as they go on."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from tiering_access import at, write
from typer.testing import CliRunner

from catalogue_samples import NOW_US, STUDY, TENANT, Shelf, attributes, element, instance, pack
from pacs_cloud.bootstrap.services import open_stores
from pacs_cloud.catalogue.records import StudyRecord
from pacs_cloud.cli.cost_commands import cost
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.objectstore.storage_classes import StorageClass
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.access.log import DayOfReads
from pacs_cloud.tiering.access.sheet import Access
from pacs_cloud.tiering.cost import replay
from pacs_cloud.tiering.cost.hospital import Subject
from pacs_cloud.tiering.cost.layouts import PACKS
from pacs_cloud.tiering.cost.prices import load_prices
from pacs_cloud.tiering.cost.replay import Past
from pacs_cloud.tiering.cost.simulation import Terms, assigned, simulate
from pacs_cloud.tiering.policy import Match, Policy, Step

BEGAN = date(2024, 3, 10)
MB = 1_000_000


def a_study(number: int, day: date, modality: str = "CT", **said: str) -> StudyRecord:
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    received_us = int(noon.timestamp()) * 1_000_000
    tags = {"description": "00081030", "institution": "00080080"}
    own = {tags[name]: element("LO", value) for name, value in said.items()}
    return StudyRecord(
        tenant=TENANT,
        study_instance_uid=f"1.2.{number}",
        rev=1,
        attributes=attributes() | own,
        ranks={},
        patients=frozenset(),
        modalities=frozenset(modality.split("+")),
        sop_classes=frozenset(),
        series_count=3,
        instance_count=30,
        length_bytes=30 * MB,
        first_received_us=received_us,
        last_received_us=received_us,
    )


def past_of(days: int, *, a_day: int = 2, reads_after: tuple[int, ...] = (0, 20)) -> Past:
    """Return so many days on which studies come, CT and MR in turns, and are read later."""
    past = Past(TENANT)
    read: dict[int, dict[str, Access]] = {}
    for number in range(days * a_day):
        day = number // a_day
        past.add(a_study(number, BEGAN + timedelta(days=day), ("CT", "MR")[number % 2]))
        for later in reads_after:
            if day + later < days:
                read.setdefault(day + later, {})[f"1.2.{number}"] = Access(9, 3, 30 * MB, 0)
    for day, accesses in sorted(read.items()):
        past.read(DayOfReads(BEGAN + timedelta(days=day), accesses))
    return past


def subject_of(
    past: Past, days: int, *, growth: float | None = 0, seed: int = 1, years=2
) -> Subject:
    today = BEGAN + timedelta(days=days - 1)
    return past.subject(today, years, seed=seed, growth=growth, outside_percent=100)


def daily(subject: Subject, days: np.ndarray) -> np.ndarray:
    return np.bincount(days, minlength=subject.calendar.days)


def test_what_was_is_replayed_on_its_own_days() -> None:
    subject = subject_of(past_of(70), 70)
    assert subject.calendar.first == date(2024, 3, 1)
    assert subject.calendar.months == 24
    came, read = daily(subject, subject.studies.day), daily(subject, subject.reads.day)
    assert came[:79].tolist() == [0] * 9 + [2] * 70
    assert read[:79].tolist() == [0] * 9 + [2] * 20 + [4] * 50
    assert set(subject.studies.length_bytes.tolist()) == {30 * MB}
    assert (subject.studies.series[0], subject.studies.instances[0]) == (3, 10)


def test_its_last_weeks_come_again_and_are_read_again() -> None:
    subject = subject_of(past_of(70), 70)
    came, read = daily(subject, subject.studies.day), daily(subject, subject.reads.day)
    assert set(came[79:].tolist()) == {2}
    assert (read[79 + 29 : 149] == 4).all(), "a week of it that has all its reads has all again"
    assert read[79:149].sum() == read[9:79].sum()
    assert (np.diff(subject.studies.day) >= 0).all()
    assert (np.diff(subject.reads.study) >= 0).all()
    late = subject.reads.day - subject.studies.day[subject.reads.study]
    assert set(late.tolist()) == {0, 20}


def test_reads_of_what_is_older_than_the_weeks_become_reads_of_their_kind() -> None:
    days = 1000
    subject = subject_of(past_of(days, a_day=1, reads_after=(400,)), days, years=4)
    kinds = [kind.modality for kind in subject.hospital.kinds]
    assert kinds == ["CT", "MR"]
    late = subject.reads.day - subject.studies.day[subject.reads.study]
    assert late.min() >= 400
    assert late.max() <= 400 + 14
    # As many as in the last 364 days, again and again.
    read = daily(subject, subject.reads.day)
    end = 9 + days
    assert read[end : end + 364].sum() == read[end - 364 : end].sum() == 364


def test_weeks_of_which_no_read_is_known_do_not_come_again() -> None:
    subject = subject_of(past_of(364, reads_after=(300,)), 364)
    assert "those of its last 63 days" in subject.says
    assert "Reads are known from 2025-01-04 on." in subject.says
    read = daily(subject, subject.reads.day)
    assert (read[9 + 364 :] == 2).all()


def test_arrivals_and_their_reads_grow_as_it_is_asked() -> None:
    subject = subject_of(past_of(364, a_day=10), 364, growth=0.5, years=3)
    came, read = daily(subject, subject.studies.day), daily(subject, subject.reads.day)
    second, first = came[9 + 364 : 9 + 728].sum(), came[9 : 9 + 364].sum()
    assert 1.45 < second / first < 1.55
    assert 1.4 < read[9 + 364 : 9 + 728].sum() / read[9 : 9 + 364].sum() < 1.6
    assert "(assumed)" in subject.says


def test_an_archive_of_two_years_has_a_growth_of_its_own() -> None:
    past = Past(TENANT)
    for day in range(728):
        for one in range(3 if day >= 364 else 2):
            past.add(a_study(day * 3 + one, BEGAN + timedelta(days=day)))
    assert subject_of(past, 728, growth=0.1).hospital.growth == 0.1, "what is asked for counts"
    subject = subject_of(past, 728, growth=None)
    assert subject.hospital.growth == 0.5
    assert "+50.0% a year (as in its last two years)" in subject.says


def test_the_same_seed_goes_on_in_the_same_way() -> None:
    one, again, other = (subject_of(past_of(60), 60, growth=0.3, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.studies.day, again.studies.day)
    assert np.array_equal(one.reads.study, again.reads.study)
    assert not np.array_equal(one.studies.day, other.studies.day)


def test_policies_find_what_they_ask_for_in_a_replay() -> None:
    past = Past(TENANT)
    past.add(a_study(1, BEGAN, "CT+SR", description="CT THORAX", institution="St. Mary"))
    past.add(a_study(2, BEGAN, "MR"))
    subject = subject_of(past, 30)
    policies = [
        Policy("other", Match(tenants=frozenset({"other"}))),
        Policy("chest", Match(frozenset({TENANT}), frozenset({"SR"}), ("*thorax*",))),
        Policy("rest", steps=(Step(StorageClass.GLACIER_IR, 30),)),
    ]
    whose = assigned(policies, subject.hospital, subject.studies)
    assert set(whose.tolist()) == {1, 2}
    assert subject.hospital.kinds[0].ratio == 2.3, "reports have no pixels"
    terms = Terms(subject.calendar, load_prices().region("us-east-1"), PACKS)
    outcome = simulate(subject.hospital, subject.studies, subject.reads, policies, terms)
    assert sum(outcome.studies.values()) == len(subject.studies.day)


def test_a_study_is_read_as_often_as_its_bytes_were_and_once_at_least() -> None:
    past = Past(TENANT)
    past.add(a_study(1, BEGAN))
    read = {"1.2.1": Access(40, 90, 91 * MB, 0), "1.2.9": Access(1, 1, 1, 0)}
    past.read(DayOfReads(BEGAN, read))
    past.read(DayOfReads(BEGAN + timedelta(days=3), {"1.2.1": Access(1, 0, 0, 0)}))
    reads = subject_of(past, 30).reads
    assert reads.day[reads.day < 9 + 30].tolist() == [9, 9, 9, 12]


def test_what_cannot_be_replayed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = Past(TENANT)
    hidden.add(replace(a_study(1, BEGAN), instance_count=0))
    with pytest.raises(InvalidRequest, match="holds no study"):
        subject_of(hidden, 30)
    with pytest.raises(InvalidRequest, match=r"28 days or more, and this one has 27$"):
        subject_of(past_of(27), 27)
    monkeypatch.setattr(replay, "MOST_STUDIES", 100)
    with pytest.raises(InvalidRequest, match="studies, above 100: take fewer years"):
        subject_of(past_of(40), 40)
    with pytest.raises(InvalidRequest, match="100 studies at most"):
        past_of(51)
    monkeypatch.setattr(replay, "MOST_READS", 10)
    with pytest.raises(InvalidRequest, match="10 reads at most"):
        past_of(40)
    monkeypatch.undo()
    monkeypatch.setattr(replay, "MOST_READS", 200)
    with pytest.raises(InvalidRequest, match="reads, above 200"):
        subject_of(past_of(40), 40)


async def test_the_command_says_what_else_there_is_to_simulate(tmp_path: Path) -> None:
    async with open_stores(Settings(data=tmp_path), create=True):
        pass
    file = tmp_path / "tiers.toml"
    file.write_text('[[policies]]\nname = "p"\nsteps = []\n')
    asked = ["simulate", "--policies", str(file), "--replay", "--data", str(tmp_path)]
    done = await asyncio.to_thread(CliRunner().invoke, cost, asked)
    assert str(done.exception).endswith(
        "the archive holds no study; without --replay a made-up hospital is simulated"
    )


async def test_the_command_replays_an_archive(tmp_path: Path) -> None:
    file = tmp_path / "tiers.toml"
    file.write_text(
        '[[policies]]\nname = "p"\nsteps = [{ to = "GLACIER_IR", study_age_days = 30 }]\n'
    )
    async with open_stores(Settings(data=tmp_path), create=True) as stores:
        await Shelf(stores.catalogue).commit(pack([instance("1.2.3"), instance("1.2.4")]))
        day = datetime.fromtimestamp(NOW_US / 1e6, UTC).date().isoformat()
        assert at(day)
        await write(stores.objects, day, STUDY)

    def run(*more: str) -> str:
        asked = ["simulate", "--policies", str(file), "--replay", "--data", str(tmp_path)]
        done = CliRunner().invoke(cost, [*asked, "--years", "2", "--growth", "0", *more])
        if done.exception is not None:
            raise done.exception
        return done.stdout

    said = json.loads(await asyncio.to_thread(run, "--json"))
    assert said["of"].startswith("The archive's own 1 studies and 1 reads of them until ")
    assert said["months"][0] == day[:7]
    assert said["growth"] == 0
    assert said["restore_speed"] == "standard"
    with pytest.raises(InvalidRequest, match="--studies is for a made-up hospital"):
        await asyncio.to_thread(run, "--studies", "5")

"""Whoever may store with some studies only adds to them, and changes nothing of what is there."""

import pytest
from ingest_instances import SERIES, STUDY, UPLOAD, ct_file, scanner, store, upload

from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.errors import InvalidInstance
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.ingest.session import Session
from pacs_cloud.pack.index import decode_table, encode_index
from pacs_cloud.pack.source import Door, Source
from pacs_cloud.security.caller import Action, Caller, Grant, Role
from pacs_cloud.security.rules import StudyRule

RULE = StudyRule(studies=frozenset({STUDY}))
GUEST = Caller("default", "guest:1", (Grant(Role.GUEST, (RULE,), frozenset({Action.STORE})),))
SOUTH = Caller("default", "user:s", (Grant(Role.TECHNOLOGIST, (RULE,)),))
EVERYWHERE = Caller("default", "user:e", (Grant(Role.TECHNOLOGIST),))


def session(intake: Intake, caller: Caller) -> Session:
    return intake.session(caller, UPLOAD, is_admitted=True)


async def first(intake: Intake) -> None:
    """Store slice 1, as a scanner does."""
    association = scanner(intake)
    await store(association, 1)
    await association.flush()
    await intake.drained()


@pytest.mark.parametrize("caller", [GUEST, SOUTH])
async def test_nothing_of_theirs_replaces_what_is_there(archive, caller: Caller) -> None:
    async with archive.intake(policy=ConflictPolicy.REPLACE) as intake:
        await first(intake)
        before = await archive.instances(STUDY)
        theirs = session(intake, caller)
        await upload(theirs, ct_file(1, name="MALLORY"), STUDY)
        (outcome,) = await theirs.commit_each()
        assert outcome.status == "kept-first"
        assert await archive.instances(STUDY) == before
        # What is not there yet comes in.
        await upload(theirs, ct_file(2), STUDY)
        assert [one.status for one in await theirs.commit_each()] == ["stored"]


async def test_others_replace_as_the_policy_says(archive) -> None:
    async with archive.intake(policy=ConflictPolicy.REPLACE) as intake:
        await first(intake)
        theirs = session(intake, EVERYWHERE)
        await upload(theirs, ct_file(1, name="AGAIN"), STUDY)
        assert [one.status for one in await theirs.commit_each()] == ["replaced"]


async def test_nor_after_a_crash(archive) -> None:
    """What was not committed yet is committed by the next process, which knows no callers."""
    async with archive.intake(policy=ConflictPolicy.REPLACE) as intake:
        await first(intake)
    before = await archive.instances(STUDY)
    stopped = archive.intake(policy=ConflictPolicy.REPLACE)
    theirs = session(stopped, GUEST)
    await upload(theirs, ct_file(1, name="MALLORY"), STUDY)
    await theirs.flush()
    await stopped._spool.sealed()  # nobody commits: that intake was never entered
    stopped._directory.release()
    async with archive.intake(policy=ConflictPolicy.REPLACE) as intake:
        await intake.drained()
    assert len(await archive.packs(STUDY)) == 2
    assert await archive.instances(STUDY) == before


async def test_only_series_that_they_are_let_at(archive) -> None:
    async with archive.intake() as intake:
        theirs = session(intake, GUEST)
        only = frozenset({SERIES})
        for series, is_taken in ((SERIES, True), (f"{SERIES}.9", False)):
            reception = theirs.begin_file(study_instance_uid=STUDY, series=only)
            reception.write(ct_file(1, series=series))
            if is_taken:
                await reception.finish()
            else:
                with pytest.raises(InvalidInstance):
                    await reception.finish()


async def test_packs_say_so_and_others_are_as_they_were(archive) -> None:
    async with archive.intake() as intake:
        theirs = session(intake, GUEST)
        await upload(theirs, ct_file(1), STUDY)
        await theirs.commit_each()
    (pack,) = await archive.packs(STUDY)
    index = await archive.index(pack)
    assert [source.yields for source in index.sources] == [True]
    again = decode_table(encode_index(index, [b"{}"]))
    assert again == index
    assert "yields" not in Source(Door.STOW).as_json()

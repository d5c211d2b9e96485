"""Links to some series of a study: nothing tells that there are others, and none are changed."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from integration.share_house import ANNA, SHARED, Archived, instance_file, shared_archive
from integration.test_access_matrix import BASE, WANTED
from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.errors import InvalidRequest, NotFound
from pacs_cloud.identity.shares_wish import ShareWish
from pacs_cloud.security.caller import Grant, Role, system
from pacs_cloud.security.rules import StudyRule

HEAD, NECK = f"{SHARED}.1", f"{SHARED}.7"
HIDDEN = "neck"


def neck_file(number: int = 1) -> bytes:
    return instance_file(
        SHARED,
        SeriesInstanceUID=NECK,
        SOPInstanceUID=f"{NECK}.{number}",
        SeriesDescription="NECK",
        Modality="MR",
    )


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Archived]:
    async with shared_archive(tmp_path, policy=ConflictPolicy.REPLACE) as made:
        await made.store(neck_file())
        yield made


async def files_of(archive: Archived) -> dict[str, str]:
    """The digest of each instance that is shown of the study."""
    found = await archive.archive.instances.locate(system("default"), SHARED)
    return {one.instance.sop_instance_uid: one.instance.digest for one in found}


async def test_nothing_tells_of_another_series(archive: Archived) -> None:
    made = await archive.made(series=(HEAD,), may_download=True, may_reply=True)
    before = await files_of(archive)
    async with archive.guest(made) as guest:
        page = await guest.get(guest.page)
        assert "AXIAL" in page.text
        assert HIDDEN not in page.text.casefold()
        assert NECK not in page.text
        assert (await guest.get(f"{guest.page}/studies/{SHARED}/series/{NECK}")).status_code == 404
        for method, path in WANTED:
            if "{study}" not in path and not path.endswith("/wado"):
                continue
            filled = path.format(
                study=SHARED, series=NECK, instance=f"{NECK}.1", frames="1", path="7FE00010"
            )
            if path.endswith("/wado"):
                uids = f"studyUID={SHARED}&seriesUID={NECK}&objectUID={NECK}.1"
                filled = f"{filled}?requestType=WADO&{uids}"
            answer = await guest.ask(method, filled, neck_file(2))
            case = f"{method} {path}: {answer.status_code}"
            assert NECK.encode() not in answer.content.replace(f"{NECK}.2".encode(), b""), case
            assert HIDDEN not in answer.text.casefold(), case
            if "{series}" in path or path.endswith("/wado"):
                assert answer.status_code in {204, 403, 404}, case
        for query in (
            *("studies?includefield=all", "series", "instances", "studies?ModalitiesInStudy=MR"),
            *(f"instances?SOPInstanceUID={NECK}.1", f"series?SeriesInstanceUID={NECK}"),
        ):
            answer = await guest.ask("GET", f"{BASE}/{query}")
            assert NECK not in answer.text, query
            assert HIDDEN not in answer.text.casefold(), query
        (study,) = (await guest.ask("GET", f"{BASE}/studies")).json()
        assert study["00201206"]["Value"] == [1]
        assert study["00201208"]["Value"] == [2]
    assert await files_of(archive) == before


async def test_a_guest_replaces_nothing_and_brings_only_what_fits(archive: Archived) -> None:
    made = await archive.made(series=(HEAD,), may_reply=True)
    before = await files_of(archive)
    async with archive.guest(made) as guest:
        for path in (f"{BASE}/studies/{SHARED}", f"{BASE}/studies"):
            for forged in (instance_file(SHARED, 1, PatientName="FORGED"), neck_file()):
                answer = await guest.ask("POST", path, forged)
                assert answer.status_code in {202, 403, 409}
        assert await files_of(archive) == before
        reply = await guest.reply(
            ("forged.dcm", instance_file(SHARED, 1, PatientName="FORGED")),
            ("neck.dcm", neck_file(9)),
            ("new.dcm", instance_file(SHARED, 9)),
            ("report.pdf", b"%PDF-1.4 a report\n%%EOF"),
        )
        assert "2 files were received" in reply.text
        assert "kept aside" in reply.text
    after = await files_of(archive)
    assert {uid: after[uid] for uid in before} == before
    assert f"{NECK}.9" not in after
    assert f"{HEAD}.9" in after


async def test_whoever_sees_some_series_shares_no_others(archive: Archived) -> None:
    rule = StudyRule(studies=frozenset({SHARED}), series=frozenset({HEAD}))
    carl = replace(ANNA, grants=(Grant(Role.CLINICIAN, (rule,)),))

    async def make(**more: tuple[str, ...]) -> None:
        await archive.shares.create(carl, ShareWish((SHARED,), "why", **more), door="page")

    await make(series=(HEAD,))
    for series in ((NECK,), (HEAD, NECK), ("1.2.3",)):
        with pytest.raises(NotFound):
            await make(series=series)
    with pytest.raises(InvalidRequest, match="name the series"):
        await make()
    with pytest.raises(NotFound):
        await archive.made(series=("1.2.3",))
    with pytest.raises(InvalidRequest, match="of one study"):
        await archive.made(SHARED, "1.2.826.0.1.82", series=(HEAD,))

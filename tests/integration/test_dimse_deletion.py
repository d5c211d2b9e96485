"""What was deleted is no C-MOVE's, and what was restored is again."""

import asyncio
from pathlib import Path

import pytest
from dimse_archive import (
    CT,
    EXPLICIT,
    STUDY_MOVE,
    destination,
    identifier_of,
    instance,
    move,
    running,
)
from pynetdicom import build_context, evt

from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.catalogue.records import UidRef
from pacs_cloud.custody.stored_pack import load_table
from pacs_cloud.custody.trash.deletion import Trash
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.pack.index import PackIndex
from pacs_cloud.settings import Destination

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pydicom"),
]


async def test_a_deleted_study_is_not_moved(tmp_path: Path) -> None:
    seen: list[str] = []

    def answer(event: evt.Event) -> int:
        seen.append(event.request.AffectedSOPInstanceUID)
        return 0

    with destination([build_context(CT, EXPLICIT)], answer) as port:
        peers = (Destination(aet="THERE", host="127.0.0.1", port=port),)
        async with running(tmp_path, destinations=peers) as archive:
            assert set(await archive.store(instance(1), instance(2))) == {0}
            assert await archive.searchable("1.2.3.4.1")
            assert await archive.searchable("1.2.3.4.2")
            stores = archive.stores

            async def load(tenant: str, ref: UidRef) -> PackIndex:
                return await load_table(stores.objects, stores.catalogue, tenant, ref)

            trash = Trash(stores.objects, stores.catalogue, load, now_us)
            one = Scope("default", "1.2.3", "1.2.3.4", "1.2.3.4.1")
            steps = (
                (trash.delete, one, ["1.2.3.4.2"]),
                (trash.delete, Scope("default", "1.2.3"), []),
                (trash.restore, one, ["1.2.3.4.1"]),
                (trash.restore, Scope("default", "1.2.3"), ["1.2.3.4.1", "1.2.3.4.2"]),
            )
            for act, scope, left in steps:
                await act(scope)
                seen.clear()
                identifier = identifier_of("STUDY", StudyInstanceUID="1.2.3")
                got = await asyncio.to_thread(move, archive, STUDY_MOVE, identifier, "THERE")
                assert sorted(seen) == left
                assert got.status == 0
                assert got.responses[-1][0].NumberOfCompletedSuboperations == len(left)

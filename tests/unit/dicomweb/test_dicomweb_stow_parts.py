"""The parts of one store request."""

import asyncio

import pytest

from dicomweb_samples import make_instance
from pacs_cloud.dicomweb import media, stow_parts
from pacs_cloud.dicomweb.media import MediaType
from pacs_cloud.dicomweb.multipart import PartBegins, PartBytes, PartEnds
from pacs_cloud.dicomweb.stow_parts import Parts
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.ingest.session import Session


async def test_a_body_has_so_many_instances_and_no_more(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stow_parts, "MAX_FILES", 2)
    root = MediaType(media.DICOM)
    parts = Parts(session, None, "http://archive/studies", root, asyncio.Semaphore(1), 1 << 20)

    async def sent(number: int) -> None:
        await parts.take(PartBegins({}))
        await parts.take(PartBytes(memoryview(make_instance(f"1.2.3.1.1.{number}"))))
        await parts.take(PartEnds())

    await sent(1)
    await sent(2)
    with pytest.raises(InvalidRequest, match="2 instances"):
        await sent(3)
    parts.abort()
    assert [one.sop_instance_uid for one in parts.stored] == ["1.2.3.1.1.1", "1.2.3.1.1.2"]
    assert len(await session.commit_each()) == 2

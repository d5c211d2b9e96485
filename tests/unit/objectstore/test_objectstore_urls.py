"""What an object store's URL may say, and what its store then does."""

from pathlib import Path

import pytest

from pacs_cloud.bootstrap.adapters import open_objects
from pacs_cloud.errors import InvalidRequest, Offline
from pacs_cloud.objectstore.port import Availability
from pacs_cloud.objectstore.storage_classes import RecallSpeed, StorageClass
from pacs_cloud.settings import StoreUrl, parse_store_url


def url(text: str) -> StoreUrl:
    return StoreUrl.model_validate(parse_store_url(text))


async def test_a_file_store_s_tiers_and_recall_delay(tmp_path: Path) -> None:
    tape = tmp_path / "tape"
    tape.mkdir()
    text = f"file://{tmp_path}/objects?GLACIER={tape}&recall_delay_s=3600.5"
    async with open_objects(url(text)) as store:
        await store.put_new("a/k", b"body")
        await store.move("a/k", StorageClass.GLACIER)
        assert (tape / "a" / "k").read_bytes() == b"body"
        recalled = await store.recall("a/k", 1, RecallSpeed.BULK)
        assert recalled.availability is Availability.RESTORING
        with pytest.raises(Offline):
            await store.get("a/k")


@pytest.mark.parametrize(
    "options",
    [
        "file:///{}/o?STANDARD=/mnt/x",
        "file:///{}/o?ICE=/mnt/x",
        "file:///{}/o?GLACIER=mnt",
        "file:///{}/o?recall_delay_s=-1",
        "file:///{}/o?recall_delay_s=soon",
        "s3://b?moves=lifecycle",
        "s3://b?cold=warm",
        "s3://b?lock=forever",
        "s3://b?region=here&storage_class=GLACIER",
    ],
)
async def test_an_option_that_says_nothing_is_refused(tmp_path: Path, options: str) -> None:
    with pytest.raises(InvalidRequest):
        async with open_objects(url(options.format(str(tmp_path)[1:]))):
            pass

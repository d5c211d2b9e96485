"""What the tests over sockets share."""

import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from dicomweb_archive import cloud_stores
from pynetdicom.association import Association

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.objectstore.port import ObjectStore
from patience import PATIENCE_S
from servers.fixtures import Place


class _Settled(threading.Event):
    """The checkpoint of a pynetdicom association, whose `set` returns once its thread has passed.

    Without that a request that follows a response at once finds the thread still marked as paused,
    goes on, and the thread takes the next response away ("Received unexpected C-STORE service
    message", then a DIMSE timeout): one in about a thousand against a peer that answers quickly.
    """

    def __init__(self, association: Association) -> None:
        super().__init__()
        self._association = association

    def set(self) -> None:
        super().set()
        deadline = time.monotonic() + PATIENCE_S
        while (
            self._association._is_paused
            and self._association.is_alive()
            and threading.current_thread() is not self._association
            and time.monotonic() < deadline
        ):
            time.sleep(0.0002)


@pytest.fixture(scope="session", autouse=True)
def pynetdicom_hands_over_orderly() -> Iterator[None]:
    """Mend pynetdicom 3.0.4's race between its two threads, for these tests; have it wait."""
    with pytest.MonkeyPatch.context() as patch:
        original = Association.__init__

        def settled(self: Association, *args: Any, **options: Any) -> None:
            original(self, *args, **options)
            self.acse_timeout = self.dimse_timeout = self.network_timeout = PATIENCE_S
            self._reactor_checkpoint = _Settled(self)
            threading.Event.set(self._reactor_checkpoint)

        patch.setattr(Association, "__init__", settled)
        yield


@pytest.fixture
async def cloud(
    s3_bucket: Place, dynamodb_table: Place
) -> AsyncIterator[tuple[ObjectStore, Catalogue]]:
    """Empty stores on each pair of an S3 and a DynamoDB server that this machine has."""
    async with cloud_stores(s3_bucket, dynamodb_table) as stores:
        yield stores

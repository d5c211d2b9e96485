"""Where a merged pack lies: in the class of those that it replaces."""

import logging

from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.errors import Conflict, Corrupt, Denied, InvalidRequest, Offline
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.objectstore.storage_classes import class_named, is_colder, needs_recall

log = logging.getLogger(__name__)


async def put_beside(objects: ObjectStore, key: str, replaced: PackRecord) -> str:
    """Move a new pack to the class of one that it replaces; return the class that it lies in.

    Not to where it would have to be recalled, nor up. Where it cannot be moved it stays: the
    next plan of the policies moves it.
    """
    lies_in = (await objects.head(key)).storage_class
    at, to = class_named(lies_in), class_named(replaced.storage_class)
    if at is None or to is None or needs_recall(replaced.storage_class) or not is_colder(to, at):
        return lies_in
    try:
        return (await objects.move(key, to)).storage_class
    except (Conflict, Corrupt, Denied, InvalidRequest, Offline) as error:
        log.warning("merged_pack_not_moved", extra={"key": key, "error": type(error).__name__})
        return lies_in

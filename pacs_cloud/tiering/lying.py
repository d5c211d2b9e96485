"""Where packs lie, as the store has said, written into the catalogue."""

from collections.abc import Mapping
from dataclasses import replace

from pacs_cloud.catalogue.pack_facts import note_packs
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import PackRecord


async def note_where(
    catalogue: Catalogue,
    tenant: str,
    study_instance_uid: str,
    lie_in: Mapping[str, str],
    *,
    now_us: int,
) -> None:
    """Write the classes that packs of a study lie in into their records, where that is news.

    Args:
        catalogue: where the records are.
        tenant: whose.
        study_instance_uid: which study.
        lie_in: the class of each, by its id.
        now_us: microseconds since 1970 UTC.

    Raises:
        Unavailable: the catalogue cannot be reached, or the study keeps changing.
    """

    def noted(pack: PackRecord) -> PackRecord:
        lies_in = lie_in.get(pack.pack_id, pack.storage_class)
        if lies_in == pack.storage_class:
            return pack
        # A readable copy goes with the stay that it was of.
        until_us = min(pack.recalled_until_us, now_us)
        return replace(pack, storage_class=lies_in, recalled_until_us=until_us)

    await note_packs(catalogue, tenant, study_instance_uid, noted, now_us=now_us)

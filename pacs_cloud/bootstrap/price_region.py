"""Whose list prices an archive pays, as far as its object store says."""

from typing import Final

from pacs_cloud.errors import NotFound
from pacs_cloud.objectstore.s3_endpoints import is_aws, region_named
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.cost.prices import PriceTable

ON_SITE: Final = "on-site"
"""What price tables call a store of one's own."""


def price_region(settings: Settings, table: PriceTable, wanted: str = "") -> str:
    """Return the name of a region of `table`: the one wanted, or where the objects lie.

    Raises:
        NotFound: the table has no such region.
    """
    name = wanted or _region_of(settings)
    try:
        table.region(name)
    except NotFound as error:
        raise (error if wanted else NotFound(f"{error}: name one by --region")) from None
    return name


def _region_of(settings: Settings) -> str:
    url = settings.objects_url
    endpoint = url.options.get("endpoint", "")
    if url.scheme != "s3" or not is_aws(endpoint):
        return ON_SITE
    named = url.options.get("region") or region_named(endpoint)
    if named:
        return named
    # Imported only here: an archive of files never loads a cloud's client.
    from pacs_cloud.objectstore.s3_clients import default_region

    return default_region()

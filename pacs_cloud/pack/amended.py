"""A pack's table as amendments show it, for whatever is searched or summarised."""

from collections.abc import Iterable
from dataclasses import replace

from pacs_cloud.dicom.amendment import Amendment
from pacs_cloud.dicom.attributes import SEARCH_TAGS
from pacs_cloud.pack.index import PackIndex
from pacs_cloud.pack.instance import PackInstance


def amended(index: PackIndex, amendments: Iterable[Amendment]) -> PackIndex:
    """Return `index` with its searched attributes as `amendments` show them.

    Everything else in it stays: where the bytes are, and what came in. Its `attributes_of`
    an instance are what `shown_elements` makes of what they were.

    Args:
        index: the table as received.
        amendments: in order; those that touch other series are passed over.
    """
    common = index.common
    instances = index.instances
    for one in amendments:
        if not one.touches_series(index.series_instance_uid):
            continue
        shown = {tag: one.elements[tag] for tag in one.elements if tag in SEARCH_TAGS}
        if not shown:
            continue
        if one.sop_instance_uid:
            instances = tuple(
                found._replace(attributes=found.attributes | shown)
                if one.touches(found.sop_instance_uid)
                else found
                for found in instances
            )
        else:
            common = common | shown
            instances = tuple(_without(found, frozenset(shown)) for found in instances)
    if common is index.common and instances is index.instances:
        return index
    return replace(index, common=common, instances=instances)


def _without(instance: PackInstance, tags: frozenset[str]) -> PackInstance:
    """Return `instance` without what it says of its own under `tags`."""
    own = instance.attributes
    if tags.isdisjoint(own):
        return instance  # as nearly all
    return instance._replace(attributes={tag: own[tag] for tag in own if tag not in tags})

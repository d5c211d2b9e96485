"""Whether a bucket moves what policies have tagged: asked before anything is.

Tagging costs money and moves nothing by itself. A bucket whose rules were never put, or
were put back to the template's by a stack update, would be told by nobody.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pacs_cloud.objectstore.lifecycles import HasLifecycle
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.objectstore.storage_classes import TIER_TAG, StorageClass
from pacs_cloud.tiering.policy import Policy


async def unmoved_in(objects: ObjectStore, policies: Sequence[Policy]) -> tuple[StorageClass, ...]:
    """Return the classes that policies move to, and no rule of the bucket does.

    None where the store moves objects itself.

    Raises:
        Denied: this caller may not see the bucket's lifecycle, or whether it keeps versions.
        Unavailable: it cannot be reached.
    """
    if not isinstance(objects, HasLifecycle) or not await objects.moves_by_tag():
        return ()
    used = {step.to for policy in policies for step in policy.steps}
    if not used:
        return ()
    found = await objects.lifecycle()
    return unmoved(used, found, prefix=objects.key_prefix)


def unmoved(
    classes: set[StorageClass], found: Mapping[str, Any], *, prefix: str = ""
) -> tuple[StorageClass, ...]:
    """Return which of `classes` no rule moves tagged packs to, whatever the rule's name.

    Args:
        classes: which are wanted.
        found: what boto3's `get_bucket_lifecycle_configuration` answered.
        prefix: what the store puts before every key.
    """
    rules = found.get("Rules", ())
    keys = f"{prefix}packs/"
    return tuple(
        one
        for one in StorageClass
        if one in classes and not any(_moves(rule, one, keys) for rule in rules)
    )


def _moves(rule: Mapping[str, Any], to: StorageClass, keys: str) -> bool:
    """Tell whether a rule moves every pack that is tagged for `to` there."""
    chosen: Mapping[str, Any] = rule.get("Filter") or {}
    chosen = {**chosen, **chosen.get("And", {})}
    tags = [*chosen.get("Tags", ()), *([chosen["Tag"]] if "Tag" in chosen else ())]
    return (
        rule.get("Status") == "Enabled"
        and keys.startswith(chosen.get("Prefix") or rule.get("Prefix") or "")
        and all((tag["Key"], tag.get("Value", "")) == (TIER_TAG, to) for tag in tags)
        and "ObjectSizeLessThan" not in chosen
        and any(move.get("StorageClass") == to for move in rule.get("Transitions", ()))
    )

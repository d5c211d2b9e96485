"""What keeps policies from being carried out at the store that the settings name, in words."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pacs_cloud.bootstrap.services import Stores
from pacs_cloud.errors import Denied, InvalidRequest
from pacs_cloud.objectstore.s3_endpoints import is_aws, moves_by_tag
from pacs_cloud.objectstore.storage_classes import StorageClass, needs_recall
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.advice import advise, is_feasible
from pacs_cloud.tiering.lifecycle_check import unmoved_in
from pacs_cloud.tiering.policy import Policy
from pacs_cloud.tiering.policy_file import read_policies

_COLD: Final = frozenset(one for one in StorageClass if needs_recall(one))
UNCHECKED: Final = (
    "the bucket's lifecycle cannot be read (s3:GetLifecycleConfiguration): whether it moves"
    " what is tagged is not known"
)


def moved_by_rules(settings: Settings) -> bool:
    """Tell whether a bucket's lifecycle moves packs, and not the archive."""
    url = settings.objects_url
    moves, endpoint = url.options.get("moves", ""), url.options.get("endpoint", "")
    return url.scheme == "s3" and moves_by_tag(moves, endpoint)


def unreadable(settings: Settings, policies: Sequence[Policy]) -> str:
    """Return why what policies move away might not be read again; "" where it is.

    Not every server that has S3's cold classes has its restores, too.
    """
    url = settings.objects_url
    cold = sorted({step.to for policy in policies for step in policy.steps} & _COLD)
    if url.scheme != "s3" or not cold or is_aws(url.options.get("endpoint", "")):
        return ""
    if "cold" in url.options:
        return ""
    return (
        f"this store is not AWS's, and may never bring back what lies in {', '.join(cold)}: put"
        " cold=online into its URL if it reads every class at once, or cold=offline if it"
        " restores as S3 does; else take these steps out"
    )


def policies_in_force(settings: Settings, file: Path) -> Sequence[Policy]:
    """Return what the worker carries out; raises InvalidRequest where it cannot be."""
    policies = read_policies(file)
    if not is_feasible(advise(policies, by_rules=moved_by_rules(settings))):
        raise InvalidRequest(f"{file} cannot be carried out: `pacs-cloud tier validate` says why")
    if words := unreadable(settings, policies):
        raise InvalidRequest(f"{file} is not carried out: {words}")
    return policies


async def unmoved_words(stores: Stores, policies: Sequence[Policy]) -> tuple[list[str], list[str]]:
    """Return why nothing that is tagged would move, and what could not be found out.

    Raises:
        Unavailable: the store cannot be reached.
    """
    try:
        classes = await unmoved_in(stores.objects, policies)
    except Denied:
        return [], [UNCHECKED]
    words = [
        f"nothing will move to {one}: the bucket has no rule for what is tagged pacs-tier={one}."
        " Put what `pacs-cloud tier lifecycle` prints of this file"
        for one in classes
    ]
    return words, []

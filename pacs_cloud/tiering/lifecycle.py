"""The bucket lifecycle configuration that carries tier policies out on S3.

A lifecycle rule knows when an object was made, not when its study was: repacking and
importing make old studies' objects new. So workers tag a pack `pacs-tier=CLASS` when
it is due there, and one rule for each class moves what is so tagged. A policy that is
for all of a tenant and counts only by `Clock.STORED` is what a rule can know: it moves
those packs by their age too, whether a worker runs or not, but only to classes that are read
at once: before a pack goes where it must be recalled from, a worker sees to what stays
hot of it, and whether its study is pinned. (A pack is as old as its study's last
instance, or older, so such a rule is early for a study that grew late.)

S3's own limit for every class, 128 KiB, is written into each rule: buckets of before
September 2024, and other servers, have other defaults or none.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import Any, Final, TypeAlias

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.objectstore.keys import check_prefix
from pacs_cloud.objectstore.storage_classes import RULES, SMALL_BYTES, TIER_TAG, StorageClass
from pacs_cloud.tiering.policy import Clock, Match, Policy, Step

Rule: TypeAlias = dict[str, Any]
"""One rule, as boto3's `put_bucket_lifecycle_configuration` takes it."""

MOST_RULES: Final = 1000
"""Of one bucket (S3 User Guide, "Lifecycle configuration elements")."""

AGE_RULE: Final = "tier-age"
"""The name of a rule by the age of objects, or its beginning, before the tenant's name."""

NONCURRENT_DAYS: Final = 30
INCOMPLETE_UPLOAD_DAYS: Final = 2
"""The defaults of infra/template.yaml."""

_DELETED: Final = {
    "expire-deleted-packs": "packs/",
    "expire-deleted-indexes": "index/",
    "expire-deleted-thumbnails": "thumbs/",
    "expire-deleted-marks": "trash/",
    "expire-deleted-recalls": "recalls/",
    "expire-deleted-access-counts": "access/",
    "expire-deleted-fixity-rounds": "fixity/",
    "expire-deleted-turns": "turns/",
}
"""The template's rules for old versions, and the keys that each is for."""

_DELETED_AT_ONCE: Final = {
    f"expire-deleted-{keys}": f"{keys}/"
    for keys in (
        *("users", "keys", "tries", "sessions", "shares", "glass"),
        *("checks", "sends"),
    )
}
"""Likewise, of hashes of passwords and keys that count no more, and of how far something was: they
go after a day."""

_APART_DAYS: Final = 30
"""S3 refuses a rule that moves on from STANDARD_IA sooner; ours wait so long in every class."""


def configuration(
    policies: Sequence[Policy],
    *,
    prefix: str = "",
    noncurrent_days: int = NONCURRENT_DAYS,
    incomplete_upload_days: int = INCOMPLETE_UPLOAD_DAYS,
    knows_sizes: bool = True,
    with_ages: bool = True,
) -> dict[str, list[Rule]]:
    """Return the `LifecycleConfiguration` of a bucket: the template's rules, then the tiers'.

    Args:
        policies: those that can be carried out (`infeasible`), in their order.
        prefix: what the store puts before every key, "" or ending in `/`.
        noncurrent_days: how long what was deleted can be brought back.
        incomplete_upload_days: how long an upload may take.
        knows_sizes: whether the server's rules may be for objects of some size alone, as
            Ceph's (16) may not. Else they move what workers tag, which is large enough,
            and nothing by its age.
        with_ages: whether there are rules that go by the age of objects. They move what is
            pinned, too: S3 can leave nothing out by a tag.

    Raises:
        InvalidRequest: `prefix` is none.
    """
    if check_prefix(prefix) and not prefix.endswith("/"):
        raise InvalidRequest(f"a prefix ends in '/': {prefix!r}")
    rules = [
        *base_rules(prefix, noncurrent_days, incomplete_upload_days),
        *_tag_rules(policies, prefix, knows_sizes=knows_sizes),
    ]
    if not (knows_sizes and with_ages):
        return {"Rules": rules}
    # Where there are too many tenants, workers tag the packs of those that are left.
    rules += islice(_age_rules(policies, prefix), MOST_RULES - len(rules))
    return {"Rules": rules}


def base_rules(
    prefix: str = "",
    noncurrent_days: int = NONCURRENT_DAYS,
    incomplete_upload_days: int = INCOMPLETE_UPLOAD_DAYS,
) -> list[Rule]:
    """Return the rules that every bucket has (infra/template.yaml), tiers or none."""
    uploads: Rule = {
        "ID": "drop-incomplete-uploads",
        "Status": "Enabled",
        "Filter": {"Prefix": prefix},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": incomplete_upload_days},
    }
    deleted: list[Rule] = [
        {
            "ID": name,
            "Status": "Enabled",
            "Filter": {"Prefix": prefix + keys},
            "NoncurrentVersionExpiration": {"NoncurrentDays": days},
        }
        for rules, days in ((_DELETED, noncurrent_days), (_DELETED_AT_ONCE, 1))
        for name, keys in rules.items()
    ]
    return [uploads, *deleted]


def by_age(policies: Sequence[Policy]) -> Mapping[str, Policy]:
    """Return the policies that a rule can carry out by the age of objects, by tenant.

    "" stands for every tenant: then no other is named.
    """
    found: dict[str, Policy] = {}
    spoken_for: set[str] = set()
    for policy in policies:
        tenants = policy.match.tenants
        if _is_by_age(policy):
            if tenants:
                found |= dict.fromkeys(sorted(tenants - spoken_for), policy)
            elif not spoken_for:
                found[""] = policy
        if not tenants:
            break  # what comes behind it is not the first that matches, for any tenant
        spoken_for |= tenants
    return found


def _is_by_age(policy: Policy) -> bool:
    """Tell whether it asks for a tenant alone, and S3 takes its warm steps as one rule."""
    warm = _warm(policy)
    return (
        Match(tenants=policy.match.tenants) == policy.match
        and bool(warm)
        and all(one.clock is Clock.STORED for one in policy.steps)
        and all(
            later.after_days - one.after_days >= max(_APART_DAYS, RULES[one.to].minimum_days)
            for one, later in pairwise(warm)
        )
    )


def _warm(policy: Policy) -> list[Step]:
    return [step for step in policy.steps if not RULES[step.to].needs_recall]


def _tag_rules(policies: Sequence[Policy], prefix: str, *, knows_sizes: bool) -> Iterator[Rule]:
    used = {step.to for policy in policies for step in policy.steps}
    for storage_class in StorageClass:
        if storage_class in used:
            yield _moving(
                f"tier-{storage_class}",
                {
                    "Prefix": f"{prefix}packs/",
                    "Tags": [{"Key": TIER_TAG, "Value": str(storage_class)}],
                },
                {storage_class: RULES[storage_class].lifecycle_days},
                least_bytes=SMALL_BYTES if knows_sizes else 0,
            )


def _age_rules(policies: Sequence[Policy], prefix: str) -> Iterator[Rule]:
    for tenant, policy in by_age(policies).items():
        keys = f"{prefix}packs/{tenant}/" if tenant else f"{prefix}packs/"
        yield _moving(
            f"{AGE_RULE}-{tenant}" if tenant else AGE_RULE,
            {"Prefix": keys},
            {step.to: step.after_days for step in _warm(policy)},
            least_bytes=SMALL_BYTES,
        )


def _moving(
    name: str,
    chosen: Mapping[str, Any],
    moves: Mapping[StorageClass, int],
    *,
    least_bytes: int,
) -> Rule:
    large = {"ObjectSizeGreaterThan": least_bytes - 1} if least_bytes else {}
    return {
        "ID": name,
        "Status": "Enabled",
        "Filter": {"And": {**chosen, **large}},
        "Transitions": [
            {"Days": days, "StorageClass": str(storage_class)}
            for storage_class, days in moves.items()
        ],
    }

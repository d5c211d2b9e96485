"""Where a bucket's lifecycle configuration is not what it should be, in words."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from pacs_cloud.errors import InvalidRequest

_NUMBERED: Final = {
    "AbortIncompleteMultipartUpload": {
        "DaysAfterInitiation": "dropping incomplete uploads, after days"
    },
    "NoncurrentVersionExpiration": {
        "NoncurrentDays": "removing old versions, after days",
        "NewerNoncurrentVersions": "keeping old versions, at most",
    },
    "Expiration": {
        "Days": "removing objects, after days",
        "Date": "removing objects, on",
        "ExpiredObjectDeleteMarker": "removing lone delete markers",
    },
}
_MOVES: Final = {
    "Transitions": "moving to {} after days",
    "NoncurrentVersionTransitions": "moving old versions to {} after days",
}


def drift(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Return which rules are missing, changed or strange, a line each; none where all is well.

    Args:
        wanted: what `lifecycle.configuration` returned.
        found: what boto3's `get_bucket_lifecycle_configuration` answered; `{}` where the
            bucket has none.

    Raises:
        InvalidRequest: something in `found` is no rule of S3's.
    """
    ours, theirs = _by_id(wanted), _by_id(found)
    return [
        *(_missing(name, said) for name, said in ours.items() if name not in theirs),
        *(
            f'rule "{name}" is changed: {what}'
            for name, said in ours.items()
            if name in theirs
            for what in _changes(said, theirs[name])
        ),
        *(_strange(name, said) for name, said in theirs.items() if name not in ours),
    ]


def _by_id(configuration: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    return {str(rule.get("ID", "")): _said(rule) for rule in configuration.get("Rules", [])}


def _said(rule: Mapping[str, Any]) -> dict[str, str]:
    try:
        return dict(_sayings(rule))
    except (AttributeError, KeyError, TypeError) as error:
        raise InvalidRequest(f'rule "{rule.get("ID", "")}" is none that S3 has') from error


def _missing(name: str, said: Mapping[str, str]) -> str:
    return f'rule "{name}" is missing: {_all(said)}'


def _strange(name: str, said: Mapping[str, str]) -> str:
    return f'rule "{name}" is none of ours: {_all(said)}'


def _all(said: Mapping[str, str]) -> str:
    return "; ".join(f"{what} {value}" for what, value in said.items())


def _changes(wanted: Mapping[str, str], found: Mapping[str, str]) -> Iterator[str]:
    for what, value in wanted.items():
        if what not in found:
            yield f"{what} {value} is not said"
        elif found[what] != value:
            yield f"{what} {found[what]}, not {value}"
    for what, value in found.items():
        if what not in wanted:
            yield f"{what} {value} should not be said"


def _sayings(rule: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a rule says, piece by piece, however it is written down.

    A filter of one part may stand in `And`, and the prefix alone in the rule itself, as
    it once had to (S3 API, LifecycleRule).
    """
    yield "status", str(rule.get("Status"))
    yield from _filtered(rule)
    for key, value in rule.items():
        if key in _NUMBERED:
            for part, said in value.items():
                yield _NUMBERED[key].get(part, f"{key}.{part}"), str(said)
        elif key in _MOVES:
            for move in value:
                days = move.get("Days", move.get("NoncurrentDays", move.get("Date")))
                yield _MOVES[key].format(move.get("StorageClass")), str(days)
                if "NewerNoncurrentVersions" in move:
                    yield (
                        f"keeping old versions before {move['StorageClass']}, at most",
                        str(move["NewerNoncurrentVersions"]),
                    )
        elif key not in {"ID", "Status", "Filter", "Prefix"}:
            yield key, orjson.dumps(value, default=str).decode()


def _filtered(rule: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    chosen: Mapping[str, Any] = rule.get("Filter") or {}
    chosen = {**chosen, **chosen.get("And", {})}
    prefix = chosen.get("Prefix") or rule.get("Prefix") or ""
    yield "of keys", f"{prefix}*"
    for tag in [*chosen.get("Tags", []), *([chosen["Tag"]] if "Tag" in chosen else [])]:
        yield f"with tag {tag['Key']}", str(tag.get("Value", ""))
    for part, words in (
        ("ObjectSizeGreaterThan", "of more bytes than"),
        ("ObjectSizeLessThan", "of fewer bytes than"),
    ):
        if part in chosen:
            yield words, str(chosen[part])

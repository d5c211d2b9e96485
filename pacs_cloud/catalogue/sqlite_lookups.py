"""Look-ups of many keys at once in the SQLite catalogue."""

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from operator import attrgetter

from pacs_cloud.catalogue import codec, uidrefs
from pacs_cloud.catalogue.records import StudyRecord, UidRef

_KEYS_AT_ONCE = 500
_BY_AGE = attrgetter("pack_id", "series_instance_uid")


def find_studies(
    connection: sqlite3.Connection, tenant: str, uids: Sequence[str]
) -> list[StudyRecord]:
    """Return the studies of `uids` that exist."""
    return [
        codec.decode_study(tenant, *row)
        for some in _chunks(uids)
        for row in connection.execute(
            _marked("SELECT uid, rev, record FROM study WHERE tenant = ? AND uid IN", some),
            (tenant, *some),
        )
    ]


def find_uids(
    connection: sqlite3.Connection, tenant: str, uids: Collection[str]
) -> Mapping[str, tuple[UidRef, ...]]:
    """Return where each of `uids` was staged."""
    by_key: dict[str, list[str]] = {}
    for uid in uids:
        for key in uidrefs.keys_of(uid):
            by_key.setdefault(key, []).append(uid)
    found: dict[str, set[UidRef]] = {}
    for some in _chunks(sorted(by_key)):
        refs: dict[int, UidRef] = {}  # few: the UIDs of a pack mostly lie in the same packs
        for key, suffixes, staged, *names in connection.execute(
            _marked(
                "SELECT u.key, u.suffixes, s.id, s.study, s.series, s.pack_id FROM uid AS u"
                " JOIN staged AS s ON s.id = u.staged WHERE u.tenant = ? AND u.key IN",
                some,
            ),
            (tenant, *some),
        ):
            ref = refs.get(staged)
            if ref is None:
                ref = refs[staged] = UidRef(*names)
            entry = uidrefs.UidEntry(key, suffixes) if suffixes else None
            for uid in by_key[key]:
                if entry is None or uidrefs.holds(entry, uid):
                    found.setdefault(uid, set()).add(ref)
    return {uid: tuple(sorted(refs, key=_BY_AGE)) for uid, refs in found.items()}


def _chunks(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for at in range(0, len(keys), _KEYS_AT_ONCE):
        yield keys[at : at + _KEYS_AT_ONCE]


def _marked(query: str, values: Sequence[str]) -> str:
    """Return `query` with one question mark for each of `values`."""
    return f"{query} ({', '.join('?' * len(values))})"

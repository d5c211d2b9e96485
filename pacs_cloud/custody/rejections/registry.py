"""What is known of rejection notes, study by study: objects beside the ledger.

A note lies in one study and may name instances of others, which may come in later than it
does. So it is written down under every study that it touches, before anything is hidden:
whole in its own study, elsewhere as far as it names something there, so that one about
thousands of studies is not written thousands of times. A mark beside it says that there is
something: to look for that is cheaper than a listing, with every pack that comes in. Both
stay when the note is deleted: whether one is in force is told from the note itself (`force`).
"""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import orjson

from pacs_cloud.custody.rejections.note import Note, Why
from pacs_cloud.errors import Conflict, Corrupt, NotFound
from pacs_cloud.objectstore.keys import parse_rejection_key, rejection_key, rejection_prefix
from pacs_cloud.objectstore.port import ObjectStore

_VERSION: Final = 1
_KNOWN: Final = 100


async def register(objects: ObjectStore, note: Note) -> None:
    """Write `note` under every study that it touches; writing it twice is once.

    Raises:
        Unavailable: the store cannot be reached; some may be written.
    """
    home = note.study_instance_uid
    await _put(objects, home, note)
    for study in sorted(note.studies - {home}):
        await _put(objects, study, replace(note, named={study: note.named[study]}))


async def _put(objects: ObjectStore, study: str, note: Note) -> None:
    data = orjson.dumps(
        {
            "version": _VERSION,
            "study": note.study_instance_uid,
            "series": note.series_instance_uid,
            "instance": note.sop_instance_uid,
            "digest": note.digest,
            "received_us": note.received_us,
            "code": note.why,
            "named": note.named,
        }
    )
    # The same note, sent twice, was received at two times: the first is kept.
    with suppress(Conflict):
        await objects.put_new(rejection_key(note.tenant, study, note.digest), data)
    # Behind it: who finds no mark had committed before whoever wrote the note looks.
    with suppress(Conflict):
        await objects.put_new(_mark(note.tenant, study), b"")


async def is_touched(objects: ObjectStore, tenant: str, study_instance_uid: str) -> bool:
    """Return whether any note touches a study, in force or not; raises Unavailable."""
    try:
        await objects.head(_mark(tenant, study_instance_uid))
    except NotFound:
        return False
    return True


def _mark(tenant: str, study_instance_uid: str) -> str:
    return f"{rejection_prefix(tenant, study_instance_uid)}touched"


async def notes_about(
    objects: ObjectStore,
    tenant: str,
    study_instance_uid: str,
    known: dict[str, Note] | None = None,
) -> list[Note]:
    """Return the notes that touch a study, in force or not, oldest first.

    Args:
        objects: the store.
        tenant: whose.
        study_instance_uid: which study.
        known: notes by key that were read before, whole ones; more are added. What was
            written down never changes.

    Raises:
        Corrupt: one cannot be read.
        Unavailable: the store cannot be reached.
    """
    known = {} if known is None else known
    notes: list[Note] = []
    async for info in objects.list(rejection_prefix(tenant, study_instance_uid)):
        if parse_rejection_key(info.key) is None:
            continue  # the mark
        note = known.get(info.key) or _note(tenant, info.key, await objects.get(info.key))
        notes.append(note)
        if note.study_instance_uid == study_instance_uid:
            if len(known) >= _KNOWN:
                known.clear()
            known[info.key] = note
    return sorted(notes, key=lambda note: (note.received_us, note.digest))


async def studies_with_notes(
    objects: ObjectStore, tenant: str | None = None
) -> AsyncIterator[tuple[str, str]]:
    """Yield the studies that notes touch, with their tenants: of one tenant, or all."""
    last: tuple[str, str] | None = None
    async for info in objects.list(rejection_prefix(tenant)):
        named = parse_rejection_key(info.key)
        if named is not None and named[:2] != last:
            last = named[:2]
            yield last


def _note(tenant: str, key: str, data: bytes) -> Note:
    try:
        fields: dict[str, Any] = orjson.loads(data)
        if fields["version"] != _VERSION:
            raise Corrupt(f"{key} is of a version that is not known here")
        return Note(
            tenant=tenant,
            study_instance_uid=str(fields["study"]),
            series_instance_uid=str(fields["series"]),
            sop_instance_uid=str(fields["instance"]),
            digest=str(fields["digest"]),
            received_us=int(fields["received_us"]),
            why=Why(fields["code"]),
            named={
                str(study): {str(series): tuple(map(str, uids)) for series, uids in some.items()}
                for study, some in fields["named"].items()
            },
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Corrupt(f"{key} cannot be read") from error

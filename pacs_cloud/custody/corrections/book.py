"""The corrections of an archive, as objects.

    corrections/{tenant}/{id}-{kind}.json     what was ordered; written once
    corrections/{tenant}/{id}-undone.json     that it was taken back, by whom and why
    corrections/{tenant}/{id}/{study}.json    a study that came later and is its too
    correcting/{tenant}/{time}-{id}.json      a mark: somebody is at it, or has died there

What each study shows is in its own ledger (`ledger`), of which these are no part: a
rebuild needs none of them. Names of corrections sort by age.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from pacs_cloud.custody.corrections.correction import Correction, CorrectionKind
from pacs_cloud.custody.walk import CORRECTING, CORRECTIONS
from pacs_cloud.errors import Corrupt, NotFound
from pacs_cloud.objectstore.naming import naming
from pacs_cloud.objectstore.port import ObjectStore

_ID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_NAME: Final = re.compile(_ID)
_ORDER: Final = re.compile(rf"({_ID})-([a-z-]+)\.json")
_UNDONE: Final = "undone"
_KINDS: Final = frozenset(CorrectionKind)
_MARK: Final = re.compile(rf"correcting/([^/]+)/([0-9a-f]{{16}})-({_ID})\.json")


@dataclass(frozen=True, slots=True)
class Undone:
    """That a correction was taken back.

    Attributes:
        who: who ordered that.
        reason: why, in their words.
        undone_us: when, microseconds since 1970 UTC.
    """

    who: str
    reason: str
    undone_us: int


@dataclass(frozen=True, slots=True)
class CorrectionMark:
    """One go at a correction that was not seen to end.

    Attributes:
        tenant: whose.
        correction_id: which correction.
        marked_us: since when, microseconds since 1970 UTC.
        studies: the only ones that are left; none: all of it may be.
    """

    tenant: str
    correction_id: str
    marked_us: int
    studies: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Where it lies."""
        return f"{CORRECTING}{self.tenant}/{self.marked_us:016x}-{self.correction_id}.json"


async def put_correction(objects: ObjectStore, correction: Correction) -> None:
    """Write what is ordered; writing it twice is once."""
    await objects.put_new(_key_of(correction), correction.to_json())


async def read_correction(objects: ObjectStore, tenant: str, correction_id: str) -> Correction:
    """Return a correction.

    Raises:
        NotFound: there is none of this name.
        Corrupt: it cannot be read. Names its object.
    """
    if _NAME.fullmatch(correction_id) is None:
        raise NotFound("There is no such correction.")
    prefix = f"{_key(tenant, correction_id)}-"
    keys = [info.key async for info in objects.list(prefix)]
    for key in keys:
        if _kind_in(key, prefix) is not None:
            data = await objects.get(key)
            with naming(key):
                correction = Correction.from_json(data)
                if key != _key_of(correction):
                    raise Corrupt("a correction says something else than its key")
            return correction
    raise NotFound("There is no such correction.")


async def put_undone(objects: ObjectStore, tenant: str, correction_id: str, undone: Undone) -> None:
    """Write that a correction is taken back; raises Conflict where it was before."""
    fields = {
        "version": 1,
        "who": undone.who,
        "reason": undone.reason,
        "undone_us": undone.undone_us,
    }
    await objects.put_new(f"{_key(tenant, correction_id)}-undone.json", orjson.dumps(fields))


async def read_undone(objects: ObjectStore, tenant: str, correction_id: str) -> Undone | None:
    """Return who took a correction back, None where nobody did; raises Corrupt."""
    key = f"{_key(tenant, correction_id)}-undone.json"
    try:
        data = await objects.get(key)
    except NotFound:
        return None
    try:
        fields: dict[str, Any] = orjson.loads(data)
        return Undone(str(fields["who"]), str(fields["reason"]), int(fields["undone_us"]))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Corrupt(f"{key}: that a correction was undone cannot be read") from error


async def put_late_study(
    objects: ObjectStore, tenant: str, correction_id: str, study_instance_uid: str, now_us: int
) -> None:
    """Write that a study that came later is a correction's too, unless that is there."""
    key = f"{_key(tenant, correction_id)}/{study_instance_uid}.json"
    try:
        await objects.head(key)
    except NotFound:
        await objects.put_new(key, orjson.dumps({"version": 1, "came_us": now_us}))


async def late_studies(objects: ObjectStore, tenant: str, correction_id: str) -> list[str]:
    """Return the studies that came later, by UID."""
    prefix = f"{_key(tenant, correction_id)}/"
    keys = [info.key async for info in objects.list(prefix)]
    return [key.removeprefix(prefix).removesuffix(".json") for key in keys]


async def came_late(
    objects: ObjectStore, tenant: str, correction_id: str, study_instance_uid: str
) -> int | None:
    """Return when a study came that came later, None where it is none; raises Corrupt."""
    key = f"{_key(tenant, correction_id)}/{study_instance_uid}.json"
    try:
        data = await objects.get(key)
    except NotFound:
        return None
    try:
        return int(orjson.loads(data)["came_us"])
    except (ValueError, TypeError, KeyError) as error:
        raise Corrupt(f"{key}: a correction's later study cannot be read") from error


@dataclass(frozen=True, slots=True)
class Listed:
    """A correction, as far as names of objects tell."""

    correction_id: str
    kind: CorrectionKind
    is_undone: bool


async def listed_corrections(objects: ObjectStore, tenant: str) -> list[Listed]:
    """Return a tenant's corrections, oldest first."""
    prefix = f"{CORRECTIONS}{tenant}/"
    kinds: dict[str, CorrectionKind] = {}
    undone: set[str] = set()
    async for info in objects.list(prefix):
        named = _ORDER.fullmatch(info.key.removeprefix(prefix))
        if named is None:
            continue
        if named[2] == _UNDONE:
            undone.add(named[1])
        elif named[2] in _KINDS:
            kinds[named[1]] = CorrectionKind(named[2])
    return [Listed(name, kinds[name], name in undone) for name in sorted(kinds)]


async def put_mark(objects: ObjectStore, mark: CorrectionMark) -> None:
    """Write `mark`."""
    fields: dict[str, Any] = {"version": 1, "marked_us": mark.marked_us}
    if mark.studies:
        fields["studies"] = mark.studies
    await objects.put_new(mark.key, orjson.dumps(fields))


async def studies_left(objects: ObjectStore, mark: CorrectionMark) -> tuple[str, ...]:
    """Return the studies that are left by what lies under a mark; raises NotFound, Corrupt."""
    try:
        fields: dict[str, Any] = orjson.loads(await objects.get(mark.key))
        return tuple(map(str, fields.get("studies", ())))
    except (ValueError, TypeError, AttributeError) as error:
        raise Corrupt(f"{mark.key}: a correction's mark cannot be read") from error


async def remove_mark(objects: ObjectStore, mark: CorrectionMark) -> None:
    """Remove `mark`: what it stood for is over."""
    await objects.delete(mark.key)


async def correction_marks(
    objects: ObjectStore, tenant: str | None = None
) -> AsyncIterator[CorrectionMark]:
    """Yield the marks of a tenant (None: of each in turn), oldest first, as their keys say."""
    async for info in objects.list(CORRECTING if tenant is None else f"{CORRECTING}{tenant}/"):
        named = _MARK.fullmatch(info.key)
        if named is not None:
            yield CorrectionMark(named[1], named[3], int(named[2], 16))


def _kind_in(key: str, prefix: str) -> CorrectionKind | None:
    kind = key.removeprefix(prefix).removesuffix(".json")
    return CorrectionKind(kind) if kind in _KINDS else None


def _key_of(correction: Correction) -> str:
    return f"{_key(correction.tenant, correction.correction_id)}-{correction.kind}.json"


def _key(tenant: str, correction_id: str) -> str:
    return f"{CORRECTIONS}{tenant}/{correction_id}"

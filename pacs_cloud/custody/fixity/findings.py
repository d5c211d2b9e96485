"""What the rolling re-read has found, kept until it is mended.

One object for each pack at `fixity/found/{tenant}/{ss}/{study}/{series}/{pack}-{time}.json`.
"""

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass

import orjson

from pacs_cloud.custody.findings import Finding, FindingKind, Severity
from pacs_cloud.custody.walk import FIXITY
from pacs_cloud.errors import Corrupt, NotFound
from pacs_cloud.objectstore.keys import PackKey, parse_pack_key
from pacs_cloud.objectstore.port import ObjectStore

_FOUND = f"{FIXITY}found/"
_KEY = re.compile(rf"{_FOUND}(.+)-([0-9a-f]{{16}})\.json")
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Found:
    """What is wrong with one pack.

    Attributes:
        key: which pack.
        found_us: since when it is known, microseconds since 1970 UTC.
        findings: what is wrong.
    """

    key: PackKey
    found_us: int
    findings: tuple[Finding, ...]


class OpenFindings:
    """The findings of an archive that are not known to be mended."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._names: dict[PackKey, list[str]] = {}

    async def load(self) -> None:
        """Learn which packs have some; without reading them."""
        self._names.clear()
        async for info in self._objects.list(_FOUND):
            if (named := _parse(info.key)) is not None:
                self._names.setdefault(named[0], []).append(info.key)

    @property
    def packs(self) -> tuple[PackKey, ...]:
        """The packs that have some."""
        return tuple(self._names)

    async def settle(self, key: PackKey, findings: Sequence[Finding], now_us: int) -> bool:
        """Keep what was found now of a pack, and nothing else; return whether it was mended."""
        old = self._names.get(key, [])
        if findings and old and await self._says(old[-1], findings):
            return False
        if findings:
            times = [named[1] for name in old if (named := _parse(name)) is not None]
            name = _name(key, max([now_us, *(time + 1 for time in times)]))
            await self._objects.put_new(name, _encode(findings))
            self._names[key] = [name]
        else:
            self._names.pop(key, None)
        for name in old:
            await self._objects.delete(name)
        return bool(old) and not findings

    async def read(self) -> AsyncIterator[Found]:
        """Yield what is wrong, by pack; raises Corrupt."""
        for key, names in self._names.items():
            named = _parse(names[-1])
            assert named is not None
            try:
                yield Found(key, named[1], _decode(await self._objects.get(names[-1])))
            except NotFound:
                continue  # mended meanwhile

    async def _says(self, name: str, findings: Sequence[Finding]) -> bool:
        try:
            return await self._objects.get(name) == _encode(findings)
        except NotFound:
            return False


def _name(key: PackKey, found_us: int) -> str:
    path = key.pack.removeprefix("packs/").removesuffix(".zip")
    return f"{_FOUND}{path}-{found_us:016x}.json"


def _parse(name: str) -> tuple[PackKey, int] | None:
    match = _KEY.fullmatch(name)
    key = parse_pack_key(f"packs/{match[1]}.zip") if match is not None else None
    return (key, int(match[2], 16)) if match is not None and key is not None else None


def _encode(findings: Sequence[Finding]) -> bytes:
    return orjson.dumps({"version": _VERSION, "findings": [asdict(one) for one in findings]})


def _decode(data: bytes) -> tuple[Finding, ...]:
    try:
        fields = orjson.loads(data)
        return tuple(
            Finding(FindingKind(one.pop("kind")), Severity(one.pop("severity")), **one)
            for one in fields["findings"]
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Corrupt("what a re-read has found cannot be read") from error

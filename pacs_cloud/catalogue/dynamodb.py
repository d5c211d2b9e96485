"""The catalogue in one DynamoDB table, for any number of stateless processes."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiobotocore.config import AioConfig

from pacs_cloud.aws import new_session
from pacs_cloud.catalogue import codec, dynamodb_changes, items, uidrefs
from pacs_cloud.catalogue.dynamodb_search import Search
from pacs_cloud.catalogue.dynamodb_table import Consumed, Item, Table
from pacs_cloud.catalogue.ordering import checked, place_of
from pacs_cloud.catalogue.port import Anchor, StudyPage
from pacs_cloud.catalogue.records import (
    ConflictRecord,
    IndexFrames,
    OutboxEvent,
    PackRecord,
    SeriesRecord,
    StagedPack,
    StudyChange,
    StudyRecord,
    StudyState,
    UidRef,
)
from pacs_cloud.catalogue.searchkeys import stripped
from pacs_cloud.errors import Unavailable

_SEGMENTS = 4
_TORN_READS = 10
_TORN_PAUSE_S = 0.01
_DELETES_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class DynamodbConfig:
    """Which table, and how it is reached.

    Attributes:
        table: its name.
        region: "" for the one in AWS's environment or profile, else us-east-1.
        endpoint: `http(s)://host:port` of a server that speaks DynamoDB; "" for AWS.
        access_key_id: None to let the SDK find credentials (environment, role).
        secret_access_key: with `access_key_id`.
        session_token: of temporary credentials.
        date_shards: partitions of a month in the date index; may grow, never shrink.
            One takes 1,000 new studies a second.
        infix: whether names get trigram tokens, some 10 writes more a study; without,
            a search inside names walks through the studies.
        connect_seconds: to wait for a connection.
        read_seconds: to wait for an answer.
        retries: after a first failure, with exponential waits.
    """

    table: str
    region: str = ""
    endpoint: str = ""
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    date_shards: int = 1
    infix: bool = False
    connect_seconds: float = 5.0
    read_seconds: float = 20.0
    retries: int = 4


class DynamodbCatalogue:
    """A `Catalogue` in a table as `infra/template.yaml` describes it; used as `async with`.

    Searches are queries by key and batch reads; only `export` and `wipe` scan.
    """

    def __init__(self, config: DynamodbConfig) -> None:
        self._config = config
        self._stack = AsyncExitStack()
        self._opened: Table | None = None

    async def __aenter__(self) -> Self:
        config = self._config
        session = new_session()
        region = config.region or session.get_config_variable("region") or "us-east-1"
        client: Any = await self._stack.enter_async_context(
            session.create_client(
                "dynamodb",
                region_name=region,
                endpoint_url=config.endpoint or None,
                aws_access_key_id=config.access_key_id,
                aws_secret_access_key=config.secret_access_key,
                aws_session_token=config.session_token,
                config=AioConfig(
                    connect_timeout=config.connect_seconds,
                    read_timeout=config.read_seconds,
                    max_pool_connections=64,
                    retries={"mode": "standard", "total_max_attempts": config.retries + 1},
                ),
            )
        )
        self._opened = Table(client, config.table)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connections."""
        self._opened = None
        await self._stack.aclose()

    @property
    def _table(self) -> Table:
        if self._opened is None:
            raise Unavailable("the catalogue is not open")
        return self._opened

    @property
    def consumed(self) -> Consumed:
        """What was paid for since the catalogue was opened."""
        return self._table.consumed

    async def stage(self, pack: StagedPack) -> None:
        """Write a pack's index and UID items, invisible until its commit; repeatable."""
        await dynamodb_changes.stage(self._table, pack)

    async def commit(self, change: StudyChange) -> None:
        """Apply `change` atomically; raises Conflict when the study has changed since."""
        await dynamodb_changes.commit(
            self._table, change, date_shards=self._config.date_shards, infix=self._config.infix
        )

    async def unstage(self, tenant: str, ref: UidRef, sop_instance_uids: Sequence[str]) -> None:
        """Remove the index and UID items of a pack."""
        await dynamodb_changes.unstage(self._table, tenant, ref, sop_instance_uids)

    async def study(self, tenant: str, study_instance_uid: str) -> StudyState | None:
        """Return a study whole, consistent at one moment; None where there is none."""
        pk = items.study_pk(tenant, study_instance_uid)
        for _ in range(_TORN_READS):
            parts = await self._parts(pk, items.PARTS_FROM, items.PARTS_TO)
            study = await self._table.get(items.key(pk, items.STUDY_SK))
            if study is None or "d" not in study:
                return None
            parts = _present(parts, study)
            if _is_one_moment(parts, study):
                return StudyState(
                    items.study_of(study),
                    tuple(items.series_of(one) for one in parts if one["sk"]["S"] >= "S#"),
                    tuple(items.pack_of(one) for one in parts if one["sk"]["S"] < "S#"),
                )
            await asyncio.sleep(_TORN_PAUSE_S)
        raise Unavailable("a study keeps changing while it is read")

    async def studies_by_uid(
        self, tenant: str, study_instance_uids: Sequence[str]
    ) -> tuple[StudyRecord, ...]:
        """Return those that exist, newest first."""
        found = await self._table.get_many(
            items.study_key(tenant, uid) for uid in set(study_instance_uids)
        )
        studies = [items.study_of(item) for item in found if "d" in item]
        return tuple(sorted(studies, key=place_of, reverse=True))

    async def series(self, tenant: str, study_instance_uid: str) -> tuple[SeriesRecord, ...]:
        """Return a study's series, by UID."""
        found = await self._present(tenant, study_instance_uid, "S#")
        return tuple(items.series_of(item) for item in found)

    async def packs(
        self, tenant: str, study_instance_uid: str, series_instance_uid: str | None = None
    ) -> tuple[PackRecord, ...]:
        """Return the committed packs of a study or one series, by series UID and pack id."""
        prefix = "P#" if series_instance_uid is None else f"P#{series_instance_uid}#"
        found = [
            items.pack_of(item) for item in await self._present(tenant, study_instance_uid, prefix)
        ]
        # '#' sorts before '.' and digits, so that keys and UIDs sort alike.
        return tuple(found)

    async def _present(self, tenant: str, study_instance_uid: str, prefix: str) -> list[Item]:
        pk = items.study_pk(tenant, study_instance_uid)
        study_key = items.key(pk, items.STUDY_SK)
        parts, study = await asyncio.gather(
            self._parts(pk, prefix, f"{prefix}~"), self._table.get(study_key, "gone, d")
        )
        return _present(parts, study) if study is not None and "d" in study else []

    async def _parts(self, pk: str, first: str, last: str) -> list[Item]:
        return [
            item
            async for item in self._table.query(
                "pk = :p AND sk BETWEEN :f AND :l",
                {":p": items.text(pk), ":f": items.text(first), ":l": items.text(last)},
                ConsistentRead=True,
            )
        ]

    async def index(self, tenant: str, ref: UidRef) -> IndexFrames | None:
        """Return a pack's index; None where it was over the limit or never staged."""
        wanted = (items.table_key(tenant, ref), items.headers_key(tenant, ref))
        found = await self._table.get_many(wanted)
        frames = {item["sk"]["S"]: bytes(item["d"]["B"]) for item in found}
        table, headers = (frames.get(key["sk"]["S"]) for key in wanted)
        return None if table is None or headers is None else IndexFrames(table, headers)

    async def table(self, tenant: str, ref: UidRef) -> bytes | None:
        """Return the table frame alone, as `index`, without paying for the headers."""
        item = await self._table.get(items.table_key(tenant, ref))
        return bytes(item["d"]["B"]) if item is not None else None

    async def find_uids(
        self, tenant: str, uids: Collection[str]
    ) -> Mapping[str, tuple[UidRef, ...]]:
        """Return where each SOP or Series Instance UID was staged."""
        by_key: dict[str, list[str]] = {}
        for uid in set(uids):
            for key in uidrefs.keys_of(uid):
                by_key.setdefault(key, []).append(uid)
        found: dict[str, set[UidRef]] = {}
        for item in await self._table.get_many(items.uid_key(tenant, key) for key in by_key):
            for entry, ref in dynamodb_changes.refs_of(item):
                for uid in by_key[entry.key]:
                    if uidrefs.holds(entry, uid):
                        found.setdefault(uid, set()).add(ref)
        return {
            uid: tuple(sorted(refs, key=lambda ref: (ref.pack_id, ref.series_instance_uid)))
            for uid, refs in found.items()
        }

    async def studies(
        self, tenant: str, anchor: Anchor, *, after: str | None = None, limit: int = 100
    ) -> StudyPage:
        """Return up to `limit` studies that match `anchor`, newest first."""
        search = Search(
            table=self._table,
            tenant=items.checked_tenant(tenant),
            anchor=stripped(anchor),
            before=checked(after),
            limit=limit,
            date_shards=self._config.date_shards,
            infix=self._config.infix,
        )
        return await search.page()

    async def events(self, limit: int = 100) -> list[OutboxEvent]:
        """Return the oldest events that nobody has passed on."""

        async def some(shard: int) -> list[OutboxEvent]:
            found: list[OutboxEvent] = []
            partition = items.text(items.outbox_partition(shard))
            async for item in self._table.query(
                "pk = :p", {":p": partition}, page=limit, ConsistentRead=True
            ):
                found.append(codec.decode_event(items.record(item)))
                if len(found) == limit:
                    break
            return found

        shards = await asyncio.gather(*map(some, range(items.OUTBOX_SHARDS)))
        events = [event for found in shards for event in found]
        return sorted(events, key=lambda event: event.event_id)[:limit]

    async def forget_events(self, event_ids: Collection[str]) -> None:
        """Remove events that have been passed on."""
        await self._table.write_many(
            deletes=[items.event_key(event_id) for event_id in set(event_ids)]
        )

    async def conflicts(self, tenant: str, *, limit: int = 1000) -> list[ConflictRecord]:
        """Return the newest conflicts first."""
        found: list[ConflictRecord] = []
        async for item in self._table.query(
            "pk = :p",
            {":p": items.text(items.conflict_partition(tenant))},
            page=limit,
            ConsistentRead=True,
            ScanIndexForward=False,
        ):
            found.append(codec.decode_conflict(items.record(item)))
            if len(found) == limit:
                break
        return found

    async def export(self, tenant: str | None = None) -> AsyncIterator[StudyState]:
        """Yield every study, by tenant and UID: scans for their keys, sorts them on disk."""
        # An empty name is SQLite's for a file of its own that goes with the connection.
        with closing(sqlite3.connect("", isolation_level=None)) as names:
            names.execute("CREATE TABLE study (tenant, uid, PRIMARY KEY (tenant, uid))")
            for segment in range(_SEGMENTS):
                async for item in self._table.scan(
                    segment,
                    _SEGMENTS,
                    FilterExpression="sk = :a AND attribute_exists(d)",
                    ExpressionAttributeValues={":a": items.text(items.STUDY_SK)},
                    ProjectionExpression="pk",
                ):
                    if items.belongs(item, tenant):
                        names.execute(
                            "INSERT OR IGNORE INTO study VALUES (?, ?)",
                            items.names_of_study(item),
                        )
            for owner, uid in names.execute("SELECT tenant, uid FROM study ORDER BY tenant, uid"):
                state = await self.study(owner, uid)
                if state is not None:
                    yield state

    async def wipe(self, tenant: str | None = None) -> None:
        """Remove everything (of one tenant): scans."""

        async def some(segment: int) -> None:
            keys: list[Item] = []
            async for item in self._table.scan(
                segment, _SEGMENTS, ProjectionExpression="pk, sk, t"
            ):
                if items.belongs(item, tenant):
                    keys.append({"pk": item["pk"], "sk": item["sk"]})
                if len(keys) == _DELETES_AT_ONCE:
                    await self._table.write_many(deletes=keys)
                    keys = []
            await self._table.write_many(deletes=keys)

        await asyncio.gather(*map(some, range(_SEGMENTS)))

    async def ready(self) -> None:
        """Return when the catalogue answers; raises Unavailable."""
        status = await self._table.describe()
        if status not in {"ACTIVE", "UPDATING"}:
            raise Unavailable(f"the catalogue's table is {status}")


def _present(parts: list[Item], study: Item) -> list[Item]:
    """Return `parts` without those that the study's item says are gone."""
    gone = set(study.get("gone", {}).get("SS", ()))
    return [item for item in parts if item["sk"]["S"] not in gone]


def _is_one_moment(parts: list[Item], study: Item) -> bool:
    """Return whether `parts`, read just before `study`, are what its last commit left.

    A query and a transaction may cross: then a part is of a later commit than the
    study, or some that the study's commit has put are not seen yet.
    """
    rev = int(study["rev"]["N"])
    revs = [int(item["rev"]["N"]) for item in parts]
    return max(revs, default=0) <= rev and revs.count(rev) == int(study["n"]["N"])

"""One DynamoDB table through aiobotocore: its verbs, its limits, its errors, its price."""

import asyncio
import contextlib
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from pacs_cloud.errors import Conflict, Denied, InvalidRequest, Unavailable

T = TypeVar("T")

Item: TypeAlias = dict[str, dict[str, Any]]
"""An item as DynamoDB's own JSON has it: `{"pk": {"S": "…"}}`."""

GET_AT_ONCE = 100
"""Keys of one BatchGetItem, a limit of DynamoDB's."""

WRITE_AT_ONCE = 25
"""Items of one BatchWriteItem, a limit of DynamoDB's."""

ACTIONS = 100
"""Of one TransactWriteItems, a limit of DynamoDB's."""

_REQUESTS_AT_ONCE = 32
_TRIES = 8
_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 1.0

_THROTTLED = frozenset(
    {
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingError",
        "ThrottlingException",
        "TransactionInProgressException",
    }
)
_DENIED = frozenset(
    {
        "AccessDeniedException",
        "ExpiredTokenException",
        "IncompleteSignatureException",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "UnrecognizedClientException",
    }
)
_LOST = frozenset({"ConditionalCheckFailed", "TransactionConflict", "DuplicateItem"})


@dataclass(slots=True)
class Consumed:
    """What was paid for since it was last looked at.

    Attributes:
        read_units: as DynamoDB reported them.
        write_units: likewise.
        calls: how often each operation was called.
    """

    read_units: float = 0.0
    write_units: float = 0.0
    calls: Counter[str] = field(default_factory=Counter[str])


@contextlib.contextmanager
def _translated() -> Generator[None]:
    """Raise botocore's errors as ours."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in {"ConditionalCheckFailedException", "TransactionConflictException"}:
            raise Conflict("the item has changed since it was read") from error
        if code in _DENIED:
            raise Denied(f"DynamoDB refuses these credentials: {code}") from error
        if code in {"ValidationException", "SerializationException"}:
            raise InvalidRequest(f"DynamoDB cannot take this request: {error}") from error
        raise Unavailable(f"DynamoDB answers {code or 'an error'}") from error
    except (BotoCoreError, OSError, TimeoutError) as error:
        raise Unavailable(f"DynamoDB cannot be reached: {type(error).__name__}") from error


def _pause_s(attempt: int) -> float:
    longest = min(_FIRST_PAUSE_S * 2**attempt, _LONGEST_PAUSE_S)
    return random.uniform(longest / 2, longest)  # noqa: S311  not a secret


class Table:
    """The verbs of one table; every one counts what it consumes.

    Args:
        client: aiobotocore's, which retries what is safe to send twice.
        name: the table's.
    """

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self.name = name
        self.consumed = Consumed()

    async def get(self, key: Item, projection: str = "") -> Item | None:
        """Return the item at `key`, read consistently; None where there is none."""
        more: dict[str, Any] = {"ProjectionExpression": projection} if projection else {}
        response = await self._call("get_item", Key=key, ConsistentRead=True, **more)
        return response.get("Item")

    async def query(
        self, condition: str, values: Item, *, page: int | None = None, **more: Any
    ) -> AsyncIterator[Item]:
        """Yield the items of one partition that meet the key `condition`, in key order."""
        last: Item | None = None
        while True:
            paging = {"ExclusiveStartKey": last} if last else {}
            limit = {"Limit": page} if page else {}
            response = await self._call(
                "query",
                KeyConditionExpression=condition,
                ExpressionAttributeValues=values,
                **paging,
                **limit,
                **more,
            )
            for item in response["Items"]:
                yield item
            last = response.get("LastEvaluatedKey")
            if not last:
                return

    async def scan(self, segment: int, segments: int, **more: Any) -> AsyncIterator[Item]:
        """Yield one of `segments` parts of the whole table: never on the way of a search."""
        last: Item | None = None
        while True:
            paging = {"ExclusiveStartKey": last} if last else {}
            response = await self._call(
                "scan",
                Segment=segment,
                TotalSegments=segments,
                ConsistentRead=True,
                **paging,
                **more,
            )
            for item in response["Items"]:
                yield item
            last = response.get("LastEvaluatedKey")
            if not last:
                return

    async def get_many(self, keys: Iterable[Item]) -> list[Item]:
        """Return the items that exist among `keys` (each once), read consistently."""
        found: list[Item] = []

        async def some(part: Sequence[Item]) -> None:
            left: list[Item] = list(part)
            for attempt in range(_TRIES):
                response = await self._call(
                    "batch_get_item",
                    RequestItems={self.name: {"Keys": left, "ConsistentRead": True}},
                )
                found.extend(response["Responses"].get(self.name, []))
                left = response.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])
                if not left:
                    return
                await asyncio.sleep(_pause_s(attempt))
            raise Unavailable("DynamoDB leaves reads undone")

        await concurrently(some, _parts(list(keys), GET_AT_ONCE))
        return found

    async def write_many(self, puts: Iterable[Item] = (), deletes: Iterable[Item] = ()) -> None:
        """Put items and delete keys, each one alone and in no order."""
        requests = [
            *({"PutRequest": {"Item": item}} for item in puts),
            *({"DeleteRequest": {"Key": key}} for key in deletes),
        ]

        async def some(part: Sequence[dict[str, Any]]) -> None:
            left: list[dict[str, Any]] = list(part)
            for attempt in range(_TRIES):
                response = await self._call("batch_write_item", RequestItems={self.name: left})
                left = response.get("UnprocessedItems", {}).get(self.name, [])
                if not left:
                    return
                await asyncio.sleep(_pause_s(attempt))
            raise Unavailable("DynamoDB leaves writes undone")

        await concurrently(some, _parts(requests, WRITE_AT_ONCE))

    async def update(self, key: Item, expression: str, **more: Any) -> Item:
        """Change one item and return what `ReturnValues` asks for.

        Raises:
            Conflict: its condition does not hold.
        """
        response = await self._call("update_item", Key=key, UpdateExpression=expression, **more)
        return response.get("Attributes", {})

    async def delete(self, key: Item, **more: Any) -> None:
        """Remove one item; raises Conflict when its condition does not hold."""
        await self._call("delete_item", Key=key, **more)

    async def transact(self, actions: Sequence[dict[str, dict[str, Any]]]) -> None:
        """Do all of at most `ACTIONS` actions or none.

        Raises:
            Conflict: a condition does not hold, or another transaction was at the same items.
            Unavailable: DynamoDB throttles, or cannot be reached; it may have happened.
        """
        # The token makes the request safe to send again within ten minutes.
        token = str(uuid.uuid4())
        for attempt in range(_TRIES):
            try:
                await self._call(
                    "transact_write_items",
                    TransactItems=[
                        {verb: {"TableName": self.name, **said} for verb, said in action.items()}
                        for action in actions
                    ],
                    ClientRequestToken=token,
                )
            except _Canceled as error:
                if error.reasons & _LOST:
                    raise Conflict("the study has changed since it was read") from error
                if not error.reasons & _THROTTLED:
                    reasons = ", ".join(sorted(error.reasons))
                    raise InvalidRequest(f"DynamoDB cannot take this change: {reasons}") from error
                token = str(uuid.uuid4())
                await asyncio.sleep(_pause_s(attempt))
            else:
                return
        raise Unavailable("DynamoDB throttles this study's changes")

    async def describe(self) -> str:
        """Return the table's status; raises Unavailable where there is no such table."""
        with _translated():
            response = await self._client.describe_table(TableName=self.name)
        return str(response["Table"]["TableStatus"])

    async def _call(self, operation: str, **said: Any) -> dict[str, Any]:
        if operation not in {"batch_get_item", "batch_write_item", "transact_write_items"}:
            said["TableName"] = self.name
        with _translated():
            try:
                response = await getattr(self._client, operation)(
                    ReturnConsumedCapacity="TOTAL", **said
                )
            except ClientError as error:
                reasons = _cancellation(error)
                if reasons is None:
                    raise
                raise _Canceled(reasons) from error
        self._count(operation, response)
        return response

    def _count(self, operation: str, response: dict[str, Any]) -> None:
        self.consumed.calls[operation] += 1
        reported: Any = response.get("ConsumedCapacity") or []
        for one in [reported] if isinstance(reported, dict) else reported:
            units = float(one.get("CapacityUnits", 0))
            if operation in {"get_item", "batch_get_item", "query", "scan"}:
                self.consumed.read_units += units
            else:
                self.consumed.write_units += units


class _Canceled(Exception):
    """A transaction that was not done, and every reason that DynamoDB gives."""

    def __init__(self, reasons: frozenset[str]) -> None:
        super().__init__(", ".join(sorted(reasons)))
        self.reasons = reasons


def _cancellation(error: ClientError) -> frozenset[str] | None:
    response: Any = error.response
    code = str(response.get("Error", {}).get("Code", ""))
    if code == "TransactionInProgressException":
        return frozenset({code})
    if code != "TransactionCanceledException":
        return None
    reasons = response.get("CancellationReasons") or []
    return frozenset(str(reason.get("Code", "")) for reason in reasons) - {"None", ""}


def _parts(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[at : at + size] for at in range(0, len(items), size)]


async def concurrently(work: Callable[[T], Awaitable[None]], items: Iterable[T]) -> None:
    """Do `work` for each of `items`, some at a time; the first error ends it all."""
    work_left = list(items)
    waiting = iter(work_left)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    tasks = [asyncio.ensure_future(worker()) for _ in range(min(len(work_left), _REQUESTS_AT_ONCE))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

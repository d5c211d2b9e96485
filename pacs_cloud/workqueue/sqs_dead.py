"""SQS's dead-letter queue: looked at without taking, and sent again."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from pacs_cloud.errors import Unavailable
from pacs_cloud.workqueue.jobs import BODY_LIMIT_BYTES, Job, decode
from pacs_cloud.workqueue.port import DeadJob

LOOK_S = 30
"""How long a message that is looked at is hidden, should the looker die."""
MOVE_S = 120
"""The same for messages that are being sent again."""
BATCH = 10
LOOKED_AT = 2_000
"""So many messages are looked at for those that are wanted: each ten are a request."""

Message = dict[str, Any]


async def look(
    client: Any,
    dead_url: str,
    limit: int,
    attempts: int,
    wanted: Callable[[Job], bool] | None = None,
) -> list[DeadJob]:
    """Return up to `limit` dead jobs, oldest first; they stay.

    Args:
        client: of SQS.
        dead_url: of the dead-letter queue.
        limit: of those that are wanted.
        attempts: after how many leases the queue buries one: each look is counted as one, too,
            so that a message does not tell.
        wanted: which; None: all.
    """
    found: list[DeadJob] = []
    handles: list[str] = []
    most = limit if wanted is None else LOOKED_AT
    try:
        async for messages in _received(client, dead_url, LOOK_S, most):
            handles += (message["ReceiptHandle"] for message in messages)
            dead = (_dead(message, attempts) for message in messages)
            found += (one for one in dead if wanted is None or wanted(one.job))
            if len(found) >= limit:
                break
    finally:
        await _show(client, dead_url, handles)
    return sorted(found, key=lambda one: one.at_us)[:limit]


def _dead(message: Message, attempts: int) -> DeadJob:
    at_us = int(message["Attributes"]["SentTimestamp"]) * 1000
    return DeadJob.said_by(message["Body"], message["MessageId"], attempts, at_us)


async def send_again(
    client: Any, dead_url: str, url: str, wanted: Callable[[Job], bool] | None = None
) -> int:
    """Move dead jobs that are wanted, None: all, to the queue at `url`; return how many.

    Not SQS's own StartMessageMoveTask: it works on after it has answered, tells
    an approximate number, would move malformed messages too, and few servers know it.

    Raises:
        Unavailable: the queue took only some; the others are still dead.
    """
    count = 0
    left: list[str] = []
    try:
        async for messages in _received(client, dead_url, MOVE_S, None):
            jobs = [message for message in messages if _is_wanted(message, wanted)]
            left += (message["ReceiptHandle"] for message in messages if message not in jobs)
            for batch in _batches(jobs):
                sent = await client.send_message_batch(
                    QueueUrl=url,
                    Entries=[
                        {"Id": str(n), "MessageBody": message["Body"]}
                        for n, message in enumerate(batch)
                    ],
                )
                gone = {int(entry["Id"]) for entry in sent.get("Successful", ())}
                handles = [message["ReceiptHandle"] for message in batch]
                await _forget(client, dead_url, [handles[n] for n in sorted(gone)])
                count += len(gone)
                if len(gone) < len(batch):
                    left += (handle for n, handle in enumerate(handles) if n not in gone)
                    raise Unavailable(f"{count} dead jobs were sent again, then one was refused")
    finally:
        await _show(client, dead_url, left)
    return count


def _is_wanted(message: Message, wanted: Callable[[Job], bool] | None) -> bool:
    job = decode(message["Body"])
    return job is not None and (wanted is None or wanted(job))


async def _received(
    client: Any, url: str, hide_s: int, limit: int | None
) -> AsyncIterator[list[Message]]:
    """Yield messages, hidden for `hide_s`, until there are no more or `limit` were seen."""
    seen: set[str] = set()
    while limit is None or len(seen) < limit:
        answer = await client.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=BATCH if limit is None else min(BATCH, limit - len(seen)),
            VisibilityTimeout=hide_s,
            # Waiting makes SQS ask all of its servers (its "long polling").
            WaitTimeSeconds=1,
            MessageSystemAttributeNames=["SentTimestamp"],
        )
        messages: list[Message] = answer.get("Messages", [])
        # One that is seen twice has come back because this takes long.
        new = [message for message in messages if message["MessageId"] not in seen]
        if not new:
            return
        seen.update(message["MessageId"] for message in new)
        yield new


def _batches(messages: Sequence[Message]) -> list[list[Message]]:
    """Return `messages` in groups that SQS takes: ten, and 256 KiB together."""
    batches: list[list[Message]] = []
    room = 0
    for message in messages:
        length = len(message["Body"].encode())
        if not batches or len(batches[-1]) == BATCH or length > room:
            batches.append([])
            room = BODY_LIMIT_BYTES
        batches[-1].append(message)
        room -= length
    return batches


async def _forget(client: Any, url: str, handles: Sequence[str]) -> None:
    if handles:
        await client.delete_message_batch(QueueUrl=url, Entries=_entries(handles))


async def _show(client: Any, url: str, handles: Sequence[str]) -> None:
    for start in range(0, len(handles), BATCH):
        entries = _entries(handles[start : start + BATCH])
        await client.change_message_visibility_batch(
            QueueUrl=url, Entries=[entry | {"VisibilityTimeout": 0} for entry in entries]
        )


def _entries(handles: Sequence[str]) -> list[dict[str, Any]]:
    return [{"Id": str(n), "ReceiptHandle": handle} for n, handle in enumerate(handles)]

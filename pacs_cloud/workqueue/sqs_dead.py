"""SQS's dead-letter queue: looked at without taking, and sent again."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from pacs_cloud.errors import Unavailable
from pacs_cloud.workqueue.jobs import BODY_LIMIT_BYTES, Job, decode, malformed

LOOK_S = 30
"""How long a message that is looked at is hidden, should the looker die."""
MOVE_S = 120
"""The same for messages that are being sent again."""
BATCH = 10

Message = dict[str, Any]


async def look(client: Any, dead_url: str, limit: int) -> list[Job]:
    """Return up to `limit` dead jobs, oldest first; they stay."""
    found: list[Message] = []
    try:
        async for messages in _received(client, dead_url, LOOK_S, limit):
            found += messages
    finally:
        await _show(client, dead_url, found)
    found.sort(key=lambda message: int(message["Attributes"]["SentTimestamp"]))
    return [
        decode(message["Body"]) or malformed(message["MessageId"], message["Body"])
        for message in found
    ]


async def send_again(client: Any, dead_url: str, url: str) -> int:
    """Move every dead job to the queue at `url`; return how many.

    Not SQS's own StartMessageMoveTask: it works on after it has answered, tells
    an approximate number, would move malformed messages too, and few servers know it.

    Raises:
        Unavailable: the queue took only some; the others are still dead.
    """
    count = 0
    left: list[Message] = []
    try:
        async for messages in _received(client, dead_url, MOVE_S, None):
            jobs = [message for message in messages if decode(message["Body"]) is not None]
            left += [message for message in messages if message not in jobs]
            for batch in _batches(jobs):
                sent = await client.send_message_batch(
                    QueueUrl=url,
                    Entries=[
                        {"Id": str(n), "MessageBody": message["Body"]}
                        for n, message in enumerate(batch)
                    ],
                )
                gone = {int(entry["Id"]) for entry in sent.get("Successful", ())}
                await _forget(client, dead_url, [batch[n] for n in sorted(gone)])
                count += len(gone)
                if len(gone) < len(batch):
                    left += [message for n, message in enumerate(batch) if n not in gone]
                    raise Unavailable(f"{count} dead jobs were sent again, then one was refused")
    finally:
        await _show(client, dead_url, left)
    return count


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


async def _forget(client: Any, url: str, messages: Sequence[Message]) -> None:
    if messages:
        await client.delete_message_batch(QueueUrl=url, Entries=_entries(messages))


async def _show(client: Any, url: str, messages: Sequence[Message]) -> None:
    for start in range(0, len(messages), BATCH):
        entries = _entries(messages[start : start + BATCH])
        await client.change_message_visibility_batch(
            QueueUrl=url, Entries=[entry | {"VisibilityTimeout": 0} for entry in entries]
        )


def _entries(messages: Sequence[Message]) -> list[dict[str, Any]]:
    return [
        {"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]}
        for n, message in enumerate(messages)
    ]

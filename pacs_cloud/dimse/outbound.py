"""Messages of ours, written one after the other (PS3.7 6.3, PS3.8 Annex E)."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from typing import Final

from pacs_cloud.dimse.command import (
    RESPONSE,
    Command,
    Element,
    Value,
    data_set_type,
    encode_command,
    encode_plain_response,
)
from pacs_cloud.dimse.fragments import Fragmenter, Source, batches
from pacs_cloud.dimse.negotiation import Context
from pacs_cloud.dimse.service import Response
from pacs_cloud.dimse.upper_layer import UpperLayer

SMALLEST_MAX_LENGTH: Final = 1024
"""A peer that takes less than this is refused: each PDU costs as much as a large one."""

_LARGEST_SENT: Final = 131072
"""What we send to a peer that takes any length; DCMTK's own largest."""

_REQUESTED_CLASS: Final = Element.REQUESTED_SOP_CLASS_UID
_REQUESTED_INSTANCE: Final = Element.REQUESTED_SOP_INSTANCE_UID


class Outbox:
    """Writes the messages of one association.

    Args:
        upper: where to.
        send_bytes: how much is read and written at a time.
    """

    def __init__(self, upper: UpperLayer, send_bytes: int) -> None:
        self._upper = upper
        self._send_bytes = send_bytes
        self._max_length = _LARGEST_SENT
        # The fragments of two messages must not mix, and a message waits for its peer midway.
        self._one_message = asyncio.Lock()

    def set_max_length(self, max_length: int) -> None:
        """Send P-DATA-TF bodies of at most `max_length` bytes; 0 leaves the choice to us."""
        self._max_length = min(max_length or _LARGEST_SENT, _LARGEST_SENT)

    async def send(
        self, context: Context, elements: Mapping[int, Value], source: Source | None
    ) -> None:
        """Send one message; its (0000,0800) is added.

        Args:
            context: its presentation context.
            elements: its command set.
            source: its data set, or None. If it fails midway, or the task is
                cancelled then, the association is aborted: a message cannot be
                taken back.

        Raises:
            AssociationAborted: the association is over.
        """
        command = encode_command(
            {**elements, Element.DATA_SET_TYPE: data_set_type(present=source is not None)}
        )
        await self._send(context, command, source)

    async def respond(self, context: Context, request: Command, response: Response) -> None:
        """Send `response` to `request`.

        Raises:
            AssociationAborted: the association is over.
        """
        field, message_id = request.field | RESPONSE, request.message_id
        sop_class_uid = request.affected_sop_class_uid or request.text(_REQUESTED_CLASS)
        sop_instance_uid = request.affected_sop_instance_uid or request.text(_REQUESTED_INSTANCE)
        if response.data_set is None and not response.elements:
            command = encode_plain_response(
                field, message_id, response.status, sop_class_uid, sop_instance_uid
            )
            await self._send(context, command, None)
            return
        elements: dict[int, Value] = {
            Element.COMMAND_FIELD: field,
            Element.RESPONDED_TO: message_id,
            Element.STATUS: response.status,
        }
        if sop_class_uid:
            elements[Element.AFFECTED_SOP_CLASS_UID] = sop_class_uid
        if sop_instance_uid:
            elements[Element.AFFECTED_SOP_INSTANCE_UID] = sop_instance_uid
        elements.update(response.elements)
        await self.send(context, elements, response.data_set)

    async def _send(self, context: Context, command: bytes, source: Source | None) -> None:
        fragmenter = Fragmenter(context.context_id, self._max_length)
        pieces = fragmenter.command(command)
        if source is None and not self._one_message.locked():
            # What is written at once mixes with nothing.
            self._upper.send(b"".join(pieces))
            await self._upper.drain()
            return
        async with self._one_message:
            if source is None:
                self._upper.send(b"".join(pieces))
            else:
                await self._send_with(fragmenter, pieces, source)
            await self._upper.drain()

    async def _send_with(
        self, fragmenter: Fragmenter, pieces: list[bytes | memoryview], source: Source
    ) -> None:
        begun = ended = False
        try:
            async with aclosing(
                batches(source, fragmenter.fragment_bytes, self._send_bytes)
            ) as all_batches:
                async for batch, last in all_batches:
                    pieces += fragmenter.data(batch, ends=last)
                    self._upper.send(b"".join(pieces))
                    begun, ended = True, last
                    pieces.clear()
                    if not last:
                        await self._upper.drain()
        except BaseException:
            if begun and not ended:
                self._upper.abort("a message of ours broke off")
            raise

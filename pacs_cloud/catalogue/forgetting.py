"""Catalogues whose files keep for a while what was removed from them."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class KeepsRemoved(Protocol):
    """What a catalogue does besides its port where its own files are in its hands."""

    async def forget_removed(self) -> bool:
        """Let go of the bytes of what was removed; return whether that was done.

        It is not while others read: nothing is wrong then, and a later try does it.

        Raises:
            Unavailable: the file cannot be used.
        """
        ...

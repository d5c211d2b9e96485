"""Stores that keep the parts of uploads which were never completed."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class KeepsParts(Protocol):
    """What an object store does besides its port where large objects go up in parts."""

    async def drop_uploads(self, prefix: str, *, before_us: int) -> int:
        """Drop the uploads of keys below `prefix` that began before then; return how many.

        Whoever is still at one of them fails, and stores nothing.

        Args:
            prefix: what the keys begin with.
            before_us: microseconds since 1970 UTC, by the store's clock.

        Raises:
            Denied: we may not list or drop uploads.
            Unavailable: the store cannot be reached.
        """
        ...

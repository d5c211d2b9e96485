"""Stores whose objects are moved by rules of their bucket."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class HasLifecycle(Protocol):
    """What an object store does besides its port where it lies in a bucket."""

    @property
    def key_prefix(self) -> str:
        """What it puts before every key, "" or ending in `/`."""
        ...

    async def moves_by_tag(self) -> bool:
        """Return whether rules of the bucket move what `move` tags, rather than `move` itself.

        Raises:
            Denied, Unavailable: that cannot be found out.
        """
        ...

    async def lifecycle(self) -> Mapping[str, Any]:
        """Return the bucket's lifecycle configuration as boto3 does; `{}` where it has none.

        Raises:
            Denied: this caller may not see it (`s3:GetLifecycleConfiguration`).
            Unavailable: the bucket cannot be reached.
        """
        ...

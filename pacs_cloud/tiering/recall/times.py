"""How long a recall takes: what the service says, by an object's class and the speed wanted.

The times are those of the S3 User Guide, "Archive retrieval options": each is the
later end of what is typical, so that an object has mostly arrived when it is expected.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from pacs_cloud.objectstore.storage_classes import RecallSpeed, StorageClass

_MINUTE_S: Final = 60
_HOUR_S: Final = 3600


ArrivalTime: TypeAlias = Callable[[str, RecallSpeed], float]
"""Returns within how many seconds an object of a class arrives at a speed."""

_ARRIVAL_S: Final[Mapping[tuple[str, RecallSpeed], float]] = MappingProxyType(
    {
        (StorageClass.GLACIER, RecallSpeed.EXPEDITED): 5 * _MINUTE_S,
        (StorageClass.GLACIER, RecallSpeed.STANDARD): 5 * _HOUR_S,
        (StorageClass.GLACIER, RecallSpeed.BULK): 12 * _HOUR_S,
        (StorageClass.DEEP_ARCHIVE, RecallSpeed.STANDARD): 12 * _HOUR_S,
        (StorageClass.DEEP_ARCHIVE, RecallSpeed.BULK): 48 * _HOUR_S,
    }
)


def offered_speed(storage_class: str, wanted: RecallSpeed) -> RecallSpeed:
    """Return the speed nearest to `wanted`: nothing in DEEP_ARCHIVE is expedited."""
    return wanted if (storage_class, wanted) in _ARRIVAL_S else RecallSpeed.STANDARD


def service_arrival_s(storage_class: str, speed: RecallSpeed) -> float:
    """Return within how many seconds S3 mostly has an object of a cold class back."""
    return _ARRIVAL_S[storage_class, offered_speed(storage_class, speed)]

"""How long a recall takes: what the service says, by an object's class and the speed wanted.

The times are those of the S3 User Guide, "Archive retrieval options": each is the
later end of what is typical, so that an object has mostly arrived when it is expected.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from pacs_cloud.objectstore.storage_classes import (
    ARCHIVE_ACCESS,
    DEEP_ARCHIVE_ACCESS,
    RecallSpeed,
    StorageClass,
)

_MINUTE_S: Final = 60
_HOUR_S: Final = 3600


ArrivalTime: TypeAlias = Callable[[str, RecallSpeed], float]
"""Returns within how many seconds an object of a class arrives at a speed."""

_ARCHIVE_S: Final[Mapping[RecallSpeed, float]] = MappingProxyType(
    {
        RecallSpeed.EXPEDITED: 5 * _MINUTE_S,
        RecallSpeed.STANDARD: 5 * _HOUR_S,
        RecallSpeed.BULK: 12 * _HOUR_S,
    }
)
_DEEP_ARCHIVE_S: Final[Mapping[RecallSpeed, float]] = MappingProxyType(
    {RecallSpeed.STANDARD: 12 * _HOUR_S, RecallSpeed.BULK: 48 * _HOUR_S}
)
_ARRIVAL_S: Final[Mapping[str, Mapping[RecallSpeed, float]]] = MappingProxyType(
    {
        StorageClass.GLACIER: _ARCHIVE_S,
        ARCHIVE_ACCESS: _ARCHIVE_S,
        StorageClass.DEEP_ARCHIVE: _DEEP_ARCHIVE_S,
        DEEP_ARCHIVE_ACCESS: _DEEP_ARCHIVE_S,
    }
)


def offered_speed(storage_class: str, wanted: RecallSpeed) -> RecallSpeed:
    """Return the speed nearest to `wanted`: nothing in a deep archive is expedited."""
    return wanted if wanted in _arrivals(storage_class) else RecallSpeed.STANDARD


def service_arrival_s(storage_class: str, speed: RecallSpeed) -> float:
    """Return within how many seconds S3 mostly has an object of a cold class back."""
    return _arrivals(storage_class)[offered_speed(storage_class, speed)]


def _arrivals(storage_class: str) -> Mapping[RecallSpeed, float]:
    # Of a class that S3 makes up one day, the longest is the safest to promise.
    return _ARRIVAL_S.get(storage_class, _DEEP_ARCHIVE_S)

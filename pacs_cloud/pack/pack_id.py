"""Names of packs."""

import os
import uuid

_UUID_VERSION_7 = 7
_VARIANT_RFC = 0b10


def new_pack_id(now_us: int) -> str:
    """Return a version 7 UUID (RFC 9562 5.7): packs sort by age.

    The 12 bits behind the milliseconds hold the fraction of the millisecond (6.2,
    method 3); 62 bits are random.

    Args:
        now_us: microseconds since 1970 UTC.
    """
    milliseconds, rest_us = divmod(now_us, 1000)
    fraction = rest_us * 4096 // 1000
    noise = int.from_bytes(os.urandom(8), "big") >> 2
    value = (
        (milliseconds & (1 << 48) - 1) << 80
        | _UUID_VERSION_7 << 76
        | fraction << 64
        | _VARIANT_RFC << 62
        | noise
    )
    return str(uuid.UUID(int=value))

"""What a member's local header keeps of its origin, for a recovery without an index."""

from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import orjson

from pacs_cloud.errors import Corrupt
from pacs_cloud.pack.index import Door, Source

NAME_CHARACTERS = 64
"""How much of a name is kept: AE titles have 16 characters, users and paths may be longer."""


class Provenance(NamedTuple):
    """Where an instance came from and when.

    Attributes:
        tenant: whose, at most 64 characters.
        source: who sent it, names as `clipped` leaves them.
        received_us: when it was complete, microseconds since 1970 UTC.
    """

    tenant: str
    source: Source
    received_us: int


def clipped(source: Source) -> Source:
    """Return `source` with names of at most 64 characters."""
    return replace(
        source,
        called=source.called[:NAME_CHARACTERS],
        calling=source.calling[:NAME_CHARACTERS],
        address=source.address[:NAME_CHARACTERS],
    )


def encode_provenance(provenance: Provenance) -> bytes:
    """Return compact JSON, at most 2 KiB.

    Raises:
        ValueError: the tenant's name is over 64 characters.
    """
    if len(provenance.tenant) > NAME_CHARACTERS:
        raise ValueError(f"a tenant's name of {len(provenance.tenant)} characters")
    return b'%b,"received_us":%d}' % (
        _origin(provenance.tenant, provenance.source),
        provenance.received_us,
    )


@lru_cache(256)  # an association sends many instances
def _origin(tenant: str, whole_source: Source) -> bytes:
    """Return the JSON of all but the time, its last brace left out."""
    return orjson.dumps({"tenant": tenant} | clipped(whole_source).as_json())[:-1]


def decode_provenance(data: bytes) -> Provenance:
    """Return what `encode_provenance` wrote, blanks after it ignored.

    Raises:
        Corrupt: it is something else.
    """
    try:
        fields = orjson.loads(data)
        texts = [fields[name] for name in ("tenant", "called", "calling", "address")]
        tenant, called, calling, address = texts
        yields = fields.get("yields", False)
        source = Source(Door(fields["door"]), called, calling, address, yields)
        received_us = fields["received_us"]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Corrupt("a member's provenance cannot be read") from error
    are_texts = all(isinstance(text, str) for text in texts)
    if not are_texts or not isinstance(received_us, int) or not isinstance(yields, bool):
        raise Corrupt("a member's provenance cannot be read")
    return Provenance(tenant, source, received_us)

"""Where an instance came from, written and read again."""

import orjson
import pytest

from pacs_cloud.pack.index import Door, Source
from pacs_cloud.pack.provenance import (
    NAME_CHARACTERS,
    Provenance,
    clipped,
    decode_provenance,
    encode_provenance,
)

CT1 = Source(Door.DIMSE, "PACS", "CT1", "127.0.0.1")
QUOTED = Source(Door.STOW, 'a"b', "Ü\\", "::1")


def test_what_is_written_is_read_for_each_instance_of_a_source() -> None:
    for received_us in (0, 1_700_000_000_000_000, 1_700_000_000_000_001):
        for tenant, source in (("default", CT1), ("other", CT1), ("default", QUOTED)):
            provenance = Provenance(tenant, source, received_us)
            written = encode_provenance(provenance)
            assert decode_provenance(written + b"  ") == provenance
            assert orjson.dumps(orjson.loads(written)) == written


def test_long_names_are_clipped_and_a_long_tenant_is_refused() -> None:
    source = Source(Door.STOW, "c" * 99, "d" * 99, "e" * 99)
    read = decode_provenance(encode_provenance(Provenance("t", source, 1)))
    assert read.source == clipped(source)
    assert len(read.source.called) == NAME_CHARACTERS
    with pytest.raises(ValueError, match="65 characters"):
        encode_provenance(Provenance("t" * 65, source, 1))

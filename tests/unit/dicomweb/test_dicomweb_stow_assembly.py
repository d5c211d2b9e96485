"""Instances put together from metadata and bulk data."""

from contextlib import closing

import imagecodecs
import numpy as np
import orjson

from pacs_cloud.dicom.coding.encapsulating import Span
from pacs_cloud.dicomweb.media import MediaType
from pacs_cloud.dicomweb.stow_assembly import assemble
from pacs_cloud.dicomweb.stow_bulk import StowBulk
from pacs_cloud.ingest.session import Session

GREY = np.arange(256 * 64, dtype=np.uint8).reshape(64, 256)


def metadata(sop: str) -> bytes:
    return orjson.dumps(
        {
            "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.7"]},
            "00080018": {"vr": "UI", "Value": [sop]},
            "7FE00010": {"vr": "OW", "BulkDataURI": "pixels"},
        }
    )


async def test_an_image_that_many_instances_share_is_decoded_once(session: Session) -> None:
    with closing(StowBulk(session, "http://archive/studies")) as bulk:
        bulk.begin("pixels", MediaType("image/png"))
        await bulk.write(memoryview(imagecodecs.png_encode(GREY)))
        bulk.end()
        await bulk.complete()
        found = [list(assemble(metadata(f"1.2.3.{n}"), bulk, None)) for n in (1, 2, 3)]
        spans = [[piece for piece in pieces if isinstance(piece, Span)] for pieces in found]
        assert spans[0] == spans[1] == spans[2]
        (span,) = spans[0]
        assert bulk.read(*span) == GREY.tobytes()
        assert bulk.read(span.offset + span.length, 1) == b""
        assert all(b"1.2.3.%d" % n in found[n - 1][0] for n in (1, 2, 3))

"""What all receptions of a process share."""

from collections.abc import Callable
from dataclasses import dataclass

from pacs_cloud.ingest.admission import Admission
from pacs_cloud.ingest.buffers import Buffers
from pacs_cloud.ingest.counters import Counters
from pacs_cloud.ingest.deflated_admission import DeflatedAdmission
from pacs_cloud.ingest.long_instance import LongAdmission
from pacs_cloud.ingest.spool import Spool


@dataclass(frozen=True, slots=True)
class Desk:
    """The admission desk of one process.

    Attributes:
        spool: where instances go.
        admission: reads the headers of instances that fit a buffer, on the loop.
        deflated_admission: reads those of deflated ones, on a thread.
        long_admission: reads those of longer ones, on threads.
        buffers: what receptions fill.
        counters: what is counted.
        now_us: the clock, microseconds since 1970 UTC.
    """

    spool: Spool
    admission: Admission
    deflated_admission: DeflatedAdmission
    long_admission: LongAdmission
    buffers: Buffers
    counters: Counters
    now_us: Callable[[], int]

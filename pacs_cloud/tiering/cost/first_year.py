"""One million CT instances for one year: packs beside one object for each, line by line."""

from datetime import date
from typing import Final

import numpy as np

from pacs_cloud.objectstore.storage_classes import StorageClass
from pacs_cloud.tiering.cost.calendar import Calendar
from pacs_cloud.tiering.cost.hospital import Hospital, Kind, Reads, Studies
from pacs_cloud.tiering.cost.layouts import Layout
from pacs_cloud.tiering.cost.prices import Region
from pacs_cloud.tiering.cost.simulation import Outcome, Terms, simulate
from pacs_cloud.tiering.policy import Policy, Step

SERIES: Final = 5
"""A study of 1,000 instances has so many."""

INSTANCES: Final = 200
"""In a series."""

POLICY: Final = Policy("30 days, then GLACIER_IR", steps=(Step(StorageClass.GLACIER_IR, 30),))

_CT: Final = Kind("CT", 1, SERIES, INSTANCES, 0, 526_000, 0, 2.3)
_YEAR: Final = Calendar(date(2027, 1, 1), 12)


def first_year(layout: Layout, region: Region, *, studies: int = 1_000) -> Outcome:
    """Return what `studies` studies of 1,000 CT instances come to in twelve months.

    All come in on the first day, and nobody reads them: what is compared is storing.
    """
    hospital = Hospital(studies, kinds=(_CT,))
    nobody = np.zeros(0, dtype=np.int64)
    first = np.zeros(studies, dtype=np.int64)
    return simulate(
        hospital,
        Studies(
            day=first,
            kind=first,
            series=first + SERIES,
            instances=first + INSTANCES,
            instance_bytes=first + _CT.instance_bytes,
        ),
        Reads(nobody, nobody),
        [POLICY],
        Terms(_YEAR, region, layout),
    )

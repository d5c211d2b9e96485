"""What the pages of links need of the rooms below."""

from dataclasses import dataclass

from pacs_cloud.catalogue.visibility import Admission
from pacs_cloud.identity.shares import Shares
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.query.service import Search


@dataclass(frozen=True, slots=True)
class ShareServices:
    """What links are opened with.

    Attributes:
        shares: the links.
        search: finds what they open.
        admission: lets their guests at it.
        intake: takes replies in.
    """

    shares: Shares
    search: Search
    admission: Admission
    intake: Intake

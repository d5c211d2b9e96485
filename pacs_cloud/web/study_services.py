"""What the pages of studies, and the viewers, need of the rooms below."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.query.service import Search
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.retrieve.volumes import Volumes
from pacs_cloud.web.viewer.installed import ViewerFiles
from pacs_cloud.workqueue.port import WorkQueue


@dataclass(frozen=True, slots=True)
class DestinationText:
    """Where studies may be sent to.

    Attributes:
        title: its AE title.
        note: what people know it by.
    """

    title: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class SendingServices:
    """How studies are sent.

    Attributes:
        destinations: returns where a tenant's may be sent to.
        send_later: sees to it that instances of one study are sent to one of these, by its AE
            title; the third is the sending's own name, by which `routing.sends` tells of it.
    """

    destinations: Callable[[str], Awaitable[Sequence[DestinationText]]]
    send_later: Callable[[str, Sequence[Located], str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class StudyServices:
    """What studies are found and seen with.

    Attributes:
        search: finds them.
        archive: reads them.
        intake: takes what is uploaded.
        objects: where packs lie.
        catalogue: what is known of them.
        queue: takes what is done later.
        viewer: OHIF, where it is installed (`viewer.is_installed`); None: it never is.
        sending: has them sent; None: nowhere.
        most_upload_bytes: of one request that brings files.
        volumes: shows series as volumes; None: nobody does.
    """

    search: Search
    archive: Archive
    intake: Intake
    objects: ObjectStore
    catalogue: Catalogue
    queue: WorkQueue
    viewer: ViewerFiles | None = None
    sending: SendingServices | None = None
    most_upload_bytes: int = 64 << 30
    volumes: Volumes | None = None

    @property
    def has_viewer(self) -> bool:
        """Whether OHIF can be opened."""
        return self.viewer is not None and self.viewer.is_installed

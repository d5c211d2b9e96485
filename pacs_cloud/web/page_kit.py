"""What every page is made with."""

from dataclasses import dataclass

from pacs_cloud.web.refusals import Refusals
from pacs_cloud.web.services import WebServices
from pacs_cloud.web.templating import Templates
from pacs_cloud.web.visits import Visits


@dataclass(frozen=True, slots=True)
class PageKit:
    """What every page is made with.

    Attributes:
        services: the rooms below, and settings.
        templates: make a page's text.
        refusals: make an error a page.
        visits: tell who looks at it.
    """

    services: WebServices
    templates: Templates
    refusals: Refusals
    visits: Visits

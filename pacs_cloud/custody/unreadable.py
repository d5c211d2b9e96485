"""What is wrong with one object or study, and not with the store: the others may go on."""

from typing import Final

from pacs_cloud.errors import Corrupt, Denied, NotFound, Offline

UNREADABLE: Final = (Corrupt, NotFound, Offline, Denied)

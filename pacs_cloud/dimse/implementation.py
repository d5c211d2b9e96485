"""How this software names itself to its peers (PS3.7 D.3.3.2)."""

from typing import Final

from pacs_cloud import __version__

IMPLEMENTATION_CLASS_UID: Final = "2.25.248074842150619761829068930025332487619"
"""Changes when the implementation's DICOM behaviour does, not with each version."""

IMPLEMENTATION_VERSION: Final = f"PACS_CLOUD_{__version__}"[:16]

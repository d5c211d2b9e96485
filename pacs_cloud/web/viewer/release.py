"""Which OHIF belongs to this release of the archive."""

from typing import Final

PACKAGE: Final = "@ohif/app"
VERSION: Final = "3.13.2"
INTEGRITY: Final = (
    "sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j"
    "4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="
)
"""Of the package's archive, as npm writes it (W3C Subresource Integrity 3.1)."""

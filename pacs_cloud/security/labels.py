"""Labels of studies: words of a site's own, by which rules of access go."""

import re
from typing import Final

from pacs_cloud.errors import InvalidRequest

_LABEL: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
SENSITIVE: Final = frozenset({"sensitive", "vip"})
"""Labels that hide a study from whoever is not named for it, where a site says nothing else."""


def label_of(text: str) -> str:
    """Return `text` as a label: in lower case, without blanks around it.

    Raises:
        InvalidRequest: it is none: 1 to 64 ASCII letters, digits and `._-`, a letter or
            digit first.
    """
    label = text.strip().lower()
    if not _LABEL.fullmatch(label):
        raise InvalidRequest("a label is up to 64 letters, digits and any of ._- behind the first")
    return label

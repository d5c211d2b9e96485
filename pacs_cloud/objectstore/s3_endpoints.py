"""What an S3 endpoint's name says: whether it is AWS's, and in which region."""

import re
from typing import Final
from urllib.parse import urlsplit

_AWS: Final = re.compile(r"(?:^|\.)amazonaws\.com(?:\.cn)?$")
# Such as s3.eu-central-1.amazonaws.com, s3.dualstack.…, bucket.vpce-….s3.….vpce.….
_REGION: Final = re.compile(r"[.-]([a-z]{2}(?:-[a-z]+)+-[0-9]+)\.(?:vpce\.)?amazonaws\.com")


def is_aws(endpoint: str) -> bool:
    """Tell whether `endpoint` is AWS's; "" is."""
    return not endpoint or _AWS.search(_host(endpoint)) is not None


def moves_by_tag(moves: str, endpoint: str) -> bool:
    """Tell whether rules of the bucket move objects: asked for by `moves`, or AWS's way."""
    return moves == "tag" or (not moves and is_aws(endpoint))


def region_named(endpoint: str) -> str:
    """Return the region that the name of an endpoint of AWS's says, else ""."""
    found = _REGION.search(_host(endpoint)) if is_aws(endpoint) else None
    return found[1] if found else ""


def _host(endpoint: str) -> str:
    return urlsplit(endpoint).hostname or ""

"""What clients call this archive."""

from urllib.parse import urlsplit

from starlette.requests import Request


def site_url(request: Request, public_url: str) -> str:
    """Return the scheme and host of links that leave this page: the public ones where known."""
    public = urlsplit(public_url)
    seen = public if public.netloc else urlsplit(str(request.base_url))
    return f"{seen.scheme}://{seen.netloc}"

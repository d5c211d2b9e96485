"""What cannot be read, named: whoever is told of it has to find the object."""

from collections.abc import Generator
from contextlib import contextmanager

from pacs_cloud.errors import Corrupt


@contextmanager
def naming(key: str) -> Generator[None]:
    """Have a Corrupt that is raised here begin with the key of the object it is about."""
    try:
        yield
    except Corrupt as error:
        raise Corrupt(f"{key}: {error}") from error

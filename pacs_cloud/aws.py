"""AWS sessions that read what botocore ships of a service once in a process, not once each."""

from functools import cache

from aiobotocore.session import AioSession
from botocore.loaders import Loader, create_loader


def new_session() -> AioSession:
    """Return a session with credentials and settings of its own, from AWS's chain.

    A service's description is a megabyte of JSON: a client whose session reads it anew
    holds the event loop for 0.1 s as it opens.
    """
    session = AioSession()
    data_path = session.get_config_variable("data_path")
    session.register_component("data_loader", _descriptions(data_path))
    return session


@cache
def _descriptions(data_path: str | None) -> Loader:
    return create_loader(data_path)

"""How many files a process may have open."""

import resource
from contextlib import suppress

WANTED = 65_536


def allow_open_files() -> None:
    """Let this process open as many files as the system lets it, `WANTED` at most.

    The usual 1,024 protects programs that use select(2), which this one is not; open
    packs, cached objects and connections together come near it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if resource.RLIM_INFINITY != soft < most:
        with suppress(ValueError, OSError):  # a system with a lower bound of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))

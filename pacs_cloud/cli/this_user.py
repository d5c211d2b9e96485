"""Who types."""

import os
import pwd


def this_user() -> str:
    """Return the name of the system's user."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"

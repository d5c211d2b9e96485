"""`up` and `serve`."""

import asyncio
import sys
from collections.abc import Mapping

from pacs_cloud.bootstrap.supervisor import Role, supervise
from pacs_cloud.settings import Settings


def serve_roles(settings: Settings, counts: Mapping[Role, int]) -> None:
    """Run `counts` processes until told to stop; raises Unavailable."""

    def ready(actual: Settings) -> None:
        said = ["ready"]
        if Role.WEB in counts:
            said.append(f"http=http://{actual.http}")
        if Role.DIMSE in counts:
            said.append(f"dimse={actual.dimse} aet={actual.aet}")
        sys.stdout.write(" ".join(said) + "\n")
        sys.stdout.flush()

    asyncio.run(supervise(settings, counts, ready))


def serve_supervised(role: Role) -> None:
    """Be one of the supervisor's processes: settings on stdin, whose end means to stop."""
    from pacs_cloud.bootstrap.roles import run_role

    settings = Settings.from_child_json(sys.stdin.readline())
    run_role(settings, role)

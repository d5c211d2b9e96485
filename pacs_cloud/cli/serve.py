"""`up` and `serve`."""

import asyncio
import sys
from collections.abc import Mapping

from pacs_cloud.bootstrap.accounts import accounts_of, welcome_link
from pacs_cloud.bootstrap.services import open_stores
from pacs_cloud.bootstrap.supervisor import Role, supervise
from pacs_cloud.bootstrap.tenants import as_tenant
from pacs_cloud.cli.options import typed
from pacs_cloud.settings import Settings
from pacs_cloud.web.viewer.installed import ViewerFiles


def serve_roles(settings: Settings, counts: Mapping[Role, int]) -> None:
    """Run `counts` processes until told to stop; raises Unavailable."""
    secrets = dict[str, str]()
    if Role.WEB in counts and not settings.no_auth:
        secrets = asyncio.run(_first_secrets(settings))

    def ready(actual: Settings) -> None:
        said = ["ready"]
        if Role.WEB in counts:
            scheme = "https" if actual.http_tls_certificate else "http"
            said.append(f"http={scheme}://{actual.http}")
        if Role.DIMSE in counts:
            if actual.dimse_plain:
                said.append(f"dimse={actual.dimse}")
            if actual.dimse_tls is not None:
                said.append(f"dimse_tls={actual.dimse_tls}")
            said.append(f"aet={actual.aet}")
        if Role.WEB in counts and actual.metrics is not None:
            said.append(f"metrics=http://{actual.metrics}/metrics")
        sys.stdout.write(" ".join(said) + "\n")
        sys.stdout.flush()
        for tenant, secret in secrets.items():
            of = "" if tenant == actual.tenant else f" of {tenant}"
            link = welcome_link(as_tenant(actual, tenant), secret)
            sys.stderr.write(f"the first administrator{of} signs in at {link}\n")
        if Role.WEB in counts and not (viewer := ViewerFiles(actual.viewer_folder)).is_installed:
            why = viewer.fault or "the full viewer is not installed"
            sys.stderr.write(f"{why}: {typed('viewer install', actual)}\n")

    asyncio.run(supervise(settings, counts, ready))


async def _first_secrets(settings: Settings) -> dict[str, str]:
    """Return what begins the archive of each tenant that has no user yet: a link's secret."""
    found: dict[str, str] = {}
    async with open_stores(settings, create=True) as stores:
        for tenant in dict.fromkeys((settings.tenant, *settings.http_tenants.values())):
            secret = await accounts_of(settings, stores.objects, tenant).first_link()
            if secret is not None:
                found[tenant] = secret
    return found


def serve_supervised(role: Role) -> None:
    """Be one of the supervisor's processes: settings on stdin, whose end means to stop."""
    from pacs_cloud.bootstrap.roles import run_role

    settings = Settings.from_child_json(sys.stdin.readline())
    run_role(settings, role)

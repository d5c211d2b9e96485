"""`audit verify`."""

import asyncio
from dataclasses import asdict

from pacs_cloud.audit.asked import parsed_moment
from pacs_cloud.audit.reading import audited_tenants
from pacs_cloud.audit.verify import Checked, Finding, Verification
from pacs_cloud.bootstrap.services import open_stores
from pacs_cloud.cli.output import counted, print_json, print_rows, stderr
from pacs_cloud.settings import Settings

CLEAN, FINDINGS = 0, 1


def verify(settings: Settings, *, since: str, tenant: str, as_json: bool) -> int:
    """Print what is wrong with the trail; return the exit code.

    Raises:
        InvalidRequest: `since` is no day.
    """
    day = f"{parsed_moment(since, 'since'):%Y%m%d}" if since else ""
    return asyncio.run(_verify(settings, day, tenant, as_json=as_json))


async def _verify(settings: Settings, day: str, tenant: str, *, as_json: bool) -> int:
    total, found = Checked(), list[Finding]()
    async with open_stores(settings) as stores:
        root = settings.audit_journals
        for one in [tenant] if tenant else await audited_tenants(stores.objects, root):
            verification = Verification(stores.objects, root, one, since_day=day)
            async for finding in verification.run():
                found.append(finding)
                if as_json:
                    print_json(asdict(finding))
            total.parts += verification.checked.parts
            total.events += verification.checked.events
            total.chains += verification.checked.chains
    said = (
        f"{counted(total.events, 'event')} in {counted(total.parts, 'part')}"
        f" of {counted(total.chains, 'chain')}"
    )
    if not as_json:
        rows = [asdict(finding) for finding in found]
        print_rows(
            rows, ("place", "line", "what"), as_json=False, empty=f"As it was written: {said}."
        )
    if found:
        stderr.print(f"{counted(len(found), 'finding')} in {said}.")
    return FINDINGS if found else CLEAN

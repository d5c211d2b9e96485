"""`share make`, `list`, `show` and `revoke`."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pacs_cloud.audit.asking import Deeds, Wanted, who_did
from pacs_cloud.audit.reading import Unreadable, events
from pacs_cloud.bootstrap.auditing import open_trail
from pacs_cloud.bootstrap.services import Stores, now_us, open_intake, open_reading
from pacs_cloud.bootstrap.share_copies import copying, removing
from pacs_cloud.bootstrap.tenants import site_of
from pacs_cloud.cli.auditing import say_unreadable
from pacs_cloud.cli.deidentifying import write_report
from pacs_cloud.cli.moments import when
from pacs_cloud.cli.on_record import open_stores
from pacs_cloud.cli.output import counted, print_json, print_rows, stdout
from pacs_cloud.dicom.deid.report import reason_text
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.identity.shares import MadeShare, Shares
from pacs_cloud.identity.shares_record import Share, ShareState, share_path
from pacs_cloud.identity.shares_wish import ShareWish
from pacs_cloud.security.audit_event import AuditEvent, Kind, Outcome
from pacs_cloud.security.caller import Caller, system
from pacs_cloud.settings import Settings

_DOOR: Final = "cli"
_COLUMNS: Final = (
    "share",
    "state",
    "until",
    "uses",
    "may",
    "deidentified",
    "guest",
    "studies",
    "made_by",
    "reason",
)
_DEED_COLUMNS: Final = ("kind", "outcome", "count", "studies", "first", "last", "from")


@asynccontextmanager
async def _opened(
    settings: Settings, *, makes_copies: bool = False
) -> AsyncGenerator[tuple[Stores, Shares]]:
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(open_stores(settings))
        trail = await stack.enter_async_context(open_trail(settings, stores, brief=True))
        copies = removing(stores)
        if makes_copies:
            reading = await stack.enter_async_context(open_reading(settings, stores))
            intake = await stack.enter_async_context(open_intake(settings, stores))
            copies = copying(settings, stores, reading, intake)
        yield (
            stores,
            Shares(
                *(stores.objects, stores.catalogue, settings.tenant, now_us, trail.record),
                sensitive=settings.sensitive_labels,
                copying=copies,
            ),
        )


def _whoever(settings: Settings, by: str = "") -> Caller:
    """Return the archive itself, at the wish of whoever types."""
    itself = system(settings.tenant)
    return replace(itself, subject=f"{itself.subject}:{by}") if by else itself


def make_share(
    settings: Settings, wish: ShareWish, *, by: str, report: Path | None, as_json: bool
) -> None:
    """Make a link and print it; write to `report` what was done to the copies that it opens.

    Raises:
        NotFound: there is no such study, series or project.
        InvalidRequest, InvalidUid: what is wished for cannot be.
    """

    async def make() -> MadeShare:
        async with _opened(settings, makes_copies=wish.deidentify) as (_, shares):
            return await shares.create(_whoever(settings, by), wish, door=_DOOR)

    if report is not None and not wish.deidentify:
        raise InvalidRequest("--report is of what --deidentify does")
    made = asyncio.run(make())
    said = made.report.as_json() if made.report else {}
    link = site_of(settings) + share_path(made.share.share_id, made.secret)
    if as_json:
        print_json({**_plain(made.share), "link": link, "codes": list(made.codes), "report": said})
    else:
        _print_made(made, link, said)
    if report is not None:  # the link is shown, whatever becomes of that
        write_report(report, said)


def _print_made(made: MadeShare, link: str, said: dict[str, Any]) -> None:
    stdout.print(link)
    for code in made.codes:
        stdout.print(f"code {code[:4]} {code[4:]}")
    uses = counted(made.share.most_uses, "time")
    stdout.print(f"It can be opened {uses} until {when(made.share.until_us)}.")
    for why, count in said.get("withheld", {}).items():
        stdout.print(f"left out: {counted(count, 'instance')}, {reason_text(why)}")
    if made.codes:
        stdout.print("Each use needs one of the codes: tell them another way than the link.")


def list_shares(settings: Settings, study: str, *, everything: bool, as_json: bool) -> None:
    """Print links."""

    async def every() -> list[Share]:
        async with _opened(settings) as (_, shares):
            return await shares.list(_whoever(settings))

    now = now_us()
    found = [
        _plain(one)
        for one in asyncio.run(every())
        if (not study or study in one.studies) and (everything or one.is_good(now))
    ]
    print_rows(found, _COLUMNS, as_json=as_json, empty="Nothing is shared.")


def show_share(settings: Settings, share_id: str, *, as_json: bool) -> None:
    """Print one link, and its receipts; raises NotFound."""
    missed = Unreadable()
    share, deeds = asyncio.run(_show(settings, share_id, missed))
    say_unreadable(missed)
    row = _plain(share)
    uses = [{"when": when(use.at_us), "from": use.address} for use in share.uses]
    done = [_deed(*key[1:], value) for key, value in deeds.items()]
    if as_json:
        print_json({**row, "opened": uses, "done": done})
        return
    print_rows(
        [{"field": name, "value": value} for name, value in row.items()],
        ("field", "value"),
        as_json=False,
        empty="",
    )
    print_rows(uses, ("when", "from"), as_json=False, empty="It was never opened.")
    print_rows(done, _DEED_COLUMNS, as_json=False, empty="Nothing that was done is on record.")


async def _show(
    settings: Settings, share_id: str, missed: Unreadable
) -> tuple[Share, dict[tuple[str, Kind, Outcome], Deeds]]:
    async with _opened(settings) as (stores, shares):
        share = await shares.read(_whoever(settings), share_id)
        # What guests of copies did is on record with these, but for their coming and replies.
        tenants = {settings.tenant, share.guests_tenant(settings.tenant)}

        async def told() -> AsyncGenerator[AuditEvent]:
            for tenant in sorted(tenants):
                found = events(
                    *(stores.objects, settings.audit_journals, tenant),
                    since_us=share.made_us,
                    unreadable=missed,
                )
                async for event, _ in found:
                    yield event

        return share, await who_did(told(), Wanted(who=share.subject))


def revoke_shares(settings: Settings, share_ids: Sequence[str], *, by: str, as_json: bool) -> None:
    """End links; raises NotFound where one is none, and those before it are ended."""

    async def revoke() -> None:
        async with _opened(settings) as (_, shares):
            for one in share_ids:
                share = await shares.revoke(_whoever(settings, by), one, door=_DOOR)
                if as_json:
                    print_json(_plain(share))
                else:
                    stdout.print(f"{share.share_id} opens nothing any more.")

    asyncio.run(revoke())


def _plain(share: Share) -> dict[str, Any]:
    state = share.state(now_us())
    guest = share.guest
    more = {"download": share.may_download, "reply": share.may_reply}
    return {
        "share": share.share_id,
        "state": state.value,
        "until": when(share.until_us),
        "uses": f"{len(share.uses)}/{share.most_uses}",
        "may": ["view", *(name for name, is_allowed in more.items() if is_allowed)],
        "codes": share.needs_code,
        "guest": f"{guest.name} {guest.email}".strip() if guest else "",
        "studies": list(share.studies),
        "series": list(share.series),
        "deidentified": share.deidentify,
        "project": share.project,
        "withheld": share.withheld,
        "made": when(share.made_us),
        "made_by": share.made_by,
        "reason": share.reason,
        "wrong_codes": share.wrong_codes,
        "revoked": when(share.revoked_us) if state is ShareState.REVOKED else "",
        "revoked_by": share.revoked_by,
    }


def _deed(kind: Kind, outcome: Outcome, deeds: Deeds) -> dict[str, Any]:
    return {
        "kind": kind.value,
        "outcome": outcome.value,
        "count": deeds.count,
        "studies": sorted(deeds.studies),
        "first": when(deeds.first_us),
        "last": when(deeds.last_us),
        "from": sorted(deeds.addresses),
    }

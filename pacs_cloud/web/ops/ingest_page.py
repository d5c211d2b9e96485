"""`/ops/ingest`: who sends, what came in, and what waits in the spool of this host."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.ingest.associations import SeenAssociation
from pacs_cloud.ingest.contents import SpoolFile
from pacs_cloud.security.caller import Action
from pacs_cloud.web.local_paths import OPS
from pacs_cloud.web.ops.frame import LIVE_S, OpsFrame
from pacs_cloud.web.ops.kept import Kept
from pacs_cloud.web.ops.services import OpsServices
from pacs_cloud.web.ops.words import within_text
from pacs_cloud.web.page_kit import PageKit

PATH: Final = f"{OPS}/ingest"
_FILES_SHOWN: Final = 200
_LONGEST: Final = 64
_SHOWN: Final = ("all", "open", "over", "trouble", "quarantine")
_CLEAN: Final = "released"


@dataclass(frozen=True, slots=True)
class ProcessSpool:
    """What one process has in the spool.

    Attributes:
        process: its directory.
        packs: in it.
        length_bytes: of these.
        oldest_us: when the oldest was written to last.
    """

    process: str
    packs: int
    length_bytes: int
    oldest_us: int


class IngestPage:
    """What comes in."""

    def __init__(self, kit: PageKit, services: OpsServices, frame: OpsFrame) -> None:
        """Show what `services` tells of the processes of this host."""
        self._kit = kit
        self._services = services
        self._frame = frame
        self._files = Kept(lambda: asyncio.to_thread(services.spool), 1)
        self._seen = Kept(lambda: asyncio.to_thread(services.associations), 1)

    async def show(self, request: Request) -> Response:
        """Return the page; `?show=` says which associations or files, `?find=` whose."""
        entered = await self._frame.enter(request, Action.OPERATE)
        shown = request.query_params.get("show", "all")
        shown = shown if shown in _SHOWN else "all"
        find = request.query_params.get("find", "")[:_LONGEST].strip()
        sees_host = self._services.sees_host
        files = await self._files.get() if sees_host else []
        quarantined = [one for one in files if one.is_quarantined]
        waiting = [one for one in files if not one.is_quarantined]
        listed = quarantined if shown == "quarantine" else waiting
        seen = await self._seen.get()
        traffic, now_us = self._services.traffic, self._kit.services.now_us()
        return self._frame.page(
            request,
            entered,
            "ingest.html",
            section=PATH,
            every_s=LIVE_S,
            now_us=now_us,
            shown=shown,
            find=find,
            open=[one for one in seen if not one.ended_us],
            associations=[one for one in seen if _is_shown(one, shown) and _is_found(one, find)],
            rates=[] if self._services.is_shared else traffic.rates(),
            within=within_text(traffic.since_us, now_us),
            processes=_by_process(waiting),
            files=listed[:_FILES_SHOWN],
            more_files=max(0, len(listed) - _FILES_SHOWN),
            quarantined=len(quarantined),
            is_shared=self._services.is_shared,
            sees_host=sees_host,
        )


def _is_shown(one: SeenAssociation, shown: str) -> bool:
    match shown:
        case "open":
            return not one.ended_us
        case "over":
            return bool(one.ended_us)
        case "trouble":
            return bool(one.ended_us) and one.state != _CLEAN
        case _:
            return True


def _is_found(one: SeenAssociation, find: str) -> bool:
    wanted = find.casefold()
    return any(wanted in text.casefold() for text in (one.calling, one.called, one.address))


def _by_process(waiting: Sequence[SpoolFile]) -> list[ProcessSpool]:
    by_process: dict[str, list[SpoolFile]] = defaultdict(list)
    for one in waiting:
        by_process[one.process].append(one)
    return [
        ProcessSpool(
            process,
            len(files),
            sum(one.length_bytes for one in files),
            min(one.changed_us for one in files),
        )
        for process, files in sorted(by_process.items())
    ]

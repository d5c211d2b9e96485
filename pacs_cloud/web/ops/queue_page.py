"""`/ops/queue`: how many jobs wait or are at work; what failed for good, to go round again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.errors import InvalidRequest, NotFound
from pacs_cloud.security.caller import Action
from pacs_cloud.web.local_paths import OPS
from pacs_cloud.web.ops.frame import LIVE_S, OpsFrame
from pacs_cloud.web.ops.kept import Kept
from pacs_cloud.web.ops.services import OpsServices
from pacs_cloud.web.page_kit import PageKit
from pacs_cloud.web.refusals import see_other
from pacs_cloud.workqueue.jobs import MALFORMED, Job
from pacs_cloud.workqueue.port import DeadJob, Depth

PATH: Final = f"{OPS}/queue"
_DEAD_SHOWN: Final = 500
_KEEP_S: Final = 10
"""Looking at SQS's dead letters hides them for a moment from others: not every few seconds."""
_MOST_FACTS: Final = 8
_LONGEST: Final = 128


@dataclass(frozen=True, slots=True)
class ShownJob:
    """A dead job as the page lists it.

    Attributes:
        job_id: its own.
        kind: what it was to do.
        facts: what its body says, by name: UIDs and keys, no patient data.
        attempts: how often it was tried.
        at_us: when that was, or when it was sent.
        can_go_again: whether it is a job at all.
    """

    job_id: str
    kind: str
    facts: tuple[tuple[str, str], ...]
    attempts: int
    at_us: int
    can_go_again: bool


class QueuePage:
    """The queue, as far as its port can tell."""

    def __init__(self, kit: PageKit, services: OpsServices, frame: OpsFrame) -> None:
        """Show `services.queue`."""
        self._kit = kit
        self._services = services
        self._frame = frame
        self._depth = Kept(services.queue.depth, 1)
        self._dead = Kept(self._look, _KEEP_S)

    async def show(self, request: Request) -> Response:
        """Return the page; `?kind=` shows the dead jobs of one kind alone."""
        entered = await self._frame.enter(request, Action.OPERATE)
        kind = request.query_params.get("kind", "")[:_LONGEST]
        depth: Depth = await self._depth.get()
        dead = await self._dead.get() if depth.dead else []
        kinds = sorted({one.kind for one in dead})
        return self._frame.page(
            request,
            entered,
            "queue.html",
            section=PATH,
            every_s=LIVE_S,
            now_us=self._kit.services.now_us(),
            notice=_notice(request.query_params.get("again", "")),
            depth=depth,
            kind=kind,
            kinds=kinds,
            dead=[one for one in dead if not kind or one.kind == kind],
            most=_DEAD_SHOWN,
            is_shared=self._services.is_shared,
            sees_host=self._services.sees_host,
        )

    async def redrive(self, request: Request) -> Response:
        """Make dead jobs ready again: one, those of a kind, or all of this tenant.

        Raises:
            NotFound: there is none any more.
        """
        entered, form = await self._frame.form(request, Action.OPERATE)
        job_id, kind = form.text("job"), form.text("kind")
        if not job_id and form.text("all") != "yes":
            raise InvalidRequest("Say which jobs are to be sent round again.")

        def wanted(job: Job) -> bool:
            return (
                (not job_id or job.job_id == job_id)
                and (not kind or job.kind == kind)
                and self._is_ours(job)
            )

        meant = [(name, text) for name, text in (("job", job_id), ("kind", kind)) if text]
        await self._frame.changes(request, entered, "jobs sent round again", *meant)
        number = await self._services.queue.redrive(wanted)
        self._depth.forget()
        self._dead.forget()
        if not number:
            raise NotFound("there is no such dead job any more")
        query = {"again": str(number), **({"kind": kind} if kind and not job_id else {})}
        return see_other(f"{PATH}?{urlencode(query)}#main")

    async def _look(self) -> list[ShownJob]:
        return [_shown(one) for one in await self._services.queue.dead(_DEAD_SHOWN, self._is_ours)]

    def _is_ours(self, job: Job) -> bool:
        return not self._services.is_shared or job.tenant == self._kit.services.tenant


def _shown(one: DeadJob) -> ShownJob:
    return ShownJob(
        one.job.job_id,
        one.job.kind,
        _facts(one.job.body),
        one.attempts,
        one.at_us,
        one.job.kind != MALFORMED,
    )


def _facts(body: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return what a body says at its top, each in a line."""
    facts = [(name, _fact(value)) for name, value in body.items()]
    return tuple((name.replace("_", " "), text) for name, text in facts[:_MOST_FACTS] if text)


def _fact(value: object) -> str:
    if isinstance(value, (list, tuple, dict)):
        return f"{len(value)} of them" if value else ""
    return str(value)[:_LONGEST]


def _notice(again: str) -> str:
    if not (again.isascii() and again.isdecimal() and len(again) < 8):
        return ""
    number = int(again)
    return f"{number} {'job goes' if number == 1 else 'jobs go'} round again."

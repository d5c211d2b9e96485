"""`/ops/devices`: who sends to us, where we send, what waits there, and whether they answer."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.errors import PacsError
from pacs_cloud.identity.devices import Device, devices_of
from pacs_cloud.ingest.associations import SeenAssociation
from pacs_cloud.routing.sends import Sending, SendState, sendings_lately
from pacs_cloud.security.caller import Action
from pacs_cloud.settings import Destination
from pacs_cloud.web.local_paths import OPS
from pacs_cloud.web.ops.frame import LIVE_S, Attendance, OpsFrame
from pacs_cloud.web.ops.kept import Kept
from pacs_cloud.web.ops.services import OpsServices
from pacs_cloud.web.page_kit import PageKit
from pacs_cloud.web.refusals import Failure, sentence

PATH: Final = f"{OPS}/devices"
_LONGEST: Final = 64
_KEEP_S: Final = 10
_SENDINGS_S: Final = 60
"""All that was ever sent is listed for it, and what was lately is read."""
_SENDINGS: Final = 200
_SHOWN: Final = 200
"""Devices that are listed; the others are found by their titles."""
_SINCE_US: Final = 30 * 86_400_000_000
_TESTS: Final = 4
"""At a time: whoever does not answer is waited for."""
_GOOD: Final = ("released", "busy", "idle")


@dataclass(slots=True)
class KnownPeer:
    """A device, or a destination of the settings.

    Attributes:
        title: its AE title.
        where: its host and port, where something can be sent to it; "".
        tls: whether that goes over TLS.
        may: what it may ask for, in words.
        note: for people.
        is_disabled: whether it is kept out.
        is_setting: whether it stands in the settings, which bound nobody.
        heard: its latest association at this host; None: it has not called lately.
        sendings: to it, with the UID of each study, the newest first.
    """

    title: str
    where: str = ""
    tls: bool = False
    may: tuple[str, ...] = ()
    note: str = ""
    is_disabled: bool = False
    is_setting: bool = False
    heard: SeenAssociation | None = None
    sendings: list[tuple[str, Sending]] = field(default_factory=list[tuple[str, Sending]])

    @property
    def heard_well(self) -> bool:
        """Whether its latest association went, or goes, as it should."""
        return self.heard is not None and self.heard.state in _GOOD

    @property
    def waiting(self) -> int:
        """How many studies are on their way to it."""
        return sum(one.goes_on for _, one in self.sendings)

    @property
    def last_sent_us(self) -> int:
        """When a study was there last, all of it; 0: none was lately."""
        ended = [one.ended_us for _, one in self.sendings if one.state is SendState.SENT]
        return max(ended, default=0)

    @property
    def failed(self) -> Sending | None:
        """The latest sending that failed since one went well."""
        latest = next((one for _, one in self.sendings if one.state is not SendState.WAITING), None)
        return None if latest is None or latest.state is SendState.SENT else latest


class DevicesPage:
    """Every application entity that is known here."""

    def __init__(self, kit: PageKit, services: OpsServices, frame: OpsFrame) -> None:
        """Show the devices of `services.objects`, and the destinations of the settings."""
        self._kit = kit
        self._services = services
        self._frame = frame
        self._devices = Kept(self._look, _KEEP_S)
        self._sendings = Kept(self._look_at_sendings, _SENDINGS_S)
        self._seen = Kept(lambda: asyncio.to_thread(services.associations), 1)
        self._tests = asyncio.Semaphore(_TESTS)

    async def show(self, request: Request) -> Response:
        """Return the page; `?find=` shows those like it, `?title=` what goes to one."""
        entered = await self._frame.enter(request, Action.OPERATE)
        return await self._page(request, entered)

    async def verify(self, request: Request) -> Response:
        """Ask a destination whether it answers, and say so."""
        entered, form = await self._frame.form(request, Action.OPERATE)
        title = form.text("title")
        try:
            async with self._tests:
                took_s = await self._services.verify(title)
        except PacsError as error:
            failure = Failure(f"{title or 'Nobody'} does not answer", sentence(error))
            return await self._page(request, entered, failure=failure)
        notice = f"{title} answered within {max(took_s, 0.001):.3f} seconds."
        return await self._page(request, entered, notice=notice)

    async def _page(
        self,
        request: Request,
        entered: Attendance,
        *,
        notice: str = "",
        failure: Failure | None = None,
    ) -> Response:
        find = request.query_params.get("find", "")[:_LONGEST].strip()
        title = request.query_params.get("title", "")[:_LONGEST]
        devices, sendings = await self._devices.get(), await self._sendings.get()
        seen = await self._seen.get()
        peers = _known(devices, self._services.destinations, sendings, seen)
        listed = [one for one in peers if find.casefold() in one.title.casefold()]
        return self._frame.page(
            request,
            entered,
            "devices.html",
            section=PATH,
            every_s=LIVE_S,
            now_us=self._kit.services.now_us(),
            notice=notice,
            failure=failure,
            find=find,
            peers=listed[:_SHOWN],
            more=max(0, len(listed) - _SHOWN),
            known=len(peers),
            one=next((one for one in peers if one.title == title), None),
            strangers=_strangers(peers, seen) if not self._services.is_shared else (),
            states={state.value: state.value.replace("-", " ") for state in SendState},
        )

    async def _look(self) -> list[Device]:
        found = devices_of(self._services.objects, self._kit.services.tenant)
        return [one.device async for one in found if one.device is not None]

    async def _look_at_sendings(self) -> list[tuple[str, Sending]]:
        now_us = self._kit.services.now_us()
        return await sendings_lately(
            *(self._services.objects, self._kit.services.tenant),
            since_us=now_us - _SINCE_US,
            most=_SENDINGS,
            now_us=now_us,
        )


def _known(
    devices: Iterable[Device],
    destinations: Sequence[Destination],
    sendings: Iterable[tuple[str, Sending]],
    seen: Sequence[SeenAssociation],
) -> list[KnownPeer]:
    """Return everybody who is known, by title."""
    peers = {one.title: _of_device(one) for one in devices}
    for one in destinations:
        # The settings come first where both say where somebody is.
        peer = peers.setdefault(one.aet, KnownPeer(one.aet))
        peer.where, peer.tls, peer.is_setting = f"{one.host}:{one.port}", one.tls, True
    for study, sending in sendings:
        if (peer := peers.get(sending.destination)) is not None:
            peer.sendings.append((study, sending))
    for title, heard in _latest(seen).items():
        if (peer := peers.get(title)) is not None:
            peer.heard = heard
    return sorted(peers.values(), key=lambda one: one.title)


def _of_device(device: Device) -> KnownPeer:
    to = device.destination
    return KnownPeer(
        device.title,
        f"{to.host}:{to.port}" if to else "",
        to.tls if to else False,
        tuple(sorted(one.value for one in device.services)),
        device.note,
        device.is_disabled,
    )


def _latest(seen: Iterable[SeenAssociation]) -> Mapping[str, SeenAssociation]:
    """Return the association of each title that was begun last."""
    by_title: dict[str, SeenAssociation] = {}
    for one in seen:
        known = by_title.get(one.calling)
        if known is None or one.since_us > known.since_us:
            by_title[one.calling] = one
    return by_title


def _strangers(
    peers: Iterable[KnownPeer], seen: Iterable[SeenAssociation]
) -> list[tuple[str, int]]:
    """Return who calls and is not known here, and how often lately."""
    known = {one.title for one in peers}
    calls: defaultdict[str, int] = defaultdict(int)
    for one in seen:
        if one.calling not in known:
            calls[one.calling] += 1
    return sorted(calls.items(), key=lambda one: -one[1])

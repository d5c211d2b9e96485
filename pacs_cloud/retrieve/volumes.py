"""Series as volumes: loaded once for everybody on this machine, looked at, and dropped again.

A volume is held by a process of its own (`volumes_process`), which ends when nobody has looked
at it for some minutes, or when its memory is wanted for another. So whatever happens to it
happens to nobody else. What is known here of a volume is what its process says.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from blake3 import blake3

from pacs_cloud.dicom.volume.pictures import PlanePicture, ViewPicture
from pacs_cloud.dicom.volume.planes import Cut
from pacs_cloud.errors import NotAcceptable, PacsError, Unavailable
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.retrieve.cache import BoundedCache
from pacs_cloud.retrieve.instances import Located, state_tag
from pacs_cloud.retrieve.tables import ref_of
from pacs_cloud.retrieve.volumes_loading import loaded
from pacs_cloud.retrieve.volumes_plan import Plan, plan_of
from pacs_cloud.retrieve.volumes_process import IMPOSSIBLE, LIMIT_S, LOADING, TURN_S
from pacs_cloud.retrieve.volumes_room import Held, VolumesRoom
from pacs_cloud.retrieve.volumes_wire import Line
from pacs_cloud.security.caller import Caller

_RENDITION: Final = "1"
"""Part of every name: raised when what is made of the same series looks different."""
_PLANS_BYTES: Final = 32 << 20
_SLICE_BYTES: Final = 4096
"""Of one slice in a plan, roughly."""
_ANSWER_S: Final = TURN_S + LIMIT_S + 10
_AT_ONCE: Final = 8
"""Pictures of one volume: whoever waits for one that hangs is in the way of no other."""
_MOST_WAITING: Final = 64
_REST_S: Final = 5.0
"""Until what could not be loaded is tried again, however often it is asked for."""
_MOST_DEATHS: Final = 2
"""Of processes that load a volume, one after the other; then it is tried no more."""
_MOST_REMEMBERED: Final = 256
"""Volumes whose processes died."""
_DEADLY: Final = (
    "Its process was killed twice while it was loaded, as where memory is short: no volume is made"
    " of it here."
)


class VolumeLoading(Unavailable):
    """The volume is not there yet; it is being loaded."""


class Volumes:
    """The volumes of one archive."""

    def __init__(
        self, archive: Archive, folder: Path, *, max_bytes: int = 512 << 20, idle_s: float = 300
    ) -> None:
        """Prepare; nothing is loaded yet.

        Args:
            archive: whose series.
            folder: where processes that hold volumes are found, the same for all processes of
                the archive on this machine.
            max_bytes: of all volumes' values together; one that takes more is made coarser.
            idle_s: after so long without a request one is dropped.
        """
        self._archive = archive.readable
        self._room = VolumesRoom(folder, max_bytes, idle_s)
        self._plans: BoundedCache[Plan | NotAcceptable] = BoundedCache(_PLANS_BYTES, "volume-plans")
        self._tending: dict[str, asyncio.Task[None]] = {}
        self._claiming = asyncio.Lock()
        self._slots: dict[str, asyncio.Semaphore] = {}
        self._waiting: Counter[str] = Counter()
        self._deaths: Counter[str] = Counter()

    async def find(
        self, caller: Caller, study_instance_uid: str, series_instance_uid: str
    ) -> "SeriesVolume":
        """Return a series as somebody sees it; nothing is loaded.

        Raises:
            Denied, NotFound, Offline, Unavailable: as `Instances.locate`.
        """
        located = await self._archive.instances.locate(
            caller, study_instance_uid, series_instance_uid
        )
        state = state_tag(located)
        mark = f"{_RENDITION} {caller.tenant} {state} {self._room.max_bytes}"
        return SeriesVolume(self, located, blake3(mark.encode()).hexdigest(length=16))

    async def told(self, series: "SeriesVolume") -> dict[str, Any]:
        """Return what a series' volume is, and begin to load it where it is not there.

        Raises:
            VolumesFull: others use the memory.
            Unavailable: it cannot be loaded now.
        """
        said = await self._said(series.name, {"do": "about"})
        if said is None:
            plan = await self._plan(series)
            if isinstance(plan, NotAcceptable):
                return {"state": IMPOSSIBLE, "progress": 0.0, "reason": str(plan)}
            await self._begin(series, plan)
            return {"state": LOADING, "progress": 0.0, "reason": "", "notes": list(plan.notes)}
        return said[0]

    async def made(self, series: "SeriesVolume", wanted: Mapping[str, Any]) -> Any:
        """Return what a series' volume answers, a picture or what is at a point.

        Raises:
            VolumeLoading: it is not there yet, and is being loaded.
            VolumesFull: others use the memory.
            NotAcceptable: it is not to be had.
            InvalidRequest: it has nothing of the kind.
        """
        said = await self._said(series.name, wanted)
        if said is None or "state" in said[0]:
            told = await self.told(series)
            if told["state"] == IMPOSSIBLE:
                raise NotAcceptable(told["reason"])
            raise VolumeLoading("The volume is being loaded.")
        answer, data = said
        return data or answer

    async def aclose(self) -> None:
        """End the processes that were started here."""
        tending = list(self._tending.values())
        for task in tending:
            task.cancel()
        await asyncio.gather(*tending, return_exceptions=True)
        self._room.close()

    async def _said(
        self, name: str, said: Mapping[str, Any]
    ) -> tuple[dict[str, Any], bytes] | None:
        """Return what a volume's process answers; None where there is none."""
        if self._waiting[name] >= _MOST_WAITING:
            raise Unavailable("Too many pictures of this volume are asked for.")
        self._waiting[name] += 1
        slots = self._slots.setdefault(name, asyncio.Semaphore(_AT_ONCE))
        try:
            async with slots, asyncio.timeout(_ANSWER_S):
                reader, writer = await asyncio.open_unix_connection(self._room.address(name))
                line = Line(reader, writer)
                try:
                    return await line.ask(said)
                finally:
                    line.close()
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except EOFError as error:
            raise Unavailable("The process that held the volume has ended.") from error
        except TimeoutError as error:
            if name in self._tending:
                self._tending[name].cancel()  # which ends it
            raise Unavailable("The process that holds the volume does not answer.") from error
        except OSError as error:
            raise Unavailable("There can be no connection to a volume.") from error
        finally:
            self._waiting[name] -= 1
            if not self._waiting[name]:
                del self._waiting[name], self._slots[name]

    async def _plan(self, series: "SeriesVolume") -> Plan | NotAcceptable:
        if self._deaths[series.name] >= _MOST_DEATHS:
            return NotAcceptable(_DEADLY)

        async def load() -> tuple[Plan | NotAcceptable, int]:
            tables = self._archive.tables
            packs = {one.pack.pack_id: one.pack for one in series.located}
            headers = {
                pack_id: await tables.headers(pack.tenant, ref_of(pack))
                for pack_id, pack in packs.items()
            }
            each = [headers[one.pack.pack_id] for one in series.located]
            most = self._room.max_bytes
            try:
                plan = await asyncio.to_thread(plan_of, series.located, each, most)
            except NotAcceptable as error:
                return error.with_traceback(None), _SLICE_BYTES
            return plan, _SLICE_BYTES * (1 + len(plan.frames))

        return await self._plans.get((series.name,), load)

    async def _begin(self, series: "SeriesVolume", plan: Plan) -> None:
        """Return when a process holds what is going to be the volume."""
        if series.name in self._tending:
            return
        claimed = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._tend(series, plan, claimed))
        self._tending[series.name] = task
        task.add_done_callback(lambda _: self._tending.pop(series.name, None))
        await asyncio.wait({task, claimed}, return_when=asyncio.FIRST_COMPLETED)
        # It says whether it has claimed; of a defect it says nothing, and is over.
        await (asyncio.shield(claimed) if claimed.done() else task)

    async def _claimed(self, name: str, volume_bytes: int) -> Held | None:
        async with self._claiming:  # else all threads may come to wait for the room's lock
            return await asyncio.to_thread(self._room.claim, name, volume_bytes)

    async def _tend(
        self, series: "SeriesVolume", plan: Plan, claimed: "asyncio.Future[None]"
    ) -> None:
        """Start a volume's process, load it, and wait for its end."""
        claiming = asyncio.create_task(self._claimed(series.name, plan.grid.bytes))
        try:
            held = await asyncio.shield(claiming)
        except asyncio.CancelledError:
            claimed.cancel()
            with suppress(PacsError):
                held = await claiming
                if held is not None:
                    await asyncio.to_thread(held.end)
            raise
        except PacsError as error:
            claimed.set_exception(error)
            claimed.exception()  # who asked may have gone
            return
        claimed.set_result(None)
        if held is not None:
            try:
                is_whole = await loaded(held, plan, self._archive)
            finally:
                has_died = await asyncio.shield(asyncio.to_thread(held.end))
            if is_whole:
                self._deaths.pop(series.name, None)
                return
            if has_died:
                self._count_death(series.name)
            await asyncio.sleep(_REST_S)

    def _count_death(self, name: str) -> None:
        self._deaths[name] = self._deaths.pop(name, 0) + 1
        if len(self._deaths) > _MOST_REMEMBERED:
            del self._deaths[next(iter(self._deaths))]


class SeriesVolume:
    """A series that somebody may see, as a volume.

    Attributes:
        name: of what is seen: it changes when other instances are, or otherwise.
        located: its instances.
    """

    def __init__(self, volumes: Volumes, located: tuple[Located, ...], name: str) -> None:
        """Ask `volumes` for it."""
        self._volumes = volumes
        self.located = located
        self.name = name

    async def told(self) -> dict[str, Any]:
        """Return what the volume is, and begin to load it; raises as `Volumes.told`."""
        return {**await self._volumes.told(self), "id": self.name}

    async def plane(self, wanted: PlanePicture) -> bytes:
        """Return a picture of a plane; raises as `Volumes.made`."""
        return await self._volumes.made(self, {"do": "plane", **asdict(wanted)})

    async def view(self, wanted: ViewPicture) -> bytes:
        """Return a picture of all of it; raises as `Volumes.made`."""
        return await self._volumes.made(self, {"do": "view", **asdict(wanted)})

    async def point(self, cut: Cut, x: float, y: float) -> dict[str, Any]:
        """Return what is at a point of a plane's picture; raises as `Volumes.made`."""
        return await self._volumes.made(self, {"do": "point", "cut": asdict(cut), "x": x, "y": y})

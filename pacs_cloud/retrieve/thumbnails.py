"""Thumbnails that are kept, so that they can be seen of what lies cold.

Before a pack goes where it has to be recalled from, a picture of its series is written
beside it, hot: the one that the thumbnail resource makes. That of a study is the one of
its first series, which needs no object of its own. Where nothing can be rendered, that is
written down instead, and is no reason to keep the pack from going.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Final, TypeAlias

import orjson

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.dicom.render.frame_picture import Wanted
from pacs_cloud.dicom.render.kept_picture import again
from pacs_cloud.dicom.render.picture import JPEG
from pacs_cloud.errors import (
    Conflict,
    Corrupt,
    InvalidInstance,
    NotAcceptable,
    NotFound,
    Offline,
)
from pacs_cloud.objectstore.hot_keys import ThumbKey, parse_thumb_key, thumbs_prefix
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.retrieve.depiction import representatives
from pacs_cloud.retrieve.instances import Instances, Located
from pacs_cloud.retrieve.pixel_workers import PixelWorkers
from pacs_cloud.retrieve.rendered import Renderer
from pacs_cloud.retrieve.shown_frames import Shown
from pacs_cloud.security.caller import Caller, system
from pacs_cloud.telemetry import hashed

log = logging.getLogger(__name__)

AtHand: TypeAlias = Callable[[PackRecord], bool]
"""Tells whether a pack can be read now."""

_VERSION: Final = 1
_AS_KEPT: Final = Wanted(JPEG, is_thumbnail=True)
_MOST_SERIES: Final = 8
"""That are looked at for a study, as many as where its headers can be read."""
_UNKNOWN: Final = 0
"""The number of a frame that is not known."""


def always_at_hand(pack: PackRecord) -> bool:
    """Take it that every pack can be read."""
    del pack
    return True


class Thumbnails:
    """Writes thumbnails down, and finds those that were."""

    def __init__(
        self,
        catalogue: Catalogue,
        objects: ObjectStore,
        instances: Instances,
        renderer: Renderer,
        workers: PixelWorkers,
        at_hand: AtHand = always_at_hand,
    ) -> None:
        """Keep them in `objects`; `at_hand` tells what needs none."""
        self._catalogue = catalogue
        self._objects = objects
        self._instances = instances
        self._renderer = renderer
        self._workers = workers
        self._at_hand = at_hand

    async def chosen(
        self, caller: Caller, located: Sequence[Located], frame: int | None
    ) -> Shown | ThumbKey | None:
        """Return what stands for `located` where some of them lie cold.

        That is a frame that can be read, or a thumbnail that was kept of one that cannot.
        None: all can be read, and are shown as ever.

        Args:
            caller: who asks.
            located: one instance, or those of a series or a study.
            frame: of the one instance; None: the one in the middle.

        Raises:
            NotFound, NotAcceptable: as for a thumbnail of what can be read.
            Offline: there is none: it was cold before thumbnails were kept.
        """
        if all(self._at_hand(one.pack) for one in located):
            return None
        blank: ThumbKey | None = None
        is_any_missing = False
        for shown in await self._standing(caller, located, frame):
            if self._can_be_seen(shown):
                return shown
            if shown.state is not None:
                break  # none is kept as a presentation state shows it
            found = await self._of_series(shown.located, located)
            exact = [one for one in found if _is_of(one, shown)]
            best = next((one for one in exact or found if one.is_picture), None)
            if best is not None and (frame is None or exact):
                return best
            blank = blank or next(iter(exact), None)
            is_any_missing |= not exact
        if blank is not None and not is_any_missing:
            raise NotAcceptable(await self._why_not(blank))
        raise Offline("it is cold, and no thumbnail of it was kept")

    async def picture(self, kept: ThumbKey, wanted: Wanted) -> bytes:
        """Return a thumbnail that was kept, as `wanted`, at most as large as it is.

        Raises:
            NotFound: it has gone with its pack.
            Corrupt: it is damaged.
        """
        jpeg = await self._objects.get(kept.key)
        if wanted == _AS_KEPT:
            return jpeg
        try:
            return await self._workers.run(again, jpeg, wanted)
        except InvalidInstance as error:
            raise Corrupt(f"{kept.key} is damaged") from error

    async def keep(
        self,
        tenant: str,
        study_instance_uid: str,
        series_instance_uid: str,
        at_hand: Collection[str] = (),
    ) -> None:
        """See to it that a series has a thumbnail; repeatable, and nothing where it has one.

        Args:
            tenant: whose.
            study_instance_uid: of the series.
            series_instance_uid: which.
            at_hand: ids of packs that can be read, whatever their records say.

        Raises:
            Offline: none of its images can be read now.
            Unavailable, Denied, NotFound: it could not be made, or not be written.
        """
        itself = system(tenant)
        try:
            left = await self._instances.locate(itself, study_instance_uid, series_instance_uid)
        except NotFound:
            return  # nobody can see anything of it
        cold: Offline | None = None
        every = left
        while shown := await self._first(itself, left):
            pack = shown.located.pack
            found = await self._of_series(shown.located, every)
            if any(_is_of(one, shown) for one in found):
                return
            if shown.number and (pack.pack_id in at_hand or self._at_hand(pack)):
                try:
                    await self._write(shown)
                except Offline as error:  # moved, and nobody has noted it yet
                    cold = error
                else:
                    return
            if any(one.is_picture for one in found):
                return  # one that stood for the series before it grew
            cold = cold or Offline("it is cold already")
            left = tuple(one for one in left if one.pack.pack_id != pack.pack_id)
        if cold is not None:
            raise cold

    async def _first(self, caller: Caller, located: Sequence[Located]) -> Shown | None:
        """Return the frame that stands for `located`; None where nothing of it can be shown."""
        if not located:
            return None
        try:
            return next(iter(await self._standing(caller, located, None)))
        except (NotFound, NotAcceptable):
            return None

    async def _standing(
        self, caller: Caller, located: Sequence[Located], frame: int | None
    ) -> Sequence[Shown]:
        """Return what can stand for `located`, the best first; nothing cold is read for it."""
        found: list[Shown] = []
        try:
            async for one in self._renderer.shown.standing_for(caller, located, frame):
                found.append(one)  # noqa: PERF401  kept where a later one is cold
        except Offline:
            # A header whose tables are bulk data: its frame in the middle is not known, nor
            # whether it is a localizer.
            known = {one.located.instance.sop_instance_uid for one in found}
            found += [
                Shown(one, frame or _UNKNOWN)
                for one in representatives(located)[:_MOST_SERIES]
                if one.instance.sop_instance_uid not in known
            ]
        return found

    async def _of_series(self, one: Located, visible: Sequence[Located]) -> list[ThumbKey]:
        """Return what is kept of the series that `one` is of, as far as that is visible."""
        pack = one.pack
        names = pack.tenant, pack.study_instance_uid, pack.series_instance_uid
        shown = {(it.pack.pack_id, it.instance.sop_instance_uid) for it in visible}
        found: list[ThumbKey] = []
        async for info in self._objects.list(thumbs_prefix(*names)):
            kept = parse_thumb_key(info.key)
            if kept is not None and (kept.pack.pack_id, kept.sop_instance_uid) in shown:
                found.append(kept)
        return found

    async def _write(self, shown: Shown) -> None:
        """Write down the thumbnail of a frame, or why there can be none."""
        one = shown.located
        pack = one.pack
        names = pack.tenant, pack.study_instance_uid, pack.series_instance_uid, pack.pack_id
        sop_instance_uid = one.instance.sop_instance_uid
        try:
            data, is_picture = await self._renderer.picture(shown, _AS_KEPT), True
        except (NotAcceptable, Corrupt) as error:
            data, is_picture = _note(error), False
            log.warning(
                "thumbnail_not_made",
                extra={"instance": hashed(sop_instance_uid), "error": type(error).__name__},
            )
        kept = ThumbKey(PackKey(*names), sop_instance_uid, shown.number, is_picture)
        with suppress(Conflict):  # another's, who made it at the same time with another encoder
            await self._objects.put_new(kept.key, data)
        # Whoever removes a pack drops it from the catalogue first, then looks for its
        # thumbnails: one of the two sees this one.
        packs = await self._catalogue.packs(*names[:3])
        if all(one.pack_id != pack.pack_id for one in packs):
            await self._objects.delete(kept.key)
            raise NotFound("its pack was removed meanwhile")

    async def _why_not(self, blank: ThumbKey) -> str:
        try:
            return str(orjson.loads(await self._objects.get(blank.key))["reason"])
        except (ValueError, TypeError, KeyError) as error:
            raise Corrupt(f"{blank.key} cannot be read") from error

    def _can_be_seen(self, shown: Shown) -> bool:
        packs = [shown.located.pack, *([shown.state.pack] if shown.state else [])]
        return all(map(self._at_hand, packs))


def _is_of(kept: ThumbKey, shown: Shown) -> bool:
    """Tell whether a thumbnail is of a frame that is shown."""
    one = shown.located
    return (
        kept.pack.pack_id == one.pack.pack_id
        and kept.sop_instance_uid == one.instance.sop_instance_uid
        and shown.number in {kept.frame, _UNKNOWN}
    )


def _note(error: Exception) -> bytes:
    # Of our own errors these say what is wrong with the pixels, and nothing of the patient.
    return orjson.dumps({"version": _VERSION, "reason": str(error)})

"""Seeing in an emergency what no rule lets one see: these studies, for a time, for a reason.

Whoever has Action.BREAK_GLASS asks; `security.access` says what they then may. What is kept of
a subject is a numbered state at `glass/{tenant}/{id}/{number}.json` (`states`). Each step is on
record before it is done.
"""

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from pacs_cloud.catalogue.port import ByAccession, ByPatient, Catalogue
from pacs_cloud.catalogue.records import StudyRecord
from pacs_cloud.catalogue.searchkeys import search_keys, stripped
from pacs_cloud.catalogue.visibility import seen_series, sees
from pacs_cloud.errors import Denied, InvalidRequest, NotFound, PacsError, TooManyRequests
from pacs_cloud.identity.account import user_id
from pacs_cloud.identity.break_glass_noting import GlassNoting, Record
from pacs_cloud.identity.break_glass_record import GlassWish, Override, Overrides, Wanted
from pacs_cloud.identity.states import States
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.security import access
from pacs_cloud.security.caller import Action, Caller
from pacs_cloud.security.labels import SENSITIVE

_TREE: Final = "glass/"
MOST_TRIES: Final = 10
"""So often may one subject ask within an hour: nobody finds out by guessing who was here."""
_HOUR_US: Final = 3_600_000_000
_MOST_STUDIES: Final = 100
_REMEMBERED: Final = 100
"""So many overrides of a subject are kept; the audit trail has them all."""
_PEOPLE: Final = ("user:", "oidc:")
"""What subjects of people begin with: no program and no guest is in an emergency."""


class BreakGlass:
    """The broken glass of one tenant."""

    def __init__(
        self,
        objects: ObjectStore,
        catalogue: Catalogue,
        tenant: str,
        now_us: Callable[[], int],
        record: Record,
        *,
        keep_s: float,
        lasts_s: float,
        sensitive: frozenset[str] = SENSITIVE,
    ) -> None:
        """Keep it in a store.

        Args:
            objects: the store.
            catalogue: knows the studies.
            tenant: whose.
            now_us: tells the time, microseconds since 1970 UTC.
            record: puts events on record.
            keep_s: how long `opened` believes what was read: so long does go on what another
                process has ended.
            lasts_s: how long one override lasts.
            sensitive: labels that hide a study from whoever is not named for them.
        """
        self.tenant = tenant
        self._states = States(objects, f"{_TREE}{tenant}/", Overrides, now_us, keep_s=keep_s)
        self._catalogue = catalogue
        self._now_us = now_us
        self._noting = GlassNoting(tenant, now_us, record)
        self._lasts_us = round(lasts_s * 1_000_000)
        self._sensitive = sensitive

    @property
    def minutes(self) -> int:
        """How long one override lasts."""
        return round(self._lasts_us / 60_000_000)

    def may(self, caller: Caller) -> bool:
        """Return whether somebody may break the glass."""
        return (
            caller.tenant == self.tenant
            and caller.subject.startswith(_PEOPLE)
            and access.may(caller, Action.BREAK_GLASS)
        )

    async def opened(self, caller: Caller) -> Caller:
        """Return somebody with what they see by broken glass now."""
        if not self.may(caller):
            return caller
        kept = await self._states.kept(user_id(caller.subject))
        studies = kept.opens(self._now_us()) if kept else None
        return access.with_broken_glass(caller, studies, self._sensitive) if studies else caller

    async def start(self, caller: Caller, wish: GlassWish, *, door: str) -> Override:
        """Let somebody see what they wish for, and return for how long.

        Only what they do not see without is opened.

        Args:
            caller: who, as they are without it.
            wish: what.
            door: through which they came.

        Raises:
            Denied: they may not.
            TooManyRequests: they have asked too often.
            NotFound: there is no such study.
            InvalidRequest: they see it all the same, or it is too much; says what to do.
        """
        try:
            if not self.may(caller):
                raise Denied(f"{caller.subject} may not {Action.BREAK_GLASS}")
            await self._count(caller)
            found = await self._found(wish.wanted)
            studies = tuple(
                sorted(one.study_instance_uid for one in found if not self._is_seen(caller, one))
            )
            if not studies:
                raise InvalidRequest("you see these studies without breaking the glass")
            if len(studies) > _MOST_STUDIES:
                raise InvalidRequest("these are too many studies: give an accession number")
        except PacsError as error:
            await self._noting.refused(caller, wish, error, door)
            raise
        now_us = self._now_us()
        until_us = now_us + self._lasts_us
        override = Override(secrets.token_hex(8), studies, wish.reason, now_us, until_us)
        await self._noting.started(caller, override, door)

        def begun(kept: Overrides | None) -> Overrides:
            kept = kept or Overrides(caller.subject)
            # One that is open, or whose end is not on record yet, is never forgotten.
            before = kept.overrides
            over = [one for one in before if one.ended_us][-_REMEMBERED:]
            left = tuple(one for one in before if not one.ended_us or one in over)
            return replace(kept, overrides=(*left, override))

        await self._states.change(user_id(caller.subject), begun)
        return override

    async def of(self, caller: Caller) -> list[Override]:
        """Return what somebody has open now, the newest first."""
        kept = await self._states.read(user_id(caller.subject))
        now_us = self._now_us()
        return [one for one in reversed(kept.overrides if kept else ()) if one.is_open(now_us)]

    async def all(self) -> list[tuple[str, Override]]:
        """Return every override that is kept, with its subject, the newest first."""
        found = [
            (kept.subject, one)
            for kept in (await self._states.all()).values()
            for one in kept.overrides
        ]
        return sorted(found, key=lambda one: one[1].begun_us, reverse=True)

    async def end(self, caller: Caller, override_id: str, *, door: str) -> Override:
        """End an override before its time; of others, whoever administers may.

        Raises:
            NotFound: there is none that is open, or it is somebody else's.
        """
        administers = caller.tenant == self.tenant and access.administers(caller)
        now_us = self._now_us()
        for subject, one in await self.all():
            is_theirs = administers or (caller.tenant, caller.subject) == (self.tenant, subject)
            if is_theirs and one.override_id == override_id and one.is_open(now_us):
                await self._noting.stopped(caller, subject, one, door)
                return await self._ended(subject, one, now_us, caller.subject)
        raise NotFound("there is no such override that is open")

    async def end_over(self, *, door: str) -> int:
        """Put on record which overrides are over by themselves; return how many."""
        now_us = self._now_us()
        over = [
            (subject, one)
            for subject, one in await self.all()
            if not one.ended_us and not one.is_open(now_us)
        ]
        for subject, one in over:
            whoever = Caller(self.tenant, subject, ())
            await self._noting.stopped(whoever, subject, one, door)
            await self._ended(subject, one, one.until_us, "")
        return len(over)

    async def _ended(self, subject: str, override: Override, when_us: int, by: str) -> Override:
        ended = replace(override, ended_us=when_us, ended_by=by)

        def without(kept: Overrides | None) -> Overrides | None:
            if kept is None or override not in kept.overrides:
                return None  # somebody else has ended it
            overrides = tuple(ended if one == override else one for one in kept.overrides)
            return replace(kept, overrides=overrides)

        await self._states.change(user_id(subject), without)
        return ended

    async def _count(self, caller: Caller) -> None:
        """Count that somebody asks; raises TooManyRequests."""
        now_us = self._now_us()

        def counted(kept: Overrides | None) -> Overrides:
            kept = kept or Overrides(caller.subject)
            tries = tuple(one for one in kept.tries_us if one > now_us - _HOUR_US)
            if len(tries) >= MOST_TRIES:
                raise TooManyRequests((tries[0] + _HOUR_US - now_us) // 1_000_000 + 1)
            return replace(kept, tries_us=(*tries, now_us))

        await self._states.change(user_id(caller.subject), counted)

    async def _found(self, wanted: Wanted) -> list[StudyRecord]:
        """Return the studies that are meant; raises NotFound, InvalidRequest."""
        if isinstance(wanted, str):
            records = await self._catalogue.studies_by_uid(self.tenant, [wanted])
            found = [one for one in records if one.instance_count]
        else:
            found = await self._found_by(wanted)
        if not found:
            raise NotFound("there is no such study")
        return found

    async def _found_by(self, wanted: ByPatient | ByAccession) -> list[StudyRecord]:
        anchor = stripped(wanted)
        found: list[StudyRecord] = []
        cursor: str | None = None
        while True:
            page = await self._catalogue.studies(self.tenant, anchor, after=cursor)
            for one in page.studies:
                keys = search_keys(one)
                if keys is not None and keys.match(anchor):
                    found.append(one)
            cursor = page.cursor
            if cursor is None:
                break
            if len(found) > _MOST_STUDIES:
                raise InvalidRequest("these are too many studies: give an accession number")
        if isinstance(anchor, ByPatient) and anchor.issuer is None:
            patients = {patient for one in found for patient in one.patients}
            mine = {one.issuer for one in patients if one.patient_id == anchor.patient_id} - {""}
            if len(mine) > 1:
                raise InvalidRequest("several patients have this ID: say who issued it")
        return found

    def _is_seen(self, caller: Caller, study: StudyRecord) -> bool:
        """Return whether somebody finds and sees a study whole."""
        return all(
            sees(caller, action, study, self._sensitive)
            and seen_series(caller, action, study, self._sensitive) is None
            for action in (Action.SEARCH, Action.READ)
        )

"""Studies that stay where they are, whatever a policy says: pinned on the page of recalls."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.security.audit_event import Kind, event_of
from pacs_cloud.security.caller import Caller
from pacs_cloud.tiering.pins import Pin, pin_of, write_pin
from pacs_cloud.tiering.staying import stay_all
from pacs_cloud.web.forms import Form
from pacs_cloud.web.page_kit import PageKit
from pacs_cloud.web.studies.actions_chosen import DOOR, Chosen
from pacs_cloud.web.study_services import StudyServices

LONGEST_REASON: Final = 200
_DEEDS: Final = {"set": True, "release": False}


@dataclass(frozen=True, slots=True)
class PinText:
    """What a page says of a study's pin.

    Attributes:
        reason: why it stays where it is.
        who: has said so.
    """

    reason: str
    who: str


class Pinning:
    """Pins and unpins, for whoever operates the archive and sees the studies."""

    def __init__(self, kit: PageKit, services: StudyServices) -> None:
        """Write pins into `services.objects`."""
        self._kit = kit
        self._services = services

    async def text(self, tenant: str, uid: str) -> PinText | None:
        """Return the pin of a study, None without one; raises Corrupt, Unavailable."""
        now_us = self._kit.services.now_us()
        pin = await pin_of(self._services.objects, tenant, uid, now_us=now_us)
        return None if pin is None else PinText(pin.reason, pin.who)

    async def change(self, caller: Caller, studies: Sequence[Chosen], form: Form) -> None:
        """Pin studies as a form says, or let them go.

        Raises:
            InvalidRequest: no reason is said.
            Unavailable: it cannot be put on record, or not be written.
        """
        services = self._kit.services
        is_set, reason = _DEEDS.get(form.text("do")), form.text("reason", max_length=LONGEST_REASON)
        if is_set is None or (is_set and not reason):
            raise InvalidRequest("Say why the studies are kept where they are.")
        for study in studies:
            names = caller.tenant, study.uid
            if not is_set and await self.text(*names) is None:
                continue
            event = event_of(
                *(caller, Kind.CHANGE, DOOR, services.now_us()),
                action="pin" if is_set else "unpin",
                studies=(study.uid,),
                details=(("reason", reason),) if reason else (),
            )
            await services.record(event)
            objects, now_us = self._services.objects, services.now_us()
            pin = Pin(*names, is_set, reason=reason, who=caller.subject)
            await write_pin(objects, pin, now_us=now_us)
            if is_set:
                await stay_all(objects, self._services.catalogue, *names, now_us=now_us)

"""The gate that knows devices: who associates, for which tenant, with what rights (PS3.8 9.3.4)."""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from pacs_cloud.dimse.associate import AssociateRequest, UserIdentity
from pacs_cloud.dimse.command import CommandField
from pacs_cloud.dimse.gate import Admission, PeerRefused, Remote
from pacs_cloud.dimse.pdu import (
    CALLED_AE_TITLE_NOT_RECOGNIZED,
    CALLING_AE_TITLE_NOT_RECOGNIZED,
    LOCAL_LIMIT_EXCEEDED,
    TEMPORARY_CONGESTION,
    USER_IDENTITY_NOT_ACCEPTED,
    AssociationRejected,
)
from pacs_cloud.dimse.places import Places
from pacs_cloud.dimse.standing import AGAIN_S, Standing
from pacs_cloud.dimse.user_identity import SignIn, narrowed, user_of
from pacs_cloud.errors import Corrupt, Denied, Unavailable
from pacs_cloud.identity.devices import (
    ACTIONS,
    Device,
    DeviceService,
    folder_name,
    plain_address,
)
from pacs_cloud.identity.devices_known import KnownDevices
from pacs_cloud.security import access
from pacs_cloud.security.audit_event import Kind, Outcome
from pacs_cloud.security.caller import Caller, Grant, Role
from pacs_cloud.security.witness import NOBODY, Witness

log = logging.getLogger(__name__)

_TITLE: Final = re.compile(r"[\x20-\x5b\x5d-\x7e]{1,16}")
"""VR AE (PS3.5 6.2)."""
_FIELDS: Final[Mapping[DeviceService, CommandField]] = {
    DeviceService.VERIFY: CommandField.C_ECHO,
    DeviceService.STORE: CommandField.C_STORE,
    DeviceService.FIND: CommandField.C_FIND,
    DeviceService.GET: CommandField.C_GET,
    DeviceService.MOVE: CommandField.C_MOVE,
}
_EVERYTHING: Final = frozenset(DeviceService)
_NAMED: Final = 2
"""Kinds of user identity up to which it is a name (PS3.7 Table D.3-14)."""


class UnknownPeers(StrEnum):
    """What becomes of peers whom no device describes."""

    REFUSE = "refuse"
    LOOPBACK = "loopback"
    """Whoever is on this machine is let in, as a device that may ask for everything."""


@dataclass(frozen=True, slots=True)
class GateRules:
    """Whom a gate lets in besides what it knows of devices.

    Attributes:
        tenant: whose archive this is, where no title says otherwise.
        tenants: by the AE title that they are called with.
        unknown: what becomes of peers that no device describes.
        is_open: whether everybody on this machine is an administrator, whatever title they
            call: nobody signs in.
    """

    tenant: str
    tenants: Mapping[str, str]
    unknown: UnknownPeers = UnknownPeers.LOOPBACK
    is_open: bool = False


class DeviceGate:
    """Lets in who is known.

    Args:
        rules: what is true of all.
        devices: what is known of each.
        sign_in: proves users; None: there are none.
        places: counts associations.
        now_us: the time, microseconds since 1970 UTC.
        witness: puts on record who signs in, and who is not let in.
        again_s: between two looks whether a peer that was let in still would be.
    """

    def __init__(
        self,
        rules: GateRules,
        devices: KnownDevices,
        sign_in: SignIn | None,
        places: Places,
        now_us: Callable[[], int],
        witness: Witness = NOBODY,
        again_s: float = AGAIN_S,
    ) -> None:
        self._rules = rules
        self._devices = devices
        self._sign_in = sign_in
        self._places = places
        self._now_us = now_us
        self._witness = witness
        self._again_s = again_s

    async def admit(self, request: AssociateRequest, remote: Remote, /) -> Admission:
        """Let the peer in as who it is.

        Raises:
            AssociationRejected: it may not come in. Of what it lacks it is told no more than
                which of the two titles is not recognised.
        """
        tenant = self._tenant_of(request, remote)
        try:
            try:
                return await self._judge(tenant, request, remote)
            except PeerRefused as refusal:
                _tell(refusal, request, remote)
                await self._record(refusal, tenant or self._rules.tenant, request, remote)
                raise
        except (Unavailable, Corrupt) as error:
            if isinstance(error, AssociationRejected):
                raise
            log.error("device_not_read", extra={"error": type(error).__name__})
            raise AssociationRejected(TEMPORARY_CONGESTION) from error

    def _tenant_of(self, request: AssociateRequest, remote: Remote) -> str | None:
        is_open = self._rules.is_open and _is_loopback(remote.address)
        called = request.called_ae_title
        return self._rules.tenants.get(called, self._rules.tenant if is_open else None)

    async def _judge(
        self, tenant: str | None, request: AssociateRequest, remote: Remote
    ) -> Admission:
        if tenant is None:
            raise PeerRefused(CALLED_AE_TITLE_NOT_RECOGNIZED, "called-title")
        is_here, title = _is_loopback(remote.address), request.calling_ae_title
        if not _TITLE.fullmatch(title):
            raise _not_known("calling-title")
        if self._rules.is_open and is_here:
            return _admitted(_caller(tenant, remote, title, Grant(Role.ADMIN)), _EVERYTHING)
        said = device = await self._devices.find(tenant, title)
        if device is None:
            if self._rules.unknown is not UnknownPeers.LOOPBACK or not is_here:
                raise _not_known("unknown")
            device = Device(tenant, title, services=_EVERYTHING)
        elif lacks := _lacks(device, remote):
            raise _not_known(lacks)
        self._count(device)
        user = await user_of(request.identity, device.user, self._sign_in, tenant, remote.address)
        if user is None:
            caller = _caller(tenant, remote, title, Grant(Role.DEVICE, actions=device.actions))
        else:
            caller = narrowed(user.caller, device.actions)
            await _done(self._witness.saw(caller, Kind.LOGIN, details=(("device", title),)))

        async def is_same() -> bool:
            is_so = await self._devices.find(tenant, title) == said
            return is_so and (user is None or await user.still())

        standing = Standing(is_same, self._again_s)

        async def still() -> None:
            if not await standing.holds():
                refusal = _not_known("changed")
                _tell(refusal, request, remote)
                await self._record(refusal, tenant, request, remote)
                raise Denied("what is known of the peer has changed")

        # Nothing may be awaited behind this: a place that is taken must be given back.
        leave = self._take_place(device)
        admitted = _admitted(
            caller, device.services, is_user=user is not None, leave=leave, still=still
        )
        return admitted if said is None else replace(admitted, device=title)

    def _count(self, device: Device) -> None:
        """Count a try, before it makes work: proving a user is meant to be costly."""
        if (most := device.most_per_minute) is None:
            return
        try:
            has_room = self._places.count(_name_of(device), most, self._now_us())
        except OSError as error:
            raise Unavailable("associations cannot be counted") from error
        if not has_room:
            raise PeerRefused(TEMPORARY_CONGESTION, "rate")

    def _take_place(self, device: Device) -> Callable[[], None] | None:
        if device.most_associations is None:
            return None
        try:
            leave = self._places.take(_name_of(device), device.most_associations)
        except OSError as error:
            raise Unavailable("associations cannot be counted") from error
        if leave is None:
            raise PeerRefused(LOCAL_LIMIT_EXCEEDED, "associations")
        return leave

    async def _record(
        self, refusal: PeerRefused, tenant: str, request: AssociateRequest, remote: Remote
    ) -> None:
        """Put on record who was not let in: the user they said they are, else the title."""
        title, identity = request.calling_ae_title, request.identity
        if refusal.rejection == USER_IDENTITY_NOT_ACCEPTED and identity is not None:
            who = Caller(tenant, f"user:{_said(identity)}", (), remote.address)
            kind, details = Kind.LOGIN, (("why", refusal.why), ("device", title))
        else:
            who = Caller(tenant, f"ae:{title}", (), remote.address)
            kind, details = (
                Kind.REFUSAL,
                (("why", refusal.why), ("called", request.called_ae_title)),
            )
        await _done(
            self._witness.saw(who, kind, action="associate", outcome=Outcome.MINOR, details=details)
        )


async def _done(recorded: Awaitable[None] | None) -> None:
    if recorded is not None:
        await recorded


def _said(identity: UserIdentity) -> str:
    """Return the name that somebody gave; a ticket or token is a secret, and no name."""
    return identity.primary.decode("utf-8", "replace") if identity.kind <= _NAMED else ""


def _name_of(device: Device) -> str:
    return f"{device.tenant}/{folder_name(device.title)}"


def _lacks(device: Device, remote: Remote) -> str:
    """Return what keeps a known device out; "" for nothing."""
    tls = remote.tls
    if device.is_disabled:
        return "disabled"
    if not device.is_at(remote.address):
        return "address"
    if tls is None:
        return "tls" if device.needs_tls or device.proves_itself else ""
    if device.proves_itself and not device.is_proved_by(tls.certificate, tls.names):
        return "certificate"
    return ""


def _admitted(
    caller: Caller,
    services: frozenset[DeviceService],
    *,
    is_user: bool = False,
    leave: Callable[[], None] | None = None,
    still: Callable[[], Awaitable[None]] | None = None,
) -> Admission:
    requests = frozenset(
        int(_FIELDS[service])
        for service in services
        if all(access.may(caller, action) for action in ACTIONS[service])
    )
    # The answer to a name and a passcode is empty (PS3.7 Table D.3-15).
    return Admission(caller, b"" if is_user else None, requests, leave, still)


def _caller(tenant: str, remote: Remote, title: str, grant: Grant) -> Caller:
    return Caller(tenant, f"ae:{title}", (grant,), remote.address)


def _is_loopback(address: str) -> bool:
    where = plain_address(address)
    return where is not None and where.is_loopback


def _not_known(why: str) -> PeerRefused:
    return PeerRefused(CALLING_AE_TITLE_NOT_RECOGNIZED, why)


def _tell(refusal: PeerRefused, request: AssociateRequest, remote: Remote) -> None:
    log.warning(
        "association_refused",
        extra={
            "why": refusal.why,
            "called": request.called_ae_title,
            "calling": request.calling_ae_title,
            "address": remote.address,
            "tls": remote.tls is not None,
            "certificate": remote.tls.certificate if remote.tls is not None else "",
        },
    )

"""Application entities that are known: what each may do, from where, and how it proves itself.

A device's states are the numbered objects at `devices/{tenant}/{title}/{number}.json`, of
which the last one counts; one that was removed has a last state that holds no device.
"""

import asyncio
import ipaddress
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Annotated, Any, Final

import orjson
from pydantic import Field, TypeAdapter, ValidationError

from pacs_cloud.errors import Conflict, Corrupt, InvalidRequest
from pacs_cloud.objectstore.numbered import read_last, write_next
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.security.caller import Action
from pacs_cloud.settings import AeTitle, Tenant

DEVICES: Final = "devices/"
VERSION: Final = 1
ANYWHERE: Final = ("0.0.0.0/0", "::/0")
"""The ranges of every address."""
_AT_ONCE: Final = 16
_PLAIN: Final = re.compile(r"[^A-Za-z0-9-]")


class DeviceService(StrEnum):
    """What a device may ask for."""

    VERIFY = "verify"
    STORE = "store"
    FIND = "find"
    GET = "get"
    MOVE = "move"


ACTIONS: Final[Mapping[DeviceService, frozenset[Action]]] = {
    DeviceService.VERIFY: frozenset(),
    DeviceService.STORE: frozenset({Action.STORE}),
    DeviceService.FIND: frozenset({Action.SEARCH}),
    DeviceService.GET: frozenset({Action.SEARCH, Action.DOWNLOAD}),
    DeviceService.MOVE: frozenset({Action.SEARCH, Action.SEND}),
}
"""What each of them takes: whoever retrieves finds first what the identifier names."""


class UserPolicy(StrEnum):
    """What is done with the user identity of a request (PS3.7 D.3.3.7)."""

    IGNORE = "ignore"
    """It passes unread."""
    CHECK = "check"
    """Where there is one it must be right, and the user's rights bound the device's."""
    REQUIRE = "require"
    """There must be one, and it must be right."""


@dataclass(frozen=True, slots=True)
class DeviceDestination:
    """Where a device takes instances that are sent to it.

    Attributes:
        host: its name or address.
        port: its TCP port.
        tls: whether it is called over TLS.
        tls_name: the name that its certificate must carry; "" for `host`.
    """

    host: Annotated[str, Field(min_length=1, max_length=253)]
    port: Annotated[int, Field(ge=1, le=65535)]
    tls: bool = False
    tls_name: Annotated[str, Field(max_length=253)] = ""


@dataclass(frozen=True, slots=True)
class Device:
    """One application entity.

    Attributes:
        tenant: whose data it works with.
        title: its AE title, without blanks around it.
        addresses: ranges in CIDR notation, in one of which it must be; none: anywhere, which
            needs `certificates` or `names`.
        services: what it may ask for.
        needs_tls: whether it must come over TLS.
        certificates: SHA-256 of the certificates that prove it, in hex; none: any.
        names: subject alternative names of which its certificate has one; none: any.
        user: what is done with user identities.
        most_associations: at a time, on one machine; None: as many as there is room for.
        most_per_minute: associations begun in a minute, on one machine; None: any number.
        destination: where instances may be sent to it; None: nowhere.
        note: for people; no patient data.
        is_disabled: whether it is kept out.
    """

    tenant: Tenant
    title: AeTitle
    addresses: tuple[str, ...] = ()
    services: frozenset[DeviceService] = frozenset({DeviceService.VERIFY})
    needs_tls: bool = False
    certificates: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")], ...] = ()
    names: tuple[Annotated[str, Field(min_length=1, max_length=255)], ...] = ()
    user: UserPolicy = UserPolicy.CHECK
    most_associations: Annotated[int, Field(ge=1, le=4096)] | None = None
    most_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    destination: DeviceDestination | None = None
    note: Annotated[str, Field(max_length=500)] = ""
    is_disabled: bool = False

    @property
    def actions(self) -> frozenset[Action]:
        """What it may do, as `security.access` asks."""
        return frozenset[Action]().union(*(ACTIONS[service] for service in self.services))

    def is_at(self, address: str) -> bool:
        """Return whether it may come from a network address."""
        if not self.addresses:
            return True
        where = plain_address(address)
        return where is not None and any(
            where in ipaddress.ip_network(one) for one in self.addresses
        )

    @property
    def proves_itself(self) -> bool:
        """Whether some certificate is its own, so that it must come over TLS."""
        return bool(self.certificates or self.names)

    def is_proved_by(self, certificate: str, names: frozenset[str]) -> bool:
        """Return whether a verified certificate is this device's.

        Args:
            certificate: its SHA-256, in hex.
            names: its subject alternative names, in lower case.
        """
        return (not self.certificates or certificate in self.certificates) and (
            not self.names or any(name.lower() in names for name in self.names)
        )


@dataclass(frozen=True, slots=True)
class DeviceState:
    """What is known of one title.

    Attributes:
        number: of its last state; 0 where nobody ever said anything.
        device: None where there is none, or no more.
        by: who said so.
        at_us: when, microseconds since 1970 UTC.
    """

    number: int = 0
    device: Device | None = None
    by: str = ""
    at_us: int = 0


_DEVICE: Final = TypeAdapter(Device)


def plain_address(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return a peer's address, as IPv4 where it is one in IPv6's clothes; None for no address."""
    try:
        where = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return where.ipv4_mapped or where if isinstance(where, ipaddress.IPv6Address) else where


def checked(device: Device) -> Device:
    """Return `device` with its ranges and digests as they are compared.

    Raises:
        InvalidRequest: something of it is not allowed; it says what.
    """
    try:
        ranges = tuple(str(ipaddress.ip_network(one, strict=False)) for one in device.addresses)
    except ValueError as error:
        raise InvalidRequest(f"not a range of addresses such as 10.1.0.0/16: {error}") from error
    digests = tuple(one.replace(":", "").lower() for one in device.certificates)
    if not ranges and not digests and not device.names:
        raise InvalidRequest(
            "an AE title proves nothing: say from which addresses the device comes, or which"
            " certificate is its own"
        )
    device = replace(device, title=device.title.strip(), addresses=ranges, certificates=digests)
    try:
        return _DEVICE.validate_python(asdict(device))
    except ValidationError as error:
        wrong = [
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_input=False)
        ]
        raise InvalidRequest("; ".join(wrong)) from error


async def read_device(objects: ObjectStore, tenant: str, title: str) -> DeviceState:
    """Return what is known of a title.

    Raises:
        Corrupt: it cannot be read: nobody may take that for unknown.
    """
    return await _last_of(objects, tenant, folder_name(title))


async def devices_of(objects: ObjectStore, tenant: str) -> AsyncIterator[DeviceState]:
    """Yield what is known of each of a tenant's devices, in the order of their keys."""
    names = [name async for name in folders_of(objects, tenant)]
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        for state in await asyncio.gather(*(_last_of(objects, tenant, name) for name in some)):
            if state.device is not None:
                yield state


async def folders_of(objects: ObjectStore, tenant: str) -> AsyncIterator[str]:
    """Yield the `folder_name` of each title of which a tenant ever said anything."""
    prefix, before = f"{DEVICES}{tenant}/", ""
    async for info in objects.list(prefix):
        name = info.key.removeprefix(prefix).partition("/")[0]
        if name != before:
            yield name
            before = name


async def write_device(
    objects: ObjectStore, device: Device, before: DeviceState, *, by: str, now_us: int
) -> DeviceState:
    """Write a device's next state; return it as it was written.

    Args:
        objects: the store.
        device: what is true from now on.
        before: what was true before, of which it is a change.
        by: who says so.
        now_us: microseconds since 1970 UTC.

    Raises:
        InvalidRequest: something of it is not allowed.
        Conflict: somebody has changed it meanwhile.
    """
    state = DeviceState(before.number + 1, checked(device), by, now_us)
    await _write(objects, device.tenant, device.title.strip(), state)
    return state


async def remove_device(
    objects: ObjectStore, tenant: str, title: str, before: DeviceState, *, by: str, now_us: int
) -> None:
    """Write that there is no such device any more; raises Conflict as `write_device`."""
    await _write(objects, tenant, title, DeviceState(before.number + 1, None, by, now_us))


def folder_name(title: str) -> str:
    """Return a title as a component of a key: letters, digits and `-` as they are, else `_xx`."""
    return _PLAIN.sub(lambda match: f"_{ord(match[0]):02x}", title)


async def _last_of(objects: ObjectStore, tenant: str, name: str) -> DeviceState:
    last = await read_last(objects, f"{DEVICES}{tenant}/{name}/")
    if last is None:
        return DeviceState()
    state = _decode(last)
    if (one := state.device) is not None and (one.tenant, folder_name(one.title)) != (tenant, name):
        raise Corrupt("a device's state says something else than its key")
    return state


async def _write(objects: ObjectStore, tenant: str, title: str, state: DeviceState) -> None:
    fields = {
        "version": VERSION,
        "by": state.by,
        "at_us": state.at_us,
        "device": None if state.device is None else _DEVICE.dump_python(state.device, mode="json"),
    }
    folder = f"{DEVICES}{tenant}/{folder_name(title)}/"
    try:
        await write_next(objects, folder, state.number, orjson.dumps(fields))
    except Conflict as error:
        # It may be theirs that was built upon ours.
        raise Conflict(
            f"somebody changes {title} too: look at it, and say again what is to be"
        ) from error


def _decode(last: tuple[int, bytes]) -> DeviceState:
    try:
        fields: dict[str, Any] = orjson.loads(last[1])
        if fields["version"] != VERSION:
            raise Corrupt("a device's state is of a version that is not known here")
        said = fields["device"]
        device = None if said is None else _DEVICE.validate_python(said)
        return DeviceState(last[0], device, str(fields["by"]), int(fields["at_us"]))
    except (ValueError, TypeError, KeyError) as error:
        raise Corrupt("a device's state cannot be read") from error

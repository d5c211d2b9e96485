"""`device add`, `change`, `list`, `show` and `remove`."""

import asyncio
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.cli.moments import when
from pacs_cloud.cli.on_record import open_stores
from pacs_cloud.cli.output import print_json, print_rows, stdout
from pacs_cloud.errors import Conflict, InvalidRequest, NotFound
from pacs_cloud.identity.devices import (
    ANYWHERE,
    Device,
    DeviceDestination,
    DeviceService,
    DeviceState,
    UserPolicy,
    devices_of,
    read_device,
    remove_device,
    write_device,
)
from pacs_cloud.settings import Address, Settings, parse_address

_DIGEST: Final = re.compile(r"(?:[0-9A-Fa-f]{2}:?){32}")
_CERTIFICATE: Final = re.compile(
    r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL
)
_FIRST: Final = frozenset({DeviceService.VERIFY, DeviceService.STORE})
"""What a device may ask for where nobody says."""
_COLUMNS: Final = ("title", "allow", "from", "tls", "to", "disabled", "note")


@dataclass(frozen=True, slots=True)
class Changes:
    """What the command line says of a device; None: nothing."""

    addresses: Sequence[str] | None = None
    allow: Sequence[DeviceService] | None = None
    tls: bool | None = None
    certificates: Sequence[str] | None = None
    names: Sequence[str] | None = None
    user: UserPolicy | None = None
    most: int | None = None
    per_minute: int | None = None
    to: str | None = None
    to_tls: bool | None = None
    to_name: str | None = None
    note: str | None = None
    disabled: bool | None = None

    def applied(self, device: Device) -> Device:
        """Return `device` as it is with them; raises InvalidRequest."""
        said: Mapping[str, Any] = {
            "addresses": _addresses(self.addresses),
            "services": self.allow and frozenset(self.allow),
            "needs_tls": self.tls,
            "certificates": _unless_none(self.certificates, _digest),
            "names": _unless_none(self.names, str),
            "user": self.user,
            "note": self.note,
            "is_disabled": self.disabled,
        }
        device = replace(
            device, **{name: value for name, value in said.items() if value is not None}
        )
        if self.most is not None:
            device = replace(device, most_associations=self.most or None)
        if self.per_minute is not None:
            device = replace(device, most_per_minute=self.per_minute or None)
        return replace(device, destination=self._destination(device.destination))

    def _destination(self, before: DeviceDestination | None) -> DeviceDestination | None:
        if self.to == "none":
            return None
        if self.to is not None:
            try:
                address = parse_address(self.to)
            except ValueError as error:
                raise InvalidRequest(f"--to: {error}") from error
            assert isinstance(address, Address)
            host, port = address.host, address.port
            if before is None:
                before = DeviceDestination(host, port)
            else:
                before = replace(before, host=host, port=port)
        if before is None:
            if self.to_tls is not None or self.to_name is not None:
                raise InvalidRequest("--to-tls and --to-name need --to")
            return None
        tls = before.tls if self.to_tls is None else self.to_tls
        return replace(
            before, tls=tls, tls_name=before.tls_name if self.to_name is None else self.to_name
        )


def add_device(settings: Settings, title: str, changes: Changes, *, by: str, as_json: bool) -> None:
    """Write a new device.

    Raises:
        Conflict: there is one with that title.
        InvalidRequest: something said of it is not allowed.
    """
    title = title.strip()

    async def add() -> DeviceState:
        async with open_stores(settings) as stores:
            before = await read_device(stores.objects, settings.tenant, title)
            if before.device is not None:
                raise Conflict(f"{title} is known already: device change {title} …")
            made = changes.applied(Device(settings.tenant, title, services=_FIRST))
            return await write_device(stores.objects, made, before, by=by, now_us=now_us())

    _say(asyncio.run(add()), f"{title} may come in.", as_json=as_json)


def change_device(
    settings: Settings, title: str, changes: Changes, *, by: str, as_json: bool
) -> None:
    """Write what a device is from now on.

    Raises:
        NotFound: there is none with that title.
        InvalidRequest: something said of it is not allowed.
    """

    async def change() -> DeviceState:
        async with open_stores(settings) as stores:
            before = await read_device(stores.objects, settings.tenant, title.strip())
            after = changes.applied(_known(before, title))
            return await write_device(stores.objects, after, before, by=by, now_us=now_us())

    _say(asyncio.run(change()), f"{title} is changed.", as_json=as_json)


def forget_device(settings: Settings, title: str, *, by: str) -> None:
    """Write that there is no such device; raises NotFound where there is none."""

    async def forget() -> None:
        async with open_stores(settings) as stores:
            before = await read_device(stores.objects, settings.tenant, title.strip())
            name = _known(before, title).title
            await remove_device(
                stores.objects, settings.tenant, name, before, by=by, now_us=now_us()
            )

    asyncio.run(forget())
    stdout.print(f"{title} is known no more.")


def show_device(settings: Settings, title: str, *, as_json: bool) -> None:
    """Print one device; raises NotFound where there is none."""

    async def show() -> DeviceState:
        async with open_stores(settings) as stores:
            return await read_device(stores.objects, settings.tenant, title.strip())

    state = asyncio.run(show())
    row = _plain(_known(state, title), state)
    if as_json:
        print_json(row)
    else:
        print_rows(
            [{"field": name, "value": value} for name, value in row.items()],
            ("field", "value"),
            as_json=False,
            empty="",
        )


def list_devices(settings: Settings, *, as_json: bool) -> None:
    """Print every device."""

    async def every() -> list[DeviceState]:
        async with open_stores(settings) as stores:
            return [state async for state in devices_of(stores.objects, settings.tenant)]

    states = asyncio.run(every())
    rows = [_plain(one.device, one) for one in states if one.device is not None]
    print_rows(rows, _COLUMNS, as_json=as_json, empty="No device is known.")


def _known(state: DeviceState, title: str) -> Device:
    if state.device is None:
        raise NotFound(f"no device is called {title!r}")
    return state.device


def _say(state: DeviceState, text: str, *, as_json: bool) -> None:
    assert state.device is not None
    if as_json:
        print_json(_plain(state.device, state))
    else:
        stdout.print(text)


def _plain(device: Device, state: DeviceState) -> dict[str, object]:
    to = device.destination
    return {
        "title": device.title,
        "allow": [one.value for one in DeviceService if one in device.services],
        "from": list(device.addresses),
        "tls": device.needs_tls or device.proves_itself,
        "certificates": list(device.certificates),
        "names": list(device.names),
        "user": device.user.value,
        "most": device.most_associations,
        "per_minute": device.most_per_minute,
        "to": "" if to is None else str(Address(host=to.host, port=to.port)),
        "to_tls": to is not None and to.tls,
        "to_name": "" if to is None else to.tls_name,
        "disabled": device.is_disabled,
        "note": device.note,
        "changed": when(state.at_us),
        "by": state.by,
    }


def _addresses(said: Sequence[str] | None) -> tuple[str, ...] | None:
    if not said:
        return None
    if list(said) == ["none"]:
        return ()
    return tuple(part for one in said for part in (ANYWHERE if one == "any" else (one,)))


def _unless_none(said: Sequence[str] | None, read: Any) -> tuple[str, ...] | None:
    if not said:
        return None
    return () if list(said) == ["none"] else tuple(map(read, said))


def _digest(text: str) -> str:
    """Return the SHA-256 that `text` is, or that of the first certificate in the file it names."""
    if _DIGEST.fullmatch(text):
        return text
    try:
        found = _CERTIFICATE.search(Path(text).read_text("ascii"))
        if found is not None:
            return sha256(ssl.PEM_cert_to_DER_cert(found[0])).hexdigest()
    except OSError as error:
        raise InvalidRequest(f"--certificate: cannot read {text}: {error.strerror}") from error
    except ValueError as error:
        raise InvalidRequest(f"--certificate: {text} is no PEM file") from error
    raise InvalidRequest(f"--certificate: {text} is no SHA-256, and no PEM file")

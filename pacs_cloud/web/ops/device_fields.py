"""A device as a form's fields, and back."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.identity.devices import (
    ANYWHERE,
    Device,
    DeviceDestination,
    DeviceService,
    UserPolicy,
)
from pacs_cloud.settings import Address, parse_address

_TEXTS: Final = (
    *("title", "from", "certificates", "names", "user", "most", "per_minute"),
    *("to", "to_name", "note"),
)
_TICKS: Final = ("tls", "to_tls", "disabled", *(f"may-{one}" for one in DeviceService))
FIELDS: Final = (*_TEXTS, *_TICKS)
_ANY: Final = "any"
SERVICES: Final = {
    DeviceService.VERIFY: "Ask whether we are there (C-ECHO)",
    DeviceService.STORE: "Send instances (C-STORE)",
    DeviceService.FIND: "Search (C-FIND)",
    DeviceService.GET: "Fetch for itself (C-GET)",
    DeviceService.MOVE: "Have instances sent (C-MOVE)",
}
USERS: Final = {
    UserPolicy.IGNORE: "It passes unread",
    UserPolicy.CHECK: "Where there is one it must be right",
    UserPolicy.REQUIRE: "There must be one, and it must be right",
}
FIRST: Final = Device(
    "default", "NEW", services=frozenset({DeviceService.VERIFY, DeviceService.STORE})
)


def given_of(device: Device) -> dict[str, str]:
    """Return a device as a form's fields."""
    to = device.destination
    addresses = _ANY if set(ANYWHERE) == set(device.addresses) else " ".join(device.addresses)
    texts = {
        "title": device.title,
        "from": addresses,
        "certificates": " ".join(device.certificates),
        "names": " ".join(device.names),
        "user": device.user.value,
        "most": str(device.most_associations or ""),
        "per_minute": str(device.most_per_minute or ""),
        "to": str(Address(host=to.host, port=to.port)) if to else "",
        "to_name": to.tls_name if to else "",
        "note": device.note,
    }
    ticks = {
        "tls": device.needs_tls,
        "to_tls": to is not None and to.tls,
        "disabled": device.is_disabled,
        **{f"may-{one}": one in device.services for one in DeviceService},
    }
    return texts | {name: "1" if ticked else "" for name, ticked in ticks.items()}


def device_of(tenant: str, given: Mapping[str, str]) -> Device:
    """Return the device that a form's fields say; raises InvalidRequest."""
    said = given["from"].replace(",", " ").split()
    try:
        user = UserPolicy(given["user"] or UserPolicy.CHECK)
    except ValueError as error:
        raise InvalidRequest("Say what is done with a user's name.") from error
    return Device(
        tenant,
        given["title"],
        addresses=tuple(part for one in said for part in (ANYWHERE if one == _ANY else (one,))),
        services=frozenset(one for one in DeviceService if given[f"may-{one}"]),
        needs_tls=bool(given["tls"]),
        certificates=tuple(given["certificates"].replace(",", " ").split()),
        names=tuple(given["names"].replace(",", " ").split()),
        user=user,
        most_associations=_number(given["most"], "Associations at a time"),
        most_per_minute=_number(given["per_minute"], "Associations in a minute"),
        destination=_destination(given),
        note=given["note"],
        is_disabled=bool(given["disabled"]),
    )


def _destination(given: Mapping[str, str]) -> DeviceDestination | None:
    if not given["to"]:
        return None
    try:
        address = parse_address(given["to"])
    except ValueError as error:
        raise InvalidRequest(f"Where it takes what is sent to it: {error}.") from error
    assert isinstance(address, Address)
    made = DeviceDestination(address.host, address.port)
    return replace(made, tls=bool(given["to_tls"]), tls_name=given["to_name"])


def _number(text: str, name: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 8):
        raise InvalidRequest(f"{name} is a number, or nothing for no limit.")
    return int(text) or None


def differences(before: Device | None, after: Device) -> tuple[tuple[str, str, str], ...]:
    """Return what is said otherwise: its field, as it is, and as it is to be."""
    now, then = given_of(before) if before is not None else {}, given_of(after)
    names = {name: _NAMES.get(name, name) for name in then}
    return tuple(
        (names[name], _yes(name, now.get(name, "")), _yes(name, then[name]))
        for name in then
        if now.get(name, "") != then[name]
    )


def _yes(name: str, value: str) -> str:
    return ("yes" if value else "no") if name in _TICKS else value


_NAMES: Final = {
    "title": "AE title",
    "from": "Comes from",
    "certificates": "Certificates",
    "names": "Names in certificates",
    "user": "User identity",
    "most": "Associations at a time",
    "per_minute": "Associations in a minute",
    "to": "Takes what is sent at",
    "to_name": "Name of its certificate there",
    "note": "Note",
    "tls": "Must come over TLS",
    "to_tls": "Is called over TLS",
    "disabled": "Kept out",
    **{f"may-{one}": words for one, words in SERVICES.items()},
}

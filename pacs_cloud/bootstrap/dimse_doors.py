"""Settings become what guards DIMSE: the gate, its TLS, and how peers are called."""

from functools import cache

from pacs_cloud.bootstrap.accounts import accounts_of, keep_s
from pacs_cloud.bootstrap.services import Stores, now_us
from pacs_cloud.dimse.device_gate import DeviceGate, GateRules, UnknownPeers
from pacs_cloud.dimse.places import Places
from pacs_cloud.dimse.requestor import Peer, PeerTls
from pacs_cloud.dimse.server import Endpoint
from pacs_cloud.dimse.tls import ClientCertificates, TlsContexts, TlsFiles
from pacs_cloud.dimse.user_identity import SignedIn, SignIn
from pacs_cloud.errors import NotFound
from pacs_cloud.identity.accounts import Accounts
from pacs_cloud.identity.devices import Device, read_device
from pacs_cloud.identity.devices_known import KnownDevices
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.security.witness import NOBODY, Witness
from pacs_cloud.settings import Address, Destination, Settings


def gate_of(
    settings: Settings, stores: Stores, devices: KnownDevices, witness: Witness = NOBODY
) -> DeviceGate:
    """Return the gate that lets in devices, and users at them; `witness` records it."""
    rules = GateRules(
        settings.tenant,
        {settings.aet: settings.tenant, **settings.dimse_tenants},
        UnknownPeers(settings.dimse_unknown),
        settings.no_auth,
    )
    places = Places(settings.data.absolute() / "places")
    return DeviceGate(rules, devices, _sign_in(settings, stores), places, now_us, witness)


def known_devices(settings: Settings, stores: Stores) -> KnownDevices:
    """Return the devices as this process knows them."""
    return KnownDevices(stores.objects, keep_s(settings))


def endpoint_of(settings: Settings) -> Endpoint | None:
    """Return where DICOM is served without TLS; None: nowhere."""
    return _endpoint(settings.dimse) if settings.dimse_plain else None


def tls_of(settings: Settings) -> tuple[Endpoint, TlsContexts] | None:
    """Return where DICOM is served over TLS, and with what; None: nowhere.

    Raises:
        InvalidRequest: the files cannot be used.
    """
    if settings.dimse_tls is None:
        return None
    clients = ClientCertificates(settings.dimse_tls_clients)
    return _endpoint(settings.dimse_tls), TlsContexts(_files(settings), clients)


class Destinations:
    """Whom instances may be sent to: those of the settings, and devices that say where."""

    def __init__(self, settings: Settings, devices: KnownDevices) -> None:
        self._devices = devices
        self._contexts = CallingContexts(settings)
        self._named = {one.aet: self._contexts.peer(one) for one in settings.destinations}

    async def find(self, tenant: str, title: str) -> Peer | None:
        """Return the peer with an AE title; None where nothing may be sent to it.

        Raises:
            Corrupt: what is written of it cannot be read.
            Unavailable: the store does not answer.
            InvalidRequest: TLS cannot be used.
        """
        if (peer := self._named.get(title)) is not None:
            return peer
        return self._contexts.peer_of(await self._devices.find(tenant, title))


class CallingContexts:
    """How peers are called; the files of TLS are read once one of them needs it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._made: TlsContexts | None = None

    def peer(self, destination: Destination) -> Peer:
        """Return a destination as it is called; raises InvalidRequest where TLS cannot be used."""
        tls = PeerTls(self._contexts(), destination.tls_name) if destination.tls else None
        return Peer(destination.aet, destination.host, destination.port, tls)

    def peer_of(self, device: Device | None) -> Peer | None:
        """Return where a device is called; None where it is not."""
        if device is None or device.is_disabled or (to := device.destination) is None:
            return None
        tls = PeerTls(self._contexts(), to.tls_name) if to.tls else None
        return Peer(device.title, to.host, to.port, tls)

    def _contexts(self) -> TlsContexts:
        if self._made is None:
            self._made = TlsContexts(_files(self._settings))
        return self._made


async def device_peer(settings: Settings, objects: ObjectStore, title: str) -> Peer:
    """Return where a device takes what is sent to it.

    Raises:
        NotFound: there is no such device, or it takes nothing.
        InvalidRequest: TLS cannot be used.
    """
    device = (await read_device(objects, settings.tenant, title)).device
    peer = CallingContexts(settings).peer_of(device)
    if peer is None:
        raise NotFound(
            f"{title!r} is neither AET@HOST:PORT nor a destination of the settings, "
            "nor a device that has one"
        )
    return peer


def _sign_in(settings: Settings, stores: Stores) -> SignIn:
    @cache
    def accounts(tenant: str) -> Accounts:
        return accounts_of(settings, stores.objects, tenant)

    async def sign_in(tenant: str, name: str, passcode: str, address: str) -> SignedIn:
        users = accounts(tenant)
        user = await users.sign_in(name, passcode, address=address)

        async def still() -> bool:
            now = await users.user(user.name)
            return (
                now is not None
                and not now.is_disabled
                and (now.mark, now.grants) == (user.mark, user.grants)
            )

        return SignedIn(user.caller(address), still)

    return sign_in


def _endpoint(address: Address) -> Endpoint:
    return Endpoint(address.host, address.port, reuse_port=True)


def _files(settings: Settings) -> TlsFiles:
    return TlsFiles(settings.dimse_tls_certificate, settings.dimse_tls_key, settings.dimse_tls_ca)

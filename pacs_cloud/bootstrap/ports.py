"""Listening ports: reserved once by the supervisor, shared by its processes."""

import errno
import socket

from pacs_cloud.errors import Unavailable
from pacs_cloud.settings import Address


class Reservation:
    """A bound port that nobody listens on yet; processes join it with SO_REUSEPORT."""

    def __init__(self, address: Address) -> None:
        """Bind `address`; port 0 becomes a free one.

        Raises:
            Unavailable: the port is taken, or the host is not this machine's.
        """
        # SO_REUSEPORT alone would join a stranger's port without a word: ask without it first.
        probe = _bound(address, reuse_port=False)
        taken = Address(host=address.host, port=probe.getsockname()[1])
        probe.close()
        self._socket = _bound(taken, reuse_port=True)
        self.address = taken

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()


def listening_socket(address: Address) -> socket.socket:
    """Return a socket bound to a reserved `address`, to be listened on; raises Unavailable."""
    return _bound(address, reuse_port=True)


def _bound(address: Address, *, reuse_port: bool) -> socket.socket:
    try:
        family, kind, proto, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, proto)
    except OSError as error:
        raise Unavailable(f"cannot listen on {address}: {error}") from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(where)
    except OSError as error:
        bound.close()
        reason = "the port is in use" if error.errno == errno.EADDRINUSE else error.strerror
        raise Unavailable(f"cannot listen on {address}: {reason}") from error
    return bound

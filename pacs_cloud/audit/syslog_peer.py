"""A connection to a syslog server, over TLS (RFC 5425), or in the clear on this machine."""

import errno
import fcntl
import select
import socket
import ssl
import struct
import termios
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CONNECT_S: Final = 10.0
_ACKED_S: Final = 30.0
_WELCOME_S: Final = 1.0
_LOOK_EVERY_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class SyslogTarget:
    """Where audit messages are sent.

    Attributes:
        host: of the server; its certificate must name it.
        port: 6514 for TLS, as a rule.
        ca: certificates that are trusted, PEM; None: the system's.
        certificate: ours, PEM, with its key or without; None: we show none.
        key: its key, PEM; None: it is in `certificate`.
        is_plain: without TLS: for this machine only.
    """

    host: str
    port: int
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    is_plain: bool = False


class SyslogPeer:
    """Sends frames; every call blocks, and an OSError ends the connection."""

    def __init__(self, target: SyslogTarget) -> None:
        """Connect with the first `send`."""
        self._target = target
        self._socket: socket.socket | None = None

    def send(self, frames: bytes) -> None:
        """Send some frames; return when the server's machine has all of them.

        Syslog has no answers: that the other kernel has acknowledged the bytes is all that can
        be known.

        Raises:
            OSError: it cannot be reached, or not trusted; what was sent may have arrived or not.
        """
        try:
            if self._socket is None or self._is_gone():
                self.close()
                self._socket = self._connect()
            self._socket.sendall(frames)
            self._await_acknowledged()
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """End the connection. Again: nothing happens."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> socket.socket:
        target = self._target
        plain = socket.create_connection((target.host, target.port), _CONNECT_S)
        try:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if target.is_plain:
                return plain
            context = ssl.create_default_context(cafile=target.ca)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if target.certificate is not None:
                context.load_cert_chain(target.certificate, target.key)
            secure = context.wrap_socket(plain, server_hostname=target.host)
        except BaseException:
            plain.close()
            raise
        # Under TLS 1.3 a server looks at our certificate once the handshake is over for us. What
        # it says next (tickets, as a rule) tells; of one that says nothing, time.
        if _is_readable(secure, _WELCOME_S) and _is_ended(secure):
            secure.close()
            raise OSError(errno.ECONNREFUSED, "the syslog server does not take our certificate")
        return secure

    def _is_gone(self) -> bool:
        assert self._socket is not None
        return _is_readable(self._socket, 0) and _is_ended(self._socket)

    def _await_acknowledged(self) -> None:
        assert self._socket is not None
        until = time.monotonic() + _ACKED_S
        while True:
            left = fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
            if struct.unpack("i", left)[0] == 0:
                return
            if self._is_gone():
                raise OSError(errno.ECONNRESET, "the syslog server has gone")
            if time.monotonic() > until:
                raise OSError(errno.ETIMEDOUT, "the syslog server takes nothing")
            time.sleep(_LOOK_EVERY_S)


def _is_readable(peer: socket.socket, wait_s: float) -> bool:
    poll = select.poll()
    poll.register(peer, select.POLLIN)
    return bool(poll.poll(wait_s * 1000))


def _is_ended(peer: socket.socket) -> bool:
    """Return whether the server has ended the connection; it never says anything else."""
    peer.settimeout(0)
    try:
        return not peer.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):
        return False  # something of TLS itself: session tickets
    except OSError:
        return True
    finally:
        peer.settimeout(_CONNECT_S)

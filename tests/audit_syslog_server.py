"""Syslog servers over TLS: one of our own that parses octet counts, and rsyslog where it is."""

import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dimse_certificates import Pair
from patience import PATIENCE_S
from servers.child import free_ports

HEADER = re.compile(
    rb"<(\d{1,3})>1 (\S+) (\S+) (\S+) (\S+) (\S+) - (?:\xef\xbb\xbf)(<\?xml .*)", re.DOTALL
)
"""RFC 5424: PRI, version, time, host, application, process, message ID, no structured data."""


class SyslogServer:
    """Takes frames (RFC 5425 4.3) from any number of clients, which show a certificate."""

    def __init__(self, pair: Pair, authority: Path, port: int = 0) -> None:
        self.messages: list[bytes] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pair.certificate, pair.key)
        self._context.load_verify_locations(authority)
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self._clients: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._clients.append(client)
            thread = threading.Thread(target=self._serve, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError, ssl.SSLError), client:
            secure = self._context.wrap_socket(client, server_side=True)
            self._clients.append(secure)  # the socket within is no more than a shell now
            with secure, secure.makefile("rb") as stream:
                while frame := _frame(stream):
                    self.messages.append(frame)

    def close(self) -> None:
        """End, and all connections with it."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for client in self._clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()


def _frame(stream: object) -> bytes:
    """Return the next SYSLOG-MSG: its length in ASCII digits, a blank, and so many octets."""
    digits = b""
    while (one := stream.read(1)) not in {b" ", b""}:  # type: ignore[attr-defined]
        assert one.isdigit(), one
        digits += one
    if not digits:
        return b""
    data = stream.read(int(digits))  # type: ignore[attr-defined]
    assert len(data) == int(digits)
    return data


@contextmanager
def rsyslog(folder: Path, pair: Pair, authority: Path) -> Iterator[tuple[int, Path]]:
    """Run rsyslog; yield its port, and the file that it writes each message to, a line each."""
    program = shutil.which("rsyslogd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    assert program is not None
    (modules,) = {path.parent for path in Path(program).parents[1].glob("lib/*/rsyslog/imtcp.so")}
    (port,) = free_ports(1)
    written, config = folder / "written", folder / "rsyslog.conf"
    config.write_text(
        f"""
        global(workDirectory="{folder}" maxMessageSize="256k"
            defaultNetstreamDriverCAFile="{authority}"
            defaultNetstreamDriverCertFile="{pair.certificate}"
            defaultNetstreamDriverKeyFile="{pair.key}")
        module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1"
            StreamDriver.AuthMode="x509/certvalid")
        template(name="all" type="string"
            string="%pri% %timereported:::date-rfc3339% %hostname% %app-name% %msgid% %msg%\\n")
        input(type="imtcp" port="{port}" address="127.0.0.1")
        action(type="omfile" file="{written}" template="all")
        """,
        encoding="utf-8",
    )
    command = [program, "-n", "-f", str(config), "-i", str(folder / "pid"), "-M", str(modules)]
    with (
        (folder / "said").open("wb") as said,
        subprocess.Popen(command, stdout=said, stderr=said) as child,
    ):
        try:
            until = time.monotonic() + PATIENCE_S
            while True:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                assert child.poll() is None, (folder / "said").read_text()
                assert time.monotonic() < until, (folder / "said").read_text()
                time.sleep(0.05)
            yield port, written
        finally:
            child.terminate()
            child.wait()


def can_run_rsyslog() -> bool:
    """Say whether rsyslog is here, with TLS."""
    program = shutil.which("rsyslogd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    return program is not None and any(Path(program).parents[1].glob("lib/*/rsyslog/lmnsd_ossl.so"))

"""TLS as the BCP 195 profile has it (PS3.15 B.12; RFC 8996, RFC 9325), from files that renew.

TLS 1.3, and 1.2 with ephemeral keys and authenticated encryption; nothing older, no
renegotiation, no compression, no RSA key below 2048 bits.
"""

import logging
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Final

from pacs_cloud.errors import InvalidRequest

log = logging.getLogger(__name__)

_SUITES: Final = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
)
"""Of TLS 1.2: RFC 9325 4.2 with ChaCha20, which PS3.15 B.13 has too."""
_LOOK_EVERY_S: Final = 1.0
_NAMED: Final = frozenset({"DNS", "IP Address", "URI", "email"})


class ClientCertificates(StrEnum):
    """Whether who calls must have a certificate."""

    REQUIRED = "required"
    WANTED = "wanted"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class TlsPeer:
    """What a TLS connection proves of the other end.

    Attributes:
        certificate: SHA-256 of its verified certificate, in hex; "" where it has shown none.
        names: that certificate's subject alternative names, in lower case.
    """

    certificate: str = ""
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where our certificate lies, and whom we believe.

    Attributes:
        certificate: PEM, ours first, then those between it and its authority; None: none.
        key: its key, PEM without a password; None: in the same file.
        authorities: PEM of the authorities that vouch for peers, or of the peers' own
            certificates; None: the system's.
    """

    certificate: Path | None = None
    key: Path | None = None
    authorities: Path | None = None


class TlsContexts:
    """Makes contexts from files, anew once these have changed."""

    def __init__(
        self,
        files: TlsFiles,
        clients: ClientCertificates | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read the files.

        Args:
            files: which.
            clients: what is asked of who calls us; None: we call.
            now_s: a clock that never goes back.

        Raises:
            InvalidRequest: they cannot be used; it says which, and why.
        """
        self._files = files
        self._clients = clients
        self._now_s = now_s
        self._seen = _signature(files)
        self._looked_s = now_s()
        self._context = _made(files, clients)

    def current(self) -> ssl.SSLContext:
        """Return the context for a new connection; that of before where new files are no good."""
        now_s = self._now_s()
        if now_s - self._looked_s >= _LOOK_EVERY_S:
            self._looked_s = now_s
            seen = _signature(self._files)
            if seen != self._seen:
                try:
                    self._context = _made(self._files, self._clients)
                except InvalidRequest as error:
                    # Whoever renews writes two files one after the other: look again.
                    log.warning("tls_files_not_taken", extra={"reason": str(error)})
                else:
                    self._seen = seen
                    log.info("tls_files_taken")
        return self._context


def tls_peer(connection: ssl.SSLObject) -> TlsPeer:
    """Return what a connection whose handshake is over proves."""
    der = connection.getpeercert(binary_form=True)
    if der is None:
        return TlsPeer()
    said = connection.getpeercert() or {}
    alternatives: object = said.get("subjectAltName", ())
    names = {
        value.lower()
        for kind, value in (alternatives if isinstance(alternatives, tuple) else ())
        if kind in _NAMED and isinstance(value, str)
    }
    return TlsPeer(sha256(der).hexdigest(), frozenset(names))


def _made(files: TlsFiles, clients: ClientCertificates | None) -> ssl.SSLContext:
    is_server = clients is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if is_server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{':'.join(_SUITES)}:@SECLEVEL=2")
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if is_server:
        # A resumed session would bring back a certificate that is over by now.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
        context.verify_mode = {
            ClientCertificates.REQUIRED: ssl.CERT_REQUIRED,
            ClientCertificates.WANTED: ssl.CERT_OPTIONAL,
            ClientCertificates.NONE: ssl.CERT_NONE,
        }[clients]
    # A peer's own certificate may stand among the authorities, whoever has signed it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if files.authorities is not None:
        _using(files.authorities, lambda: context.load_verify_locations(str(files.authorities)))
    elif not is_server:
        context.load_default_certs()
    if (certificate := files.certificate) is not None:
        # A key with a password must fail here, not ask at the terminal.
        _using(certificate, lambda: context.load_cert_chain(certificate, files.key, password=_none))
    return context


def _none() -> str:
    return ""


def _using(path: Path, use: Callable[[], None]) -> None:
    try:
        use()
    except ssl.SSLError as error:
        reason = error.reason or "it is no PEM file of that kind"
        raise InvalidRequest(f"TLS cannot use {path}: {reason}") from error
    except OSError as error:
        raise InvalidRequest(f"TLS cannot use {path}: {error.strerror}") from error
    except ValueError as error:
        raise InvalidRequest(f"TLS cannot use {path}: {error}") from error


def _signature(files: TlsFiles) -> tuple[tuple[int, int, int] | None, ...]:
    """Return what changes when a file does, be it by a link that points elsewhere now."""
    return tuple(_signature_of(path) for path in (files.certificate, files.key, files.authorities))


def _signature_of(path: Path | None) -> tuple[int, int, int] | None:
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino

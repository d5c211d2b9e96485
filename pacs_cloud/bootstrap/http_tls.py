"""HTTP over TLS: every handshake is bounded, and a renewed certificate counts at once.

uvicorn's own listener has one context for as long as it lives, and lets a minute pass for
each handshake, of any number of clients.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Final

from pacs_cloud.dimse.tls import ClientCertificates, TlsContexts, TlsFiles
from pacs_cloud.dimse.tls_listener import HandshakeLimits, TlsListener
from pacs_cloud.settings import Settings

_PROTOCOLS: Final = ["http/1.1"]
"""What is spoken here (RFC 7301): a client that means DICOM is refused in the handshake."""
_LIMITS: Final = HandshakeLimits(of_one_address=128)
"""A proxy's whole load comes from one address."""


def tls_of(settings: Settings) -> TlsContexts | None:
    """Return what HTTP is served with, None for plain HTTP; raises InvalidRequest."""
    certificate = settings.http_tls_certificate
    if certificate is None:
        return None
    return TlsContexts(TlsFiles(certificate, settings.http_tls_key), ClientCertificates.NONE)


def http_tls_listener(
    listener: socket.socket,
    contexts: TlsContexts,
    protocol: Callable[[], asyncio.Protocol],
    limits: HandshakeLimits = _LIMITS,
) -> TlsListener[asyncio.Protocol]:
    """Return what turns connections into protocols that speak HTTP/1.1.

    Args:
        listener: bound; closed with it.
        contexts: with what certificate.
        protocol: makes what a connection speaks.
        limits: of handshakes.
    """
    named: ssl.SSLContext | None = None

    def context() -> ssl.SSLContext:
        nonlocal named
        current = contexts.current()
        if current is not named:
            current.set_alpn_protocols(_PROTOCOLS)
            named = current
        return current

    # Whoever knocks at a port of the web is not worth a warning.
    return TlsListener(listener, context, protocol, limits, level=logging.INFO)

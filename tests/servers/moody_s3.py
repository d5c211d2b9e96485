"""A proxy in front of an S3 server that has what none on this machine does: AWS's cold moods.

Objects in an archive access tier of INTELLIGENT_TIERING (S3 User Guide, "Restoring an
archived object"), no room for expedited restores, and no restore at all.
"""

import http.client
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from patience import PATIENCE_S
from servers.endpoint import Endpoint

_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length", "date", "server"}


@dataclass
class Moods:
    """How the store is disposed.

    Attributes:
        endpoint: where it answers.
        archived: the archive access tier of each object that lies in one, by its path.
        restoring: paths of those whose restore is under way.
        asked: the bodies of all restores that were asked for.
        has_room: whether expedited restores are made.
        restores: whether any are.
        is_slow: whether restores take their time in the classes that the server has, too.
    """

    endpoint: Endpoint
    archived: dict[str, str] = field(default_factory=dict[str, str])
    restoring: set[str] = field(default_factory=set[str])
    asked: list[str] = field(default_factory=list[str])
    has_room: bool = True
    restores: bool = True
    is_slow: bool = False

    def arrive(self) -> None:
        """Bring back what is being restored."""
        for path in self.restoring:
            self.archived.pop(path, None)
        self.restoring.clear()

    def refusal_of(self, path: str, body: str) -> tuple[int, str] | None:
        """Return the status and code that a restore is refused with; None: S3 itself knows."""
        self.asked.append(body)
        if not self.restores:
            return 501, "NotImplemented"
        if not self.has_room and "Expedited" in body:
            return 503, "GlacierExpeditedRetrievalNotAvailable"
        if path not in self.archived and not self.is_slow:
            return None
        if path in self.archived and "<Days>" in body:
            return 400, "InvalidRequest"
        if path in self.restoring:
            return 409, "RestoreAlreadyInProgress"
        self.restoring.add(path)
        return 202, ""


@contextmanager
def moody(server: Endpoint) -> Generator[Moods]:
    """Serve on 127.0.0.1 in front of `server` until the block ends."""
    host = urlsplit(server.url).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if self.command != "HEAD" or "Content-Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def _refuse(self, status: int, code: str) -> None:
            text = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>" if code else ""
            self._answer(status, {"Content-Type": "application/xml"}, text.encode())

        def _handle(self) -> None:
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            if self.command == "POST" and query.startswith("restore"):
                refusal = moods.refusal_of(path, body.decode())
                if refusal is not None:
                    self._refuse(*refusal)
                    return
            if self.command == "GET" and path in moods.archived and not query:
                self._refuse(403, "InvalidObjectState")
                return
            asking = http.client.HTTPConnection(host, timeout=PATIENCE_S)
            asking.request(self.command, self.path, body, dict(self.headers))
            answer = asking.getresponse()
            data = answer.read()
            headers = {
                name: value for name, value in answer.getheaders() if name.lower() not in _HOP
            }
            if self.command == "HEAD":
                headers["Content-Length"] = answer.headers["Content-Length"] or "0"
                if path in moods.archived:
                    headers["x-amz-archive-status"] = moods.archived[path]
                if path in moods.restoring:
                    headers["x-amz-restore"] = 'ongoing-request="true"'
            asking.close()
            self._answer(answer.status, headers, data)

        # http.server's names.
        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815

        def log_message(self, format: str, *_: Any) -> None:  # noqa: A002 - http.server's
            """Say nothing."""

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    moods = Moods(replace(server, url=f"http://127.0.0.1:{proxy.server_port}"))
    thread = Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    try:
        yield moods
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()

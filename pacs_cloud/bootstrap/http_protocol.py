"""One HTTP connection: uvicorn's protocol, with bounds on what a client may send and how slowly.

uvicorn 0.54 with httptools bounds neither a request's header nor its trailer, neither the
requests in a pipeline nor the time a header may take, and closes without reading on: each
of these is one method here. Its own names are used as they are (`pipeline`, `cycle`,
`flow`, `connections`); the tests hold them against the installed version.
"""

import asyncio
from http import HTTPStatus
from typing import Any, Final

import httptools
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from pacs_cloud.bootstrap.http_exchange import Exchange, Outlet
from pacs_cloud.bootstrap.http_framing import framing_fault, read_target
from pacs_cloud.bootstrap.http_limits import ConnectionLimits, Drain
from pacs_cloud.bootstrap.http_refusals import refusal
from pacs_cloud.bootstrap.slow_reader import SlowReader

_LINGER_S: Final = 5.0
"""How long what a refused client goes on sending is read and dropped: a close with unread bytes
is a reset, which takes the answer away before it is read (RFC 9112 9.6)."""


class HttpProtocol(HttpToolsProtocol):
    """A connection of which nothing grows without bound and nothing waits without end."""

    parser: Any
    _outlet: Any
    _reader: SlowReader

    def __init__(
        self, *args: Any, limits: ConnectionLimits, drain: Drain, crowded: ASGIApp, **named: Any
    ) -> None:
        """Prepare for a connection.

        Args:
            *args: as uvicorn gives them.
            **named: likewise.
            limits: what a client may take.
            drain: of the process.
            crowded: answers instead of the application where there are too many connections.
        """
        super().__init__(*args, **named)
        self._limits = limits
        self._drain = drain
        self._crowded = crowded
        self._is_late = False
        self._is_between = True
        self._is_in_header = False
        self._has_progress = False
        self._has_given_up = False
        self._is_lingering = False
        self._idle_bytes = 0
        self._refusal = HTTPStatus.BAD_REQUEST
        self._running: RequestResponseCycle | None = None
        self._header_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._outlet = Outlet(transport, self.close)
        self._reader = SlowReader(transport, self._limits)
        most = self._limits.max_connections
        if len(self.connections) > most + most // 4 + 1:
            transport.abort()
            return
        self._is_late = len(self.connections) > most
        self._await_header()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the one who answers, and let go of the timers."""
        super().connection_lost(exc)
        if self._running is not None:
            self._leave(self._running)
        self._stop_waiting()
        self._unset_keepalive_if_required()
        self._reader.leave()

    def data_received(self, data: bytes) -> None:
        """Parse what came; what is no HTTP, or too much of it, is refused."""
        if self._has_given_up:
            return
        self._unset_keepalive_if_required()
        self._has_progress = False
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse(self._refusal)
            return
        # The parser keeps a field, or a trailer, until it is whole.
        self._idle_bytes = 0 if self._has_progress else self._idle_bytes + len(data)
        if self._idle_bytes > self._limits.max_header_bytes:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self._running is None and self._header_timer is None:
            self._await_header()

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                # The parser leaves the body out where another protocol is offered. None is
                # taken: the request is told again without the offer (RFC 9110 7.8).
                data = self._without_offer() + data[offer.args[0] :]
            else:
                return

    def _without_offer(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % field for field in self.headers if field[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._has_progress = True
        self._is_between, self._is_in_header = False, True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field; a trailer's fields are dropped (RFC 9110 6.5.1)."""
        if not self._is_in_header:
            return
        if len(self.headers) >= self._limits.max_header_fields:
            self._raise(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start to answer, or wait behind the request before."""
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                self._raise(HTTPStatus.BAD_REQUEST)
            return  # it is told again without its offer
        self._has_progress, self._is_in_header = True, False
        self._stop_waiting()
        version: str = self.parser.get_http_version()
        self._check(version)
        self._complete_scope(version)
        is_crowded = self._is_late and len(self.connections) > self._limits.max_connections
        exchange = self.cycle = Exchange(
            scope=self.scope,
            transport=self._outlet,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version == "1.1"
            and self.parser.should_keep_alive()
            and not (self._drain.has_begun or is_crowded),
            on_response=self.on_response_complete,
        )
        app: Any = self._crowded if is_crowded else self.app
        if self._running is None:
            self._start_asgi_task(exchange, app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, app))

    def _check(self, version: str) -> None:
        if len(self.pipeline) >= self._limits.max_pipelined:
            # The client may send again what gets no answer (RFC 9112 9.3.2).
            self._raise(HTTPStatus.TOO_MANY_REQUESTS)
        if len(self.url) >= self._limits.max_header_bytes:
            self._raise(HTTPStatus.REQUEST_URI_TOO_LONG)
        fault = framing_fault(version, self.headers)
        if fault is not None:
            self._raise(fault)

    def _complete_scope(self, version: str) -> None:
        scope, target = self.scope, read_target(self.url)
        if target.authority:
            # It stands before the Host field (RFC 9112 3.2.2).
            kept = [field for field in self.headers if field[0] != b"host"]
            self.headers[:] = [(b"host", target.authority), *kept]
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["http_version"] = version
        scope["path"] = self.root_path + target.path
        scope["raw_path"] = self.root_path.encode("ascii") + target.raw_path
        scope["query_string"] = target.query

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._has_progress = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        if self.parser.should_upgrade():
            return
        self._has_progress = self._is_between = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request in the pipeline, or wait for one."""
        self.server_state.total_requests += 1
        self._running = None
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self._is_lingering:
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._is_in_header:
            self._await_header()
        else:
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.close)

    def shutdown(self) -> None:
        """End with the answer under way, or with that to the request which is coming in."""
        if self._running is not None:
            self.cycle.keep_alive = False
        elif not self._is_in_header:
            self.close()

    def pause_writing(self) -> None:
        """Begin to look whether the reader takes what waits for it."""
        super().pause_writing()
        self._reader.watch()

    def resume_writing(self) -> None:
        """Send on."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._reader.leave()

    def close(self) -> None:
        """Close once all is sent; a request that is not whole yet is read on for a while."""
        if self._is_between or self.transport.is_closing():
            self.transport.close()
        elif not self._is_lingering:
            self._has_given_up = self._is_lingering = True
            self._stop_waiting()
            self.flow.resume_reading()
            if self.transport.can_write_eof():  # TLS has no end in one direction alone
                self.transport.write_eof()
            self.loop.call_later(_LINGER_S, self.transport.close)
        self._reader.watch()

    def _await_header(self) -> None:
        self._header_timer = self.loop.call_later(self._limits.header_s, self._header_is_late)

    def _stop_waiting(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _header_is_late(self) -> None:
        self._header_timer = None
        if self._is_in_header:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self.close()

    def _raise(self, status: HTTPStatus) -> None:
        """Make the parser stop: what is fed raises HttpParserError."""
        self._refusal = status
        raise httptools.HttpParserError(status.phrase)

    def _refuse(self, status: HTTPStatus) -> None:
        """Take nothing more; answer `status` unless requests before this one are being answered."""
        self._has_given_up, self._is_between = True, False
        self._stop_waiting()
        running = self._running
        if self.pipeline and self.pipeline[0][0].more_body:
            self.pipeline.popleft()  # its body is what is malformed
        elif running is not None and running is self.cycle and running.more_body:
            self._leave(running)
            if not running.response_started:
                self.transport.write(refusal(status))
            self.close()
            return
        if running is None:
            self.transport.write(refusal(status))
            self.close()
        elif self.pipeline:
            self.pipeline[0][0].keep_alive = False
        else:
            running.keep_alive = False

    @staticmethod
    def _leave(running: RequestResponseCycle) -> None:
        running.disconnected = not running.response_complete
        running.waiting_for_100_continue = False
        running.message_event.set()

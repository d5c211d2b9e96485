"""moto's server: S3, DynamoDB, SQS and CloudFormation in one Python process."""

import importlib.util
import socket
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from servers.endpoint import ACCESS_KEY, SECRET_KEY, Endpoint


def unavailable() -> str | None:
    """Return why this server cannot run here, or None."""
    if importlib.util.find_spec("moto") is None:
        return "moto is not installed: pip install -e '.[dev]'"
    return None


@asynccontextmanager
async def serve(directory: Path, port: int) -> AsyncGenerator[Endpoint, None]:
    """Serve on 127.0.0.1:`port` (0: any) until the block ends; nothing is kept.

    Raises:
        OSError: `port` is taken.
    """
    del directory
    # moto binds in a thread, and would wait for ever for one that failed.
    socket.create_server(("127.0.0.1", port)).close()
    # Imported by its keeper alone: it takes seconds, and warns.
    from moto.server import ThreadedMotoServer

    _take_turns()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    try:
        host, bound = server.get_host_and_port()
        yield Endpoint("moto", f"http://{host}:{bound}", ACCESS_KEY, SECRET_KEY)
    finally:
        server.stop()


def _take_turns() -> None:
    """Have DynamoDB's requests handled one at a time.

    moto undoes a failed transaction by putting back whole tables, and so would undo what others
    have written meanwhile.
    """
    from moto.dynamodb.responses import DynamoHandler

    call_action, turn = DynamoHandler.call_action, threading.Lock()

    def in_turn(handler: DynamoHandler) -> object:
        with turn:
            return call_action(handler)

    DynamoHandler.call_action = in_turn

"""ministack: an emulator of S3, DynamoDB and SQS, the second SQS to test with.

It pins its own botocore, so `make peers` gives it a virtual environment of
its own in the user's cache (`.ci/peers`); here it is only looked for.
"""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from patience import PATIENCE_S
from servers.child import free_ports, running, until_ready
from servers.endpoint import ACCESS_KEY, SECRET_KEY, Endpoint

START_SECONDS = PATIENCE_S


def _program() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "pacs_cloud" / "ministack" / "bin" / "ministack"


def unavailable() -> str | None:
    """Return why this server cannot run here, or None."""
    if not _program().exists():
        return "ministack is not installed: make peers"
    return None


@asynccontextmanager
async def serve(directory: Path, port: int) -> AsyncGenerator[Endpoint, None]:
    """Serve on 127.0.0.1:`port` (0: any) until the block ends; nothing is kept.

    Raises:
        ServerFailed: it ended, or does not answer within START_SECONDS.
    """
    bound = port or free_ports(1)[0]
    log = directory / "ministack.log"

    async def answers() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", bound)
        except OSError:
            return False
        writer.close()
        return True

    environment = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(bound)}
    async with running([_program()], log=log, cwd=directory, env=environment) as process:
        await until_ready(process, answers, seconds=START_SECONDS, log=log)
        yield Endpoint("ministack", f"http://127.0.0.1:{bound}", ACCESS_KEY, SECRET_KEY)

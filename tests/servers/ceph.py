"""Ceph's gateway: real S3 whose lifecycle truly moves objects between classes, on loopback.

One monitor, one OSD on a sparse file and one gateway, all in one directory. A day of the
gateway's lifecycle lasts `LIFECYCLE_DAY_S`. Whoever starts them need not be root.
"""

import asyncio
import shutil
import tempfile
import uuid
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from servers.child import ServerFailed, free_ports, running, until_ready
from servers.endpoint import ACCESS_KEY, SECRET_KEY, Endpoint

PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
PACKAGES = "radosgw ceph-mon ceph-osd"
"""Debian's, which bring all of PROGRAMS."""
START_SECONDS = 60
STEP_SECONDS = 30
LIFECYCLE_DAY_S = 5
FREE_BYTES = 4 << 30
CLASSES = ("STANDARD_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE")
"""Each a placement of its own; STANDARD is there by itself."""
_PLACEMENT = "default-placement"
_BLOCK_BYTES = 16 << 30


def missing() -> list[str]:
    """Return which of the programs are not here."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


def unavailable() -> str | None:
    """Return why this server cannot run here, or None."""
    if absent := missing():
        return f"Ceph's {', '.join(absent)} not installed (Debian: apt-get install {PACKAGES})"
    folder = tempfile.gettempdir()
    if (free := shutil.disk_usage(folder).free) < FREE_BYTES:
        return f"Ceph wants {FREE_BYTES >> 30} GiB of room in {folder}, which has {free >> 30}"
    return None


@asynccontextmanager
async def serve(directory: Path, port: int) -> AsyncGenerator[Endpoint, None]:
    """Serve on 127.0.0.1:`port` (0: any) until the block ends, all data in `directory`.

    Raises:
        ServerFailed: a part of it ended, or takes no object within START_SECONDS.
    """
    home = directory / "ceph"
    for folder in ("mon", "osd", "run", "log"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    monitor, bound = free_ports(2)
    bound = port or bound
    cluster = _Cluster(home, monitor)
    cluster.configure(bound)
    async with AsyncExitStack() as daemons:
        await cluster.make_monitor()
        process = await daemons.enter_async_context(cluster.daemon("ceph-mon", "--id", "a"))
        await until_ready(
            process,
            lambda: cluster.works("ceph", "osd", "create", cluster.osd),
            seconds=START_SECONDS,
            log=cluster.log("ceph-mon"),
        )
        await cluster.run("ceph-osd", "--mkfs", "--id", "0", "--osd-uuid", cluster.osd)
        await daemons.enter_async_context(cluster.daemon("ceph-osd", "--id", "0"))
        await cluster.add_user()  # makes the default zone, too
        await cluster.add_classes()
        process = await daemons.enter_async_context(cluster.daemon("radosgw", "--id", "a"))
        endpoint = Endpoint("ceph", f"http://127.0.0.1:{bound}", ACCESS_KEY, SECRET_KEY)
        await until_ready(
            process,
            lambda: asyncio.to_thread(_takes_objects, endpoint),
            seconds=START_SECONDS,
            log=cluster.log("radosgw"),
        )
        yield endpoint


class _Cluster:
    """The smallest cluster, and what talks to it."""

    def __init__(self, home: Path, monitor_port: int) -> None:
        self.cluster, self.osd = str(uuid.uuid4()), str(uuid.uuid4())
        self._home = home
        self._monitor_port = monitor_port
        self._config = home / "ceph.conf"

    def configure(self, gateway_port: int) -> None:
        """Write the configuration that all parts share."""
        home = self._home
        lines = {
            "fsid": self.cluster,
            "mon host": f"[v2:127.0.0.1:{self._monitor_port}]",
            "ms bind ipv6": "false",
            # Only who reaches the loopback reaches it, for as long as a test run lasts.
            "auth cluster required": "none",
            "auth service required": "none",
            "auth client required": "none",
            "ms mon client mode": "crc",  # nobody has a key to encrypt with
            "mon data": f"{home}/mon",
            "osd data": f"{home}/osd",
            "run dir": f"{home}/run",
            "admin socket": f"{home}/run/$name.$pid.asok",
            "log file": f"{home}/log/$name.log",
            "crash dir": f"{home}/run",
            "keyring": f"{home}/keyring",
            "osd objectstore": "bluestore",
            "bluestore block size": str(_BLOCK_BYTES),
            "osd memory target": str(1 << 30),
            "osd pool default size": "1",
            "osd pool default min size": "1",
            "osd pool default pg num": "4",
            "osd pool default pgp num": "4",
            "osd pool default pg autoscale mode": "off",
            "osd crush chooseleaf type": "0",
            "mon allow pool size one": "true",
            "mon max pg per osd": "1000",
            "mon data avail warn": "1",
            "mon data avail crit": "0",
            "rgw frontends": f"beast endpoint=127.0.0.1:{gateway_port} tcp_nodelay=1",
            "rgw lc debug interval": str(LIFECYCLE_DAY_S),
            # Each worker waits 200 ms behind each rule: with all of them a bucket's rules
            # take longer than a day, and the next bucket's turn never comes.
            "rgw lc max worker": "1",
            "rgw lc max wp worker": "1",
            "rgw thread pool size": "64",
            "rgw enable usage log": "false",
            "rgw enable ops log": "false",
            "rgw run sync thread": "false",
        }
        text = "".join(f"{name} = {value}\n" for name, value in lines.items())
        # The monitor's own address is in its map, and these would go before that.
        osd = "public addr = 127.0.0.1\ncluster addr = 127.0.0.1\n"
        self._config.write_text(f"[global]\n{text}\n[osd]\n{osd}", encoding="utf-8")

    def log(self, program: str) -> Path:
        """Return where a program's own words go."""
        return self._home / "log" / f"{program}.out"

    def daemon(
        self, program: str, *options: str
    ) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
        """Run a server of the cluster until the block ends."""
        command = [program, "--foreground", "--conf", str(self._config), *options]
        return running(command, log=self.log(program), cwd=self._home)

    async def works(self, *command: str) -> bool:
        """Return whether a command ends well, and within STEP_SECONDS."""
        name, *options = command
        words = [name, "--conf", str(self._config), *options]
        async with running(words, log=self.log(f"{name}.steps"), cwd=self._home) as process:
            try:
                async with asyncio.timeout(STEP_SECONDS):
                    return await process.wait() == 0
            except TimeoutError:
                return False

    async def run(self, *command: str) -> None:
        """Run a command to its end; raises ServerFailed, with its words."""
        if not await self.works(*command):
            said = self.log(f"{command[0]}.steps").read_text(encoding="utf-8", errors="replace")
            raise ServerFailed(f"{' '.join(command)}: {said[-500:]}")

    async def make_monitor(self) -> None:
        """Make the monitor's data, with the one address that it has."""
        monitors, address = str(self._home / "monmap"), f"[v2:127.0.0.1:{self._monitor_port}]"
        await self.run(
            "monmaptool", "--create", "--fsid", self.cluster, "--addv", "a", address, monitors
        )
        await self.run("ceph-mon", "--mkfs", "--id", "a", "--monmap", monitors)

    async def add_classes(self) -> None:
        """Make each storage class a placement with a pool of its own."""
        for name in CLASSES:
            options = (f"--placement-id={_PLACEMENT}", f"--storage-class={name}")
            await self.run(
                "radosgw-admin", "zonegroup", "placement", "add", "--rgw-zonegroup=default",
                *options,
            )  # fmt: skip
            pool = f"--data-pool=default.rgw.{name.lower()}.data"
            await self.run(
                "radosgw-admin", "zone", "placement", "add", "--rgw-zone=default", *options, pool
            )

    async def add_user(self) -> None:
        """Make the one user, whose keys all test servers have."""
        await self.run(
            "radosgw-admin", "user", "create", "--uid=pacs", "--display-name=pacs",
            f"--access-key={ACCESS_KEY}", f"--secret-key={SECRET_KEY}", "--max-buckets=0",
        )  # fmt: skip


def _takes_objects(endpoint: Endpoint) -> bool:
    client = endpoint.client("s3")
    try:
        client.create_bucket(Bucket="server-is-ready")
        client.put_object(Bucket="server-is-ready", Key="probe", Body=b"1")
    except (BotoCoreError, ClientError):
        return False
    else:
        return True
    finally:
        client.close()

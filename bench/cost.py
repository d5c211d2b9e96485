"""What 1,000 CT instances cost in requests: counted between our processes and real servers.

A counting proxy stands before the S3 and the DynamoDB server; the whole PACS runs behind it with its
cloud settings. Write units are those the DynamoDB server itself reports for each call.
"""

import argparse
import asyncio
import collections
import contextlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web

from bench.datasets import made
from bench.servers import NODELAY, pacs
from infra import provision
from infra.template import read

BIGGEST = 128 << 20
# What `make services` gives its servers.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": os.environ.get("AWS_ACCESS_KEY_ID", "pacs"),
    "AWS_SECRET_ACCESS_KEY": os.environ.get("AWS_SECRET_ACCESS_KEY", "pacssecret"),
    "AWS_REGION": os.environ.get("AWS_REGION", "us-east-1"),
}
WRITES = {"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"}


@dataclass(slots=True)
class Counts:
    """What passed the proxies."""

    s3: collections.Counter[str] = field(default_factory=collections.Counter)
    calls: collections.Counter[str] = field(default_factory=collections.Counter)
    write_units: float = 0
    read_units: float = 0

    @property
    def s3_writes(self) -> int:
        return sum(count for verb, count in self.s3.items() if verb not in {"GET", "HEAD"})


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--work", type=Path, default=Path(".bench"))
    asked.add_argument("--paced", type=float, default=0, help="instances/s, an association each")
    running = _services()
    for name, kind in (("s3", "seaweedfs"), ("dynamodb", "dynamodb-local"), ("sqs", "moto")):
        asked.add_argument(f"--{name}", default=running.get(kind), help=f"endpoint, e.g. {kind}'s")
    options = asked.parse_args()
    if not (options.s3 and options.dynamodb and options.sqs):
        print("skipped: no servers; start them with `make services`, or name their endpoints")
        return
    counts = asyncio.run(_run(options))
    for line in _plan(counts):
        print(line, flush=True)


def _services() -> dict[str, str]:
    """Return the endpoints that `make services` has written down."""
    path = Path(".services.json")
    if not path.exists():
        return {}
    return {kind: said["url"] for kind, said in json.loads(path.read_text()).items()}


def _plan(counts: Counts) -> list[str]:
    one_each = 1000
    return [
        f"{'':34}{'packs':>10}{'one object per instance':>26}",
        f"{'S3 write requests':34}{counts.s3_writes:>10}{one_each:>26}",
        f"{'DynamoDB write units':34}{counts.write_units:>10.0f}{'1,000 at the least':>26}",
        f"{'S3 requests by verb':34}{dict(counts.s3)}",
        f"{'DynamoDB calls':34}{dict(counts.calls)}",
        f"{'DynamoDB read units':34}{counts.read_units:.0f}",
    ]


async def _run(options: argparse.Namespace) -> Counts:
    name, counts = f"bench-{uuid.uuid4().hex[:12]}", Counts()
    os.environ.update(CREDENTIALS)
    import boto3

    for service, endpoint, create, parameters in (
        ("s3", options.s3, provision.create_bucket, {"BucketName": name}),
        (
            "dynamodb",
            options.dynamodb,
            provision.create_table,
            {"TableName": name, "DeletionProtection": "false"},
        ),
        ("sqs", options.sqs, provision.create_queues, {"QueueName": name}),
    ):
        with contextlib.closing(
            boto3.client(service, endpoint_url=endpoint, region_name="us-east-1")
        ) as client:
            create(client, read(parameters))
    async with (
        _proxy(options.s3, lambda request, _: counts.s3.update([request.method])) as s3,
        _proxy(options.dynamodb, lambda request, body: _count(counts, request, body)) as dynamodb,
    ):
        await asyncio.to_thread(_store, options, name, s3, dynamodb)
    return counts


def _store(options: argparse.Namespace, name: str, s3: str, dynamodb: str) -> None:
    directory = made("ct1000", options.work)
    with pacs(
        options.work,
        PACS_OBJECTS=f"s3://{name}?endpoint={s3}",
        PACS_CATALOGUE=f"dynamodb://{name}?endpoint={dynamodb}",
        PACS_QUEUE=f"sqs://{name}?endpoint={options.sqs}",
        **CREDENTIALS,
    ) as server:
        where = ["-aec", server.aet, "127.0.0.1", str(server.dimse_port)]
        send = ["storescu", *where]
        if options.paced:
            for path in sorted(directory.glob("*.dcm")):
                pause = subprocess.Popen(["sleep", str(1 / options.paced)])
                subprocess.run([*send, path], check=True, capture_output=True, env=NODELAY)
                pause.wait()
        else:
            subprocess.run([*send, "+sd", directory], check=True, capture_output=True, env=NODELAY)
        _await_empty_spool(options.work / "pacs")


def _await_empty_spool(data: Path) -> None:
    """Return when everything that was received is committed."""
    command = [sys.executable, "-m", "pacs_cloud", "status", "--json", "--data", str(data)]
    for _ in range(120):
        if not list((data / "spool").glob("*/*.zip")):
            return
        subprocess.run(["sleep", "1"], check=True)
    raise SystemExit(f"the spool is not empty after two minutes: {' '.join(command)}")


def _count(counts: Counts, request: web.Request, body: bytes) -> None:
    call = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
    counts.calls[call] += 1
    consumed = json.loads(body or b"{}").get("ConsumedCapacity") or []
    for one in consumed if isinstance(consumed, list) else [consumed]:
        if call in WRITES:
            counts.write_units += one.get("CapacityUnits", 0)
        else:
            counts.read_units += one.get("CapacityUnits", 0)


@contextlib.asynccontextmanager
async def _proxy(target: str, seen) -> AsyncGenerator[str]:
    """Pass every request on to `target`, unchanged, and tell `seen` of it."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:

        async def forward(request: web.Request) -> web.Response:
            body = await request.read()
            headers = {
                key: value
                for key, value in request.headers.items()
                if key.lower() not in {"connection", "transfer-encoding", "expect"}
            }
            url = target + request.raw_path
            async with session.request(
                request.method, _as_is(url), headers=headers, data=body, allow_redirects=False
            ) as answer:
                content = await answer.read()
                seen(request, content)
                kept = {
                    key: value
                    for key, value in answer.headers.items()
                    if key.lower() not in {"connection", "transfer-encoding", "content-length"}
                }
                if request.method == "HEAD":
                    kept["Content-Length"] = answer.headers.get("Content-Length", "0")
                return web.Response(status=answer.status, headers=kept, body=content)

        app = web.Application(client_max_size=BIGGEST)
        app.router.add_route("*", "/{path:.*}", forward)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


def _as_is(url: str):
    from yarl import URL

    return URL(url, encoded=True)


if __name__ == "__main__":
    main()

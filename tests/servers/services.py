"""`make services` and `make services-stop`: the test servers, kept between test runs.

They listen on fixed loopback ports, hold one bucket, table and queue as
`infra/template.yaml` describes them, and lose everything when stopped.
"""

import json
import os
import shutil
import signal
import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from infra import provision
from infra.template import read
from servers import discovery
from servers.child import ServerFailed
from servers.endpoint import Endpoint, Kind, read_record
from servers.keeper import SERVERS, record, running_lock

DIRECTORY = discovery.PROJECT / ".services"
PORTS: dict[Kind, int] = {
    "seaweedfs": 8333,
    "dynamodb-local": 8001,
    "moto": 8002,
    "ministack": 8003,
}
NAME = "pacs"


def start() -> None:
    """Start what this machine has and is not running, and say how to use it.

    Raises:
        ServerFailed: a server does not start.
    """
    DIRECTORY.mkdir(exist_ok=True)
    running: dict[Kind, Endpoint] = {}
    for kind, port in PORTS.items():
        endpoint = read_record(record(DIRECTORY, kind))
        if endpoint is None or not discovery.is_kept(DIRECTORY, kind):
            reason = SERVERS[kind].unavailable()
            if reason is not None:
                print(f"{kind:15} not started: {reason}")
                continue
            record(DIRECTORY, kind).unlink(missing_ok=True)
            endpoint = discovery.start_keeper(kind, DIRECTORY, port=port)
        running[kind] = endpoint
        print(f"{kind:15} {endpoint.url}")
    entries = {kind: asdict(endpoint) for kind, endpoint in running.items()}
    partial = discovery.SERVICES_FILE.with_suffix(".tmp")
    partial.write_text(json.dumps(entries, indent=2), encoding="utf-8")
    partial.replace(discovery.SERVICES_FILE)
    _provision(running)


def _provision(running: dict[Kind, Endpoint]) -> None:
    moto = running.get("moto")
    s3 = running.get("seaweedfs", moto)
    dynamodb = running.get("dynamodb-local", moto)
    if moto is None or s3 is None or dynamodb is None:
        return
    resources = read({"BucketName": NAME, "TableName": NAME, "QueueName": NAME})
    with (
        closing(s3.client("s3")) as objects,
        closing(dynamodb.client("dynamodb")) as catalogue,
        closing(moto.client("sqs")) as queue,
    ):
        provision.create_bucket(objects, resources)
        provision.create_table(catalogue, resources)
        provision.create_queues(queue, resources)
    print("\nThe archive on them:")
    print(f"  export AWS_ACCESS_KEY_ID={s3.access_key} AWS_SECRET_ACCESS_KEY={s3.secret_key}")
    print(f"  export AWS_REGION={s3.region}")
    print(f"  export PACS_OBJECTS='s3://{NAME}?endpoint={s3.url}'")
    print(f"  export PACS_CATALOGUE='dynamodb://{NAME}?endpoint={dynamodb.url}'")
    print(f"  export PACS_QUEUE='sqs://{NAME}?endpoint={moto.url}'")
    print('  export PACS_SESSION_SECRET="$(head -c 48 /dev/urandom | base64)"')


def stop() -> None:
    """Stop what `start` started, and drop all that it held."""
    discovery.SERVICES_FILE.unlink(missing_ok=True)
    for kind in PORTS:
        # A process id is only trusted while its owner holds the lock.
        if discovery.is_kept(DIRECTORY, kind):
            text = running_lock(DIRECTORY, kind).read_text(encoding="ascii")
            os.kill(int(text), signal.SIGTERM)
            print(f"{kind:15} stopped")
    discovery.await_keepers(DIRECTORY)
    shutil.rmtree(DIRECTORY, ignore_errors=True)


def main() -> None:
    """Run the command that the command line names."""
    commands = {"start": start, "stop": stop}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit(f"usage: python -m {Path(__file__).parent.name}.services start|stop")
    try:
        commands[sys.argv[1]]()
    except (ServerFailed, provision.ProvisionError) as error:
        sys.exit(f"services: {error}")


if __name__ == "__main__":
    main()

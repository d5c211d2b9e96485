"""The pytest fixtures that hand out real servers, and places of our schema in them.

One server of each kind serves the whole run, all xdist workers included, and
starts when a test first asks. A test isolates itself by names, which the
`s3_bucket`, `dynamodb_table` and `sqs_queue` fixtures make up, never by
resetting a server.
"""

import fcntl
import shutil
import tempfile
import uuid
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from infra import provision
from infra.template import read
from servers import discovery
from servers.endpoint import Endpoint, Kind, Service
from servers.keeper import SERVERS

RUN_DIRECTORY = pytest.StashKey[Path]()
RUN_LOCK = pytest.StashKey[Any]()
CLIENTS = ExitStack()


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket, table or queue of `infra/template.yaml` in a running server.

    Attributes:
        endpoint: the server.
        name: the bucket's, table's or queue's name.
    """

    endpoint: Endpoint
    name: str


def pytest_configure(config: pytest.Config) -> None:
    """Give the run a directory, and a lock that its servers live under."""
    workerinput = getattr(config, "workerinput", None)
    if workerinput is not None:
        config.stash[RUN_DIRECTORY] = Path(workerinput["pacs_run_directory"])
        return
    directory = Path(tempfile.mkdtemp(prefix="pacs-tests-"))
    lock = (directory / discovery.RUN_LOCK).open("wb")
    fcntl.flock(lock, fcntl.LOCK_EX)
    config.stash[RUN_DIRECTORY] = directory
    config.stash[RUN_LOCK] = lock


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker the run's directory."""
    node.workerinput["pacs_run_directory"] = str(node.config.stash[RUN_DIRECTORY])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Let the run's servers end, and take their data away."""
    CLIENTS.close()
    lock = config.stash.get(RUN_LOCK, None)
    if lock is None:
        return
    lock.close()
    directory = config.stash[RUN_DIRECTORY]
    discovery.await_keepers(directory)
    shutil.rmtree(directory, ignore_errors=True)


def server(kind: Kind, config: pytest.Config) -> Endpoint:
    """Return the server of `kind` for this run, or skip the test and say why."""
    running = discovery.from_services(kind)
    if running is not None:
        return running
    if kind == "ceph" and "ceph" not in config.option.markexpr.replace("not ceph", ""):
        pytest.skip("Ceph takes half a minute to start: make test-ceph")
    reason = SERVERS[kind].unavailable()
    if reason is not None:
        pytest.skip(reason)
    return discovery.shared(kind, config.stash[RUN_DIRECTORY])


@pytest.fixture(scope="session")
def moto_endpoint(pytestconfig: pytest.Config) -> Endpoint:
    """moto's server, for what only it speaks (CloudFormation, storage classes)."""
    return server("moto", pytestconfig)


CEPH = pytest.param("ceph", marks=pytest.mark.ceph)


@pytest.fixture(scope="session", params=["moto", "seaweedfs", CEPH])
def s3_server(request: pytest.FixtureRequest) -> Endpoint:
    """Each S3 server that this machine has."""
    return server(request.param, request.config)


@pytest.fixture(scope="session", params=["moto", "dynamodb-local"])
def dynamodb_server(request: pytest.FixtureRequest) -> Endpoint:
    """Each DynamoDB server that this machine has."""
    return server(request.param, request.config)


@pytest.fixture(scope="session", params=["moto", "ministack"])
def sqs_server(request: pytest.FixtureRequest) -> Endpoint:
    """Each SQS server that this machine has."""
    return server(request.param, request.config)


@cache
def _client(server: Endpoint, service: Service) -> Any:
    """Return this process's client, since one takes longer to make than a bucket."""
    return CLIENTS.enter_context(closing(server.client(service)))


def _name() -> str:
    return f"t-{uuid.uuid4().hex[:20]}"


@contextmanager
def bucket_at(server: Endpoint) -> Generator[Place]:
    """Make an empty bucket as `infra/template.yaml` describes it; remove it afterwards."""
    place, client = Place(server, _name()), _client(server, "s3")
    provision.create_bucket(client, read({"BucketName": place.name}))
    yield place
    provision.remove_bucket(client, place.name)


@contextmanager
def table_at(server: Endpoint) -> Generator[Place]:
    """Make an empty table as `infra/template.yaml` describes it; remove it afterwards."""
    place, client = Place(server, _name()), _client(server, "dynamodb")
    provision.create_table(client, read({"TableName": place.name, "DeletionProtection": "false"}))
    yield place
    client.delete_table(TableName=place.name)


@contextmanager
def queue_at(server: Endpoint) -> Generator[Place]:
    """Make an empty queue and its dead-letter queue (its name + `-dead`); remove them afterwards."""
    place, client = Place(server, _name()), _client(server, "sqs")
    made = provision.create_queues(client, read({"QueueName": place.name}))
    yield place
    for url in made.values():
        client.delete_queue(QueueUrl=url)


@pytest.fixture
def s3_bucket(s3_server: Endpoint) -> Iterator[Place]:
    """An empty bucket on each S3 server."""
    with bucket_at(s3_server) as place:
        yield place


@pytest.fixture
def ceph_bucket(pytestconfig: pytest.Config) -> Iterator[Place]:
    """An empty bucket on Ceph, whose lifecycle moves objects."""
    with bucket_at(server("ceph", pytestconfig)) as place:
        yield place


@pytest.fixture
def dynamodb_table(dynamodb_server: Endpoint) -> Iterator[Place]:
    """An empty table on each DynamoDB server."""
    with table_at(dynamodb_server) as place:
        yield place


@pytest.fixture
def sqs_queue(sqs_server: Endpoint) -> Iterator[Place]:
    """An empty queue on each SQS server."""
    with queue_at(sqs_server) as place:
        yield place


def _best(config: pytest.Config, *kinds: Kind) -> Endpoint:
    """Return the first of `kinds` that this machine has."""
    for kind in kinds:
        if discovery.from_services(kind) or SERVERS[kind].unavailable() is None:
            return server(kind, config)
    return server(kinds[-1], config)


@pytest.fixture(scope="session")
def best_s3(pytestconfig: pytest.Config) -> Endpoint:
    """The most real S3 server that this machine has."""
    return _best(pytestconfig, "seaweedfs", "moto")


@pytest.fixture(scope="session")
def best_dynamodb(pytestconfig: pytest.Config) -> Endpoint:
    """The most real DynamoDB server that this machine has."""
    return _best(pytestconfig, "dynamodb-local", "moto")


@pytest.fixture
def best_bucket(best_s3: Endpoint) -> Iterator[Place]:
    """An empty bucket on the most real S3 server."""
    with bucket_at(best_s3) as place:
        yield place


@pytest.fixture
def best_table(best_dynamodb: Endpoint) -> Iterator[Place]:
    """An empty table on the most real DynamoDB server."""
    with table_at(best_dynamodb) as place:
        yield place

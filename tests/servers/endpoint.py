"""Where a test server answers, and with which credentials."""

import json
import os
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import boto3
from botocore.config import Config

# The same for all servers, so that one process can use several at once; letters
# only, since DynamoDB Local takes no other access keys.
ACCESS_KEY, SECRET_KEY = "pacs", "pacssecret"

Service = Literal["s3", "dynamodb", "sqs", "cloudformation", "iam", "kms", "secretsmanager"]
Kind = Literal["moto", "seaweedfs", "ceph", "dynamodb-local", "ministack"]


@cache
def _session() -> boto3.Session:
    """Return the one session, which reads each service's description once (0.1 s)."""
    return boto3.Session()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A running server.

    Attributes:
        kind: which server this is.
        url: `http://127.0.0.1:PORT`, without a trailing slash.
        access_key: the key it accepts.
        secret_key: that key's secret.
        region: the region to sign for.
    """

    kind: Kind
    url: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"

    def client(self, service: Service) -> Any:
        """Return a boto3 client of `service` at this endpoint; the caller closes it."""
        return _session().client(
            service,
            endpoint_url=self.url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(
                connect_timeout=5,
                read_timeout=30,
                retries={"total_max_attempts": 3},
                s3={"addressing_style": "path"},
            ),
        )


def write_record(path: Path, endpoint: Endpoint) -> None:
    """Write `endpoint` to `path`, which a reader sees whole or not at all."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    partial.write_text(json.dumps(asdict(endpoint)), encoding="utf-8")
    partial.replace(path)


def read_record(path: Path) -> Endpoint | None:
    """Return the endpoint written to `path`, or None when there is none."""
    try:
        return Endpoint(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None

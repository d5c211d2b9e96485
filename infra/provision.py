"""Create what `template.yaml` describes on servers that do not speak CloudFormation.

MinIO, SeaweedFS, DynamoDB Local, ElasticMQ and moto all end up with the same
bucket, table and queues, because all read the one template. Run it as

    python -m infra.provision --s3-endpoint URL --dynamodb-endpoint URL --sqs-endpoint URL

Each endpoint is optional. What exists already is left alone, except that a
table with other keys or indexes is an error. Credentials come from where
boto3 looks for them (`AWS_ACCESS_KEY_ID` and so on). On AWS itself deploy the
template instead.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.template import Arn, Resource, TemplateError, read

DEFAULT_NAME = "pacs"
TABLE_WAIT_SECONDS = 60
# What S3-compatible servers answer to a feature they do not have.
_NO_SUCH_FEATURE = {
    "NotImplemented",
    "MethodNotAllowed",
    "MalformedXML",
    "NoSuchKey",
    "501",
    "405",
    # MinIO without a key server, asked for encryption.
    "KMSNotConfigured",
}
# Ceph takes these, where it does not know them, for the creation of a bucket that is there.
_TAKEN_FOR_CREATION = {"BucketEncryption", "OwnershipControls"}
_PROBE = "bucket-is-ready"


class ProvisionError(Exception):
    """A resource cannot be created, or exists and is another one."""


def _one(resources: Mapping[str, Resource], kind: str) -> Resource:
    (found,) = (resource for resource in resources.values() if resource.type == kind)
    return found


def _name(resource: Resource, member: str) -> str:
    name = resource.properties.get(member)
    if not name:
        raise ProvisionError(f"{member} must be given: only CloudFormation makes up names")
    return name


def _code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])


def create_bucket(s3: Any, resources: Mapping[str, Resource]) -> list[str]:
    """Create the bucket, with versioning, encryption, ownership and lifecycle.

    Args:
        s3: a boto3 client.
        resources: what `read` returned, with a BucketName.

    Returns:
        The features that this server does not have, by their names in the
        template. Versioning is never among them: deletion rests on it.

    Raises:
        ProvisionError: the bucket is another account's, or has no versioning.
        ClientError: the server refuses for another reason.
    """
    bucket = _one(resources, "AWS::S3::Bucket")
    name = _name(bucket, "BucketName")
    wanted = bucket.properties
    # Only a new bucket can have it everywhere.
    locking = {"ObjectLockEnabledForBucket": True} if wanted.get("ObjectLockEnabled") else {}
    try:
        s3.create_bucket(Bucket=name, **locking)
    except ClientError as error:
        if _code(error) == "BucketAlreadyExists":
            raise ProvisionError(f"bucket {name} belongs to somebody else") from error
        if _code(error) != "BucketAlreadyOwnedByYou":
            raise
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=wanted["VersioningConfiguration"])
    if s3.get_bucket_versioning(Bucket=name).get("Status") != "Enabled":
        raise ProvisionError(f"bucket {name} keeps no versions")
    features: dict[str, Callable[[Any], Any]] = {
        "BucketEncryption": lambda value: s3.put_bucket_encryption(
            Bucket=name, ServerSideEncryptionConfiguration=_encryption(value)
        ),
        "OwnershipControls": lambda value: s3.put_bucket_ownership_controls(
            Bucket=name, OwnershipControls=value
        ),
        "PublicAccessBlockConfiguration": lambda value: s3.put_public_access_block(
            Bucket=name, PublicAccessBlockConfiguration=value
        ),
        "LifecycleConfiguration": lambda value: s3.put_bucket_lifecycle_configuration(
            Bucket=name, LifecycleConfiguration=_lifecycle(value)
        ),
    }
    missing: list[str] = []
    if locking and not _can_lock(s3, name):
        missing.append("ObjectLockEnabled")
    for feature, put in features.items():
        try:
            put(wanted[feature])
        except ClientError as error:
            is_mistaken = feature in _TAKEN_FOR_CREATION and _code(error) == "InvalidArgument"
            if not is_mistaken and _code(error) not in _NO_SUCH_FEATURE:
                raise
            missing.append(feature)
    if _refuses_writers(s3, name):
        # What is public by an ACL is ignored all the same.
        block = {**wanted["PublicAccessBlockConfiguration"], "BlockPublicAcls": False}
        s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=block)
        missing.append("PublicAccessBlockConfiguration.BlockPublicAcls")
    return missing


def _refuses_writers(s3: Any, name: str) -> bool:
    """Return whether nothing can be written.

    Ceph 16 takes every object's ACL for a public one where such are blocked.
    """
    try:
        written = s3.put_object(Bucket=name, Key=_PROBE, Body=b"")
    except ClientError as error:
        if _code(error) not in {"AccessDenied", "403"}:
            raise
        return True
    version = {"VersionId": written["VersionId"]} if "VersionId" in written else {}
    s3.delete_object(Bucket=name, Key=_PROBE, **version)
    return False


def _can_lock(s3: Any, name: str) -> bool:
    """Return whether a bucket locks objects: one that was there before may not."""
    try:
        told = s3.get_object_lock_configuration(Bucket=name)["ObjectLockConfiguration"]
    except ClientError:
        return False
    return bool(told.get("ObjectLockEnabled") == "Enabled")


def _encryption(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return S3's own form of CloudFormation's encryption rules: one name differs."""
    renamed = {
        "ServerSideEncryptionByDefault": "ApplyServerSideEncryptionByDefault",
        "BucketKeyEnabled": "BucketKeyEnabled",
    }
    rules = [
        {renamed[key]: member for key, member in rule.items()}
        for rule in value["ServerSideEncryptionConfiguration"]
    ]
    return {"Rules": rules}


def _lifecycle(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return S3's own form of CloudFormation's rules: `Id` is `ID`, days are numbers."""
    rules: list[dict[str, Any]] = []
    for rule in value["Rules"]:
        form: dict[str, Any] = {
            "ID": rule["Id"],
            "Status": rule["Status"],
            "Filter": {"Prefix": rule["Prefix"]},
        }
        for action in ("AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration"):
            if action in rule:
                form[action] = {key: int(days) for key, days in rule[action].items()}
        unknown = set(rule) - {"Id", "Status", "Prefix"} - set(form)
        if unknown:
            raise TemplateError(f"lifecycle rule {rule['Id']}: {sorted(unknown)} not known here")
        rules.append(form)
    return {"Rules": rules}


def remove_bucket(s3: Any, name: str) -> None:
    """Remove the bucket `name` with every version in it: for tests only.

    Raises:
        ProvisionError: a version cannot be removed.
        ClientError: the server refuses, or somebody still writes to it.
    """
    while True:
        # Always the first page: a marker would point among what is gone.
        page = s3.list_object_versions(Bucket=name)
        doomed = [
            {"Key": entry["Key"], "VersionId": entry["VersionId"]}
            for entry in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        ]
        if not doomed:
            break
        answer = s3.delete_objects(Bucket=name, Delete={"Objects": doomed, "Quiet": True})
        if answer.get("Errors"):
            raise ProvisionError(f"bucket {name} keeps {answer['Errors'][0]}")
    s3.delete_bucket(Bucket=name)


def _shape(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes a table usable: its keys, and its indexes' keys and projections."""
    return {
        "table": description["KeySchema"],
        "attributes": sorted(
            (entry["AttributeName"], entry["AttributeType"])
            for entry in description["AttributeDefinitions"]
        ),
        "indexes": {
            index["IndexName"]: (
                index["KeySchema"],
                index["Projection"]["ProjectionType"],
                sorted(index["Projection"].get("NonKeyAttributes", [])),
            )
            for index in description.get("GlobalSecondaryIndexes", [])
        },
    }


def create_table(dynamodb: Any, resources: Mapping[str, Resource]) -> list[str]:
    """Create the table with its indexes and time to live; return once it is active.

    Args:
        dynamodb: a boto3 client.
        resources: what `read` returned, with a TableName.

    Returns:
        The features that this server does not have.

    Raises:
        ProvisionError: a table of this name has other keys or indexes, or is
            not active within TABLE_WAIT_SECONDS.
        ClientError: the server refuses.
    """
    table = _one(resources, "AWS::DynamoDB::Table")
    name, wanted = _name(table, "TableName"), table.properties
    try:
        dynamodb.create_table(
            TableName=name,
            BillingMode=wanted["BillingMode"],
            DeletionProtectionEnabled=wanted["DeletionProtectionEnabled"],
            AttributeDefinitions=wanted["AttributeDefinitions"],
            KeySchema=wanted["KeySchema"],
            GlobalSecondaryIndexes=wanted["GlobalSecondaryIndexes"],
        )
    except ClientError as error:
        if _code(error) != "ResourceInUseException":
            raise
    deadline = time.monotonic() + TABLE_WAIT_SECONDS
    while (found := dynamodb.describe_table(TableName=name)["Table"])["TableStatus"] != "ACTIVE":
        if time.monotonic() > deadline:
            raise ProvisionError(f"table {name} is not active after {TABLE_WAIT_SECONDS} s")
        time.sleep(0.1)
    if _shape(found) != _shape(wanted):
        raise ProvisionError(f"table {name} exists with other keys or indexes")
    missing: list[str] = []
    to_live = wanted["TimeToLiveSpecification"]
    now = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    if now.get("TimeToLiveStatus") not in {"ENABLED", "ENABLING"}:
        dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=to_live)
    try:
        dynamodb.update_continuous_backups(
            TableName=name,
            PointInTimeRecoverySpecification=wanted["PointInTimeRecoverySpecification"],
        )
    except ClientError as error:
        # DynamoDB Local knows no backups.
        if _code(error) != "UnknownOperationException":
            raise
        missing.append("PointInTimeRecoverySpecification")
    return missing


def create_queues(sqs: Any, resources: Mapping[str, Resource]) -> dict[str, str]:
    """Create the queues, the dead-letter queue first; return name → URL.

    Args:
        sqs: a boto3 client.
        resources: what `read` returned, with a QueueName.

    Raises:
        ClientError: the server refuses, or has a queue of this name with
            other attributes.
    """
    queues = [each for each in resources.values() if each.type == "AWS::SQS::Queue"]
    # A queue that names another one's ARN comes after it.
    queues.sort(key=lambda queue: "RedrivePolicy" in queue.properties)
    urls: dict[str, str] = {}
    arns: dict[str, str] = {}
    for queue in queues:
        name = _name(queue, "QueueName")
        attributes = {
            member: _attribute(value, arns)
            for member, value in queue.properties.items()
            if member != "QueueName"
        }
        url = _create_queue(sqs, name, attributes)
        urls[name] = url
        described = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        arns[queue.name] = described["Attributes"]["QueueArn"]
    return urls


def _create_queue(sqs: Any, name: str, attributes: dict[str, str]) -> str:
    try:
        return sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    except ClientError as error:
        # ElasticMQ has no encryption, and says so by this code.
        if _code(error) != "InvalidAttributeName" or "SqsManagedSseEnabled" not in attributes:
            raise
    plain = {key: value for key, value in attributes.items() if key != "SqsManagedSseEnabled"}
    return sqs.create_queue(QueueName=name, Attributes=plain)["QueueUrl"]


def _attribute(value: Any, arns: Mapping[str, str]) -> str:
    """Return a property as the text that SQS's own interface takes."""
    if isinstance(value, dict):
        members = {
            key: arns[member.resource] if isinstance(member, Arn) else member
            for key, member in value.items()
        }
        return json.dumps(members)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _client(service: str, endpoint: str, region: str, wait_seconds: float) -> Any:
    """Return a client once its server answers at all.

    Raises:
        ProvisionError: it does not within `wait_seconds`.
    """
    client = boto3.Session().client(
        service,
        endpoint_url=endpoint,
        region_name=region,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 3}),
    )
    probe = {"s3": "list_buckets", "dynamodb": "list_tables", "sqs": "list_queues"}[service]
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            getattr(client, probe)()
        except (BotoCoreError, ClientError) as error:
            if time.monotonic() > deadline:
                raise ProvisionError(f"{service} at {endpoint}: {error}") from error
            time.sleep(0.5)
        else:
            return client


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def main(arguments: list[str] | None = None) -> int:
    """Provision the endpoints of the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.provision", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--s3-endpoint", metavar="URL")
    parser.add_argument("--dynamodb-endpoint", metavar="URL")
    parser.add_argument("--sqs-endpoint", metavar="URL")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--wait", type=float, default=60, metavar="SECONDS")
    parser.add_argument(
        "--parameter",
        type=_parameter,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"of infra/template.yaml; the three names default to {DEFAULT_NAME}",
    )
    given = parser.parse_args(arguments)
    names = dict.fromkeys(("BucketName", "TableName", "QueueName"), DEFAULT_NAME)
    try:
        resources = read({**names, **dict(given.parameter)})
        _provision(given, resources)
    except (ProvisionError, TemplateError, BotoCoreError, ClientError) as error:
        print(f"provision: {error}", file=sys.stderr)  # noqa: T201  a command's output
        return 1
    return 0


def _provision(given: argparse.Namespace, resources: Mapping[str, Resource]) -> None:
    def said(what: str, missing: list[str]) -> None:
        without = f" (this server has no {', '.join(missing)})" if missing else ""
        print(f"{what}{without}")  # noqa: T201  a command's output

    if given.s3_endpoint:
        client = _client("s3", given.s3_endpoint, given.region, given.wait)
        missing = create_bucket(client, resources)
        said(f"bucket {_one(resources, 'AWS::S3::Bucket').properties['BucketName']}", missing)
    if given.dynamodb_endpoint:
        client = _client("dynamodb", given.dynamodb_endpoint, given.region, given.wait)
        missing = create_table(client, resources)
        said(f"table {_one(resources, 'AWS::DynamoDB::Table').properties['TableName']}", missing)
    if given.sqs_endpoint:
        client = _client("sqs", given.sqs_endpoint, given.region, given.wait)
        for name, url in create_queues(client, resources).items():
            said(f"queue {name} {url}", [])


if __name__ == "__main__":
    sys.exit(main())

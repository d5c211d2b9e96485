"""infra/template.yaml, deployed by CloudFormation, and created by infra.provision."""

import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra import provision
from infra.template import PATH, read
from pacs_cloud.custody.walk import KNOWN
from servers.endpoint import Endpoint
from servers.fixtures import Place

NAMES = ("BucketName", "TableName", "QueueName")
INDEXES = {
    "by_date": (["gd", "gdk"], {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["mods"]}),
    "by_patient": (["gp", "gpk"], {"ProjectionType": "KEYS_ONLY"}),
    "by_accession": (["ga", "gak"], {"ProjectionType": "KEYS_ONLY"}),
}


def _check_table(dynamodb: Any, name: str) -> None:
    table = dynamodb.describe_table(TableName=name)["Table"]
    assert [key["AttributeName"] for key in table["KeySchema"]] == ["pk", "sk"]
    found = {
        index["IndexName"]: (
            [key["AttributeName"] for key in index["KeySchema"]],
            {key: value for key, value in index["Projection"].items() if value},
        )
        for index in table["GlobalSecondaryIndexes"]
    }
    assert found == INDEXES
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    to_live = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    assert (to_live["AttributeName"], to_live["TimeToLiveStatus"]) == ("ttl", "ENABLED")


def _check_queue(sqs: Any, url: str, dead_url: str) -> None:
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    dead = sqs.get_queue_attributes(QueueUrl=dead_url, AttributeNames=["QueueArn"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "120"
    assert attributes["ReceiveMessageWaitTimeSeconds"] == "20"
    assert attributes["MessageRetentionPeriod"] == str(14 * 24 * 3600)
    redrive = json.loads(attributes["RedrivePolicy"])
    assert redrive["deadLetterTargetArn"] == dead["QueueArn"]
    assert int(redrive["maxReceiveCount"]) == 5


@pytest.fixture(scope="module")
def outputs(moto_endpoint: Endpoint) -> Iterator[dict[str, str]]:
    """The outputs of a stack that CloudFormation made from the template."""
    suffix = uuid.uuid4().hex[:12]
    client = moto_endpoint.client("cloudformation")
    try:
        client.create_stack(
            StackName=f"pacs-{suffix}",
            TemplateBody=PATH.read_text(encoding="utf-8"),
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[
                {"ParameterKey": name, "ParameterValue": f"cfn-{suffix}"} for name in NAMES
            ],
        )
        client.get_waiter("stack_create_complete").wait(
            StackName=f"pacs-{suffix}", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
        (stack,) = client.describe_stacks(StackName=f"pacs-{suffix}")["Stacks"]
        made = {entry["OutputKey"]: entry["OutputValue"] for entry in stack["Outputs"]}
        # moto's CloudFormation passes over versioning, access blocks, lifecycle
        # and time to live. Provisioning the same names adds these, and would
        # refuse a table that came out otherwise.
        resources = read(dict.fromkeys(NAMES, f"cfn-{suffix}"))
        for service, complete in (
            ("s3", provision.create_bucket),
            ("dynamodb", provision.create_table),
        ):
            with closing(moto_endpoint.client(service)) as completed:
                complete(completed, resources)
        yield made
    finally:
        client.close()


@pytest.mark.parametrize("is_locked", ["true", "false"])
def test_a_bucket_that_locks_objects_if_that_is_wanted(
    moto_endpoint: Endpoint, is_locked: str
) -> None:
    name = f"cfn-{uuid.uuid4().hex[:12]}"
    parameters = {**dict.fromkeys(NAMES, name), "ObjectLock": is_locked}
    with (
        closing(moto_endpoint.client("cloudformation")) as client,
        closing(moto_endpoint.client("s3")) as s3,
    ):
        client.create_stack(
            StackName=f"pacs-{name}",
            TemplateBody=PATH.read_text(encoding="utf-8"),
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
            ],
        )
        client.get_waiter("stack_create_complete").wait(
            StackName=f"pacs-{name}", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
        # moto's CloudFormation passes it over; what provisions does not.
        made = read({"BucketName": f"p-{name}", "ObjectLock": is_locked})
        assert provision.create_bucket(s3, made) == []
        if is_locked == "true":
            told = s3.get_object_lock_configuration(Bucket=f"p-{name}")
            assert told["ObjectLockConfiguration"] == {"ObjectLockEnabled": "Enabled"}
        else:
            with pytest.raises(ClientError):
                s3.get_object_lock_configuration(Bucket=f"p-{name}")


def test_roles_may_use_the_keys_of_tenants(moto_endpoint: Endpoint) -> None:
    name = f"cfn-{uuid.uuid4().hex[:12]}"
    keys = [f"arn:aws:kms:eu-central-1:123456789012:key/{one}" for one in "ab"]
    parameters = {**dict.fromkeys(NAMES, name), "TenantKmsKeyArns": ",".join(keys)}
    with (
        closing(moto_endpoint.client("cloudformation")) as client,
        closing(moto_endpoint.client("iam")) as iam,
    ):
        client.create_stack(
            StackName=f"pacs-{name}",
            TemplateBody=PATH.read_text(encoding="utf-8"),
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
            ],
        )
        (stack,) = client.describe_stacks(StackName=f"pacs-{name}")["Stacks"]
        made = {entry["OutputKey"]: entry["OutputValue"] for entry in stack["Outputs"]}
        assert "KeyPolicyArn" not in made
        arn = made["TenantKeyPolicyArn"]
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        document = iam.get_policy_version(PolicyArn=arn, VersionId=version)
    (statement,) = document["PolicyVersion"]["Document"]["Statement"]
    assert statement["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert statement["Resource"] == keys


class TestDeployedByCloudFormation:
    """On moto, the one server here that speaks CloudFormation."""

    def test_the_table(self, moto_endpoint: Endpoint, outputs: dict[str, str]) -> None:
        client = moto_endpoint.client("dynamodb")
        try:
            _check_table(client, outputs["TableName"])
            table = client.describe_table(TableName=outputs["TableName"])["Table"]
            assert table["TableArn"] == outputs["TableArn"]
            assert table["DeletionProtectionEnabled"] is True
        finally:
            client.close()

    def test_the_bucket(self, moto_endpoint: Endpoint, outputs: dict[str, str]) -> None:
        client, bucket = moto_endpoint.client("s3"), outputs["BucketName"]
        try:
            assert client.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
            encryption = client.get_bucket_encryption(Bucket=bucket)
            (rule,) = encryption["ServerSideEncryptionConfiguration"]["Rules"]
            assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
            blocked = client.get_public_access_block(Bucket=bucket)
            assert set(blocked["PublicAccessBlockConfiguration"].values()) == {True}
        finally:
            client.close()

    def test_the_queues(self, moto_endpoint: Endpoint, outputs: dict[str, str]) -> None:
        client = moto_endpoint.client("sqs")
        try:
            _check_queue(client, outputs["QueueUrl"], outputs["DeadLetterQueueUrl"])
            url = client.get_queue_url(QueueName=outputs["QueueName"])["QueueUrl"]
            assert url.rpartition("/")[2] == outputs["QueueUrl"].rpartition("/")[2]
        finally:
            client.close()

    @pytest.mark.parametrize(
        ("role", "may", "may_not"),
        [
            (
                "Receiver",
                {"s3:PutObject", "dynamodb:UpdateItem", "sqs:SendMessage"},
                {"s3:BypassGovernanceRetention", "sqs:ReceiveMessage"},
            ),
            (
                "Web",
                {"s3:GetObject", "s3:PutObject", "s3:RestoreObject", "dynamodb:Query"},
                {"s3:BypassGovernanceRetention", "sqs:ReceiveMessage"},
            ),
            (
                "Operations",
                {"s3:GetLifecycleConfiguration", "sqs:ReceiveMessage"},
                {"s3:BypassGovernanceRetention", "s3:RestoreObject", "dynamodb:PutItem"},
            ),
            (
                "Worker",
                {
                    *("s3:DeleteObjectVersion", "s3:RestoreObject", "sqs:ReceiveMessage"),
                    *("s3:PutObjectLegalHold", "s3:PutObjectRetention"),
                },
                {"s3:DeleteBucket", "dynamodb:DeleteTable", "s3:BypassGovernanceRetention"},
            ),
        ],
    )
    def test_a_role_may_no_more_than_it_does(
        self,
        moto_endpoint: Endpoint,
        outputs: dict[str, str],
        role: str,
        may: set[str],
        may_not: set[str],
    ) -> None:
        client, arn = moto_endpoint.client("iam"), outputs[f"{role}PolicyArn"]
        try:
            version = client.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
            document = client.get_policy_version(PolicyArn=arn, VersionId=version)
        finally:
            client.close()
        policy = document["PolicyVersion"]["Document"]
        actions: set[str] = set()
        for statement in policy["Statement"]:
            named = statement["Action"]
            actions |= {named} if isinstance(named, str) else set(named)
            resources = statement["Resource"]
            for resource in [resources] if isinstance(resources, str) else resources:
                assert resource != "*"
        assert may <= actions
        assert not may_not & actions
        assert not [action for action in actions if "*" in action]
        # Only fsck and rebuild, and what pages reckon of an archive, read the whole table.
        assert ("dynamodb:Scan" in actions) == (role in {"Worker", "Operations"})

    @pytest.mark.parametrize(
        ("role", "trees"),
        [
            ("Receiver", {"users", "tries"}),
            ("Web", {"users", "keys", "tries", "sessions", "shares", "glass"}),
            ("Operations", {"checks", "correcting", "devices", "trash"}),
        ],
    )
    def test_an_edge_removes_nothing_but_what_changes_of_users(
        self, moto_endpoint: Endpoint, outputs: dict[str, str], role: str, trees: set[str]
    ) -> None:
        arn = outputs[f"{role}PolicyArn"]
        with closing(moto_endpoint.client("iam")) as client:
            version = client.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
            document = client.get_policy_version(PolicyArn=arn, VersionId=version)
        removed = {
            resource.partition("/")[2]
            for statement in document["PolicyVersion"]["Document"]["Statement"]
            if any(action.startswith("s3:Delete") for action in statement["Action"])
            for resource in statement["Resource"]
        }
        copies = ("packs", "index", "ledger", "thumbs", "recalls", "access", "rejections")
        shown = {f"{tree}/share_*" for tree in copies} if role == "Web" else set[str]()
        assert removed == {f"{tree}/*" for tree in trees} | shown

    @pytest.mark.parametrize("tree", KNOWN)
    def test_the_worker_writes_all_that_there_is(
        self, moto_endpoint: Endpoint, outputs: dict[str, str], tree: str
    ) -> None:
        with closing(moto_endpoint.client("iam")) as client:
            arn = outputs["WorkerPolicyArn"]
            version = client.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
            document = client.get_policy_version(PolicyArn=arn, VersionId=version)
        written = {
            resource.partition("/")[2]
            for statement in document["PolicyVersion"]["Document"]["Statement"]
            if "s3:PutObject" in statement["Action"]
            for resource in statement["Resource"]
        }
        assert f"{tree}*" in written


class TestProvisioned:
    """On every server found here."""

    def test_a_bucket_keeps_versions(self, s3_bucket: Place) -> None:
        client = s3_bucket.endpoint.client("s3")
        try:
            first = client.put_object(Bucket=s3_bucket.name, Key="packs/a", Body=b"1")
            client.delete_object(Bucket=s3_bucket.name, Key="packs/a")
            again = client.get_object(
                Bucket=s3_bucket.name, Key="packs/a", VersionId=first["VersionId"]
            )
            assert again["Body"].read() == b"1"
            rules = client.get_bucket_lifecycle_configuration(Bucket=s3_bucket.name)["Rules"]
            assert {rule["ID"] for rule in rules} >= {"expire-deleted-packs"}
        finally:
            client.close()

    def test_a_table_has_its_indexes(self, dynamodb_table: Place) -> None:
        client = dynamodb_table.endpoint.client("dynamodb")
        try:
            _check_table(client, dynamodb_table.name)
        finally:
            client.close()

    def test_a_queue_has_its_dead_letters(self, sqs_queue: Place) -> None:
        client = sqs_queue.endpoint.client("sqs")
        try:
            _check_queue(
                client,
                client.get_queue_url(QueueName=sqs_queue.name)["QueueUrl"],
                client.get_queue_url(QueueName=f"{sqs_queue.name}-dead")["QueueUrl"],
            )
        finally:
            client.close()

    def test_twice_is_once(self, s3_bucket: Place, sqs_queue: Place) -> None:
        s3, sqs = s3_bucket.endpoint.client("s3"), sqs_queue.endpoint.client("sqs")
        try:
            provision.create_bucket(s3, read({"BucketName": s3_bucket.name}))
            provision.create_queues(sqs, read({"QueueName": sqs_queue.name}))
        finally:
            s3.close()
            sqs.close()

    def test_a_table_twice_is_once(self, dynamodb_table: Place) -> None:
        client = dynamodb_table.endpoint.client("dynamodb")
        try:
            provision.create_table(client, read({"TableName": dynamodb_table.name}))
        finally:
            client.close()

    def test_another_table_of_that_name_is_an_error(self, dynamodb_server: Endpoint) -> None:
        client, name = dynamodb_server.client("dynamodb"), f"t-{uuid.uuid4().hex}"
        try:
            client.create_table(
                TableName=name,
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
                KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            )
            with pytest.raises(provision.ProvisionError, match="other keys or indexes"):
                provision.create_table(client, read({"TableName": name}))
            client.delete_table(TableName=name)
        finally:
            client.close()

    def test_the_command_provisions_all_three(
        self,
        moto_endpoint: Endpoint,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", moto_endpoint.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", moto_endpoint.secret_key)
        name = f"t-{uuid.uuid4().hex[:12]}"
        status = provision.main(
            [
                *("--s3-endpoint", moto_endpoint.url),
                *("--dynamodb-endpoint", moto_endpoint.url),
                *("--sqs-endpoint", moto_endpoint.url),
                *("--parameter", f"BucketName={name}"),
                *("--parameter", f"TableName={name}"),
                *("--parameter", f"QueueName={name}"),
            ]
        )
        said = capsys.readouterr()
        assert (status, said.err) == (0, "")
        for line in (f"bucket {name}", f"table {name}", f"queue {name}-dead ", f"queue {name} "):
            assert line in said.out

    def test_the_command_says_what_is_wrong(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert provision.main(["--parameter", "BucketName=No"]) == 1
        assert "BucketName" in capsys.readouterr().err

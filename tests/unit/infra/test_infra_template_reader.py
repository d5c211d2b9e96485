"""infra.template: what the template says once its references are resolved."""

from pathlib import Path

import pytest
import yaml

from infra import template
from infra.template import PATH, Arn, TemplateError, read

NAMES = {"BucketName": "b-b", "TableName": "t-t", "QueueName": "q"}


def _write(tmp_path: Path, properties: str) -> Path:
    path = tmp_path / "template.yaml"
    path.write_text(
        "Parameters:\n"
        "  Size: {Type: Number, Default: 3}\n"
        "  Name: {Type: String, Default: '', AllowedPattern: '^[a-z]*$'}\n"
        "  Mode: {Type: String, Default: a, AllowedValues: [a, b]}\n"
        "Conditions:\n"
        "  Named: !Not [!Equals [!Ref Name, '']]\n"
        "Resources:\n"
        "  Policy: {Type: 'AWS::S3::BucketPolicy', Properties: {Bucket: !Ref Thing}}\n"
        f"  Thing: {{Type: 'AWS::S3::Bucket', Properties: {properties}}}\n",
        encoding="utf-8",
    )
    return path


@pytest.mark.parametrize(
    ("properties", "given", "expected"),
    [
        ("{A: !Ref Size}", {}, {"A": "3"}),
        ("{A: !If [Named, !Ref Name, none]}", {"Name": "x"}, {"A": "x"}),
        ("{A: !If [Named, 1, !Ref 'AWS::NoValue'], B: 2}", {}, {"B": 2}),
        ("{A: [1, !If [Named, 2, !Ref 'AWS::NoValue']]}", {}, {"A": [1]}),
        ("{A: !Sub 'a-${Name}-z'}", {"Name": "x"}, {"A": "a-x-z"}),
        ("{A: !GetAtt Other.Arn}", {}, {"A": Arn("Other")}),
        ("{A: {'Fn::If': [Named, 1, 0]}}", {"Name": "x"}, {"A": 1}),
    ],
)
def test_functions(
    tmp_path: Path, properties: str, given: dict[str, str], expected: object
) -> None:
    assert read(given, _write(tmp_path, properties))["Thing"].properties == expected


@pytest.mark.parametrize(
    ("properties", "given", "words"),
    [
        ("{}", {"Other": "1"}, "no parameter Other"),
        ("{}", {"Name": "X1"}, "against"),
        ("{}", {"Mode": "c"}, "not one of"),
        ("{}", {"Size": "many"}, "not a number"),
        ("{A: !Ref Nobody}", {}, "not a parameter"),
        ("{A: !Join ['', [a]]}", {}, "not known here"),
        ("{A: !GetAtt Other.Name}", {}, "not known here"),
        ("{A: !If [Nothing, 1, 2]}", {}, "no condition Nothing"),
        ("{A: !Sub {a: b}}", {}, "takes a text or a list"),
    ],
)
def test_what_cannot_be_read_is_an_error(
    tmp_path: Path, properties: str, given: dict[str, str], words: str
) -> None:
    with pytest.raises(TemplateError, match=words):
        read(given, _write(tmp_path, properties))


def test_the_bucket_answers_over_tls_only() -> None:
    # Read as it stands: no server here takes a bucket policy from CloudFormation.
    document = yaml.load(PATH.read_text(encoding="utf-8"), template._Loader)
    policy = document["Resources"]["BucketPolicy"]["Properties"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert policy["Bucket"] == {"Ref": "Bucket"}
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == (
        "Deny",
        "*",
        "s3:*",
    )
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Resource"] == [
        {"Fn::GetAtt": ["Bucket", "Arn"]},
        {"Fn::Sub": "${Bucket.Arn}/*"},
    ]


def test_nothing_is_lost_with_the_stack() -> None:
    document = yaml.load(PATH.read_text(encoding="utf-8"), template._Loader)
    for name in ("Bucket", "BucketPolicy", "Table", "Queue", "DeadLetterQueue"):
        resource = document["Resources"][name]
        assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"


def test_policies_are_left_to_cloudformation() -> None:
    assert set(read(NAMES)) == {"Bucket", "Table", "Queue", "DeadLetterQueue"}


def test_names_are_made_up_by_cloudformation_alone() -> None:
    assert "BucketName" not in read({})["Bucket"].properties
    assert read(NAMES)["DeadLetterQueue"].properties["QueueName"] == "q-dead"


def test_a_key_encrypts_everything() -> None:
    key = "arn:aws:kms:eu-central-1:123456789012:key/k"
    resources = read({**NAMES, "KmsKeyArn": key})
    (rule,) = resources["Bucket"].properties["BucketEncryption"][
        "ServerSideEncryptionConfiguration"
    ]
    assert rule["ServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": key,
    }
    assert resources["Table"].properties["SSESpecification"]["KMSMasterKeyId"] == key
    for queue in ("Queue", "DeadLetterQueue"):
        assert resources[queue].properties["KmsMasterKeyId"] == key
        assert "SqsManagedSseEnabled" not in resources[queue].properties

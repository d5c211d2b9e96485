"""The lifecycle configuration: golden files, real servers, and drift in words."""

import json
from contextlib import closing
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from botocore.parsers import RestXMLParser
from botocore.serialize import RestXMLSerializer
from botocore.session import Session
from hypothesis import given
from hypothesis import strategies as st

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.objectstore.storage_classes import StorageClass, is_colder
from pacs_cloud.tiering.infeasible import infeasible
from pacs_cloud.tiering.lifecycle import MOST_RULES, base_rules, by_age, configuration
from pacs_cloud.tiering.lifecycle_drift import drift
from pacs_cloud.tiering.policy import Clock, Facts, Match, Policy, Step, policy_for
from pacs_cloud.tiering.policy_file import read_policies
from servers.endpoint import Endpoint
from servers.fixtures import Place, bucket_at

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(GOLDEN.glob("*.toml"))
SIZE = "of more bytes than 131071 is not said"


def by_name(path: Path) -> str:
    return path.stem


def wanted(file: Path) -> dict[str, Any]:
    return configuration(read_policies(file))


@pytest.mark.parametrize("file", FILES, ids=by_name)
def test_golden(file: Path) -> None:
    assert wanted(file) == json.loads(file.with_suffix(".json").read_text("utf-8"))


def test_a_server_that_forgets_sizes_moves_what_is_tagged_and_nothing_else() -> None:
    for file in FILES:
        rules = configuration(read_policies(file), knows_sizes=False)["Rules"]
        told = [rule for rule in rules if "Transitions" in rule]
        with_sizes = [rule for rule in wanted(file)["Rules"] if "Transitions" in rule]
        assert [rule["ID"] for rule in told] == [
            rule["ID"] for rule in with_sizes if not rule["ID"].startswith("tier-age")
        ]
        assert all(rule["Filter"]["And"].keys() == {"Prefix", "Tags"} for rule in told)
        assert rules[: len(base_rules())] == base_rules()


def test_without_policies_there_are_the_templates_rules() -> None:
    assert configuration(()) == {"Rules": base_rules()}


def test_the_base_rules_are_the_templates(s3_bucket: Place) -> None:
    with closing(s3_bucket.endpoint.client("s3")) as s3:
        found = s3.get_bucket_lifecycle_configuration(Bucket=s3_bucket.name)
    assert drift({"Rules": base_rules()}, found) == []


@pytest.mark.parametrize("file", FILES, ids=by_name)
def test_a_server_gives_back_what_it_was_given(moto_endpoint: Endpoint, file: Path) -> None:
    with bucket_at(moto_endpoint) as bucket, closing(moto_endpoint.client("s3")) as s3:
        s3.put_bucket_lifecycle_configuration(
            Bucket=bucket.name, LifecycleConfiguration=wanted(file)
        )
        found = s3.get_bucket_lifecycle_configuration(Bucket=bucket.name)
    moving = [rule["ID"] for rule in wanted(file)["Rules"] if "Transitions" in rule]
    # moto forgets a filter's sizes, and drift says so: nothing else may differ.
    assert set(drift(wanted(file), found)) <= {
        f'rule "{name}" is changed: {SIZE}' for name in moving
    }


@pytest.mark.parametrize("file", FILES, ids=by_name)
def test_the_wire_holds_all_of_it(file: Path) -> None:
    """What boto3 sends, read as what it would get: for what the test servers forget."""
    model = Session().get_service_model("s3")
    request = RestXMLSerializer().serialize_to_request(
        {"Bucket": "b", "LifecycleConfiguration": wanted(file)},
        model.operation_model("PutBucketLifecycleConfiguration"),
    )
    found = RestXMLParser().parse(
        {"status_code": 200, "headers": {}, "body": request["body"]},
        model.operation_model("GetBucketLifecycleConfiguration").output_shape,
    )
    assert drift(wanted(file), found) == []


def test_everything_lies_below_the_stores_prefix() -> None:
    rules = configuration(
        read_policies(GOLDEN / "by_age.toml"),
        prefix="pacs/",
        noncurrent_days=60,
        incomplete_upload_days=7,
    )["Rules"]
    chosen = [rule["Filter"].get("And", rule["Filter"])["Prefix"] for rule in rules]
    assert all(one.startswith("pacs/") for one in chosen)
    assert rules[0]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert rules[1]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 60}


@pytest.mark.parametrize("prefix", ["pacs", "a b/"])
def test_what_is_no_prefix(prefix: str) -> None:
    with pytest.raises(InvalidRequest):
        configuration((), prefix=prefix)


def test_s3_takes_a_thousand_rules_and_workers_do_the_rest() -> None:
    tenants = frozenset(f"t{number}" for number in range(1200))
    steps = (Step(StorageClass.GLACIER_IR, 90, Clock.STORED),)
    policies = [Policy("many", Match(tenants), steps)]
    rules = configuration(policies)["Rules"]
    assert len(by_age(policies)) == 1200
    assert len(rules) == MOST_RULES
    assert "tier-GLACIER_IR" in {rule["ID"] for rule in rules}


NORTH = frozenset({"north"})


def stored(*days: int, tenants: frozenset[str] = NORTH, clock: Clock = Clock.STORED) -> Policy:
    classes = (StorageClass.STANDARD_IA, StorageClass.GLACIER_IR)
    steps = tuple(
        Step(to, after_days, clock) for to, after_days in zip(classes, days, strict=False)
    )
    return Policy("stored", Match(tenants), steps)


@pytest.mark.parametrize(
    ("policies", "tenants"),
    [
        ([stored(30)], {"north"}),
        ([stored(30, 60)], {"north"}),
        # Moving on from STANDARD_IA within 30 days is refused of a rule: by tags, then.
        ([stored(30, 59)], set()),
        ([stored(30, clock=Clock.STUDY)], set()),
        ([stored(30, clock=Clock.UNREAD)], set()),
        ([stored()], set()),
        ([Policy("other", Match(frozenset({"south"}))), stored(30)], {"north"}),
        ([Policy("other", Match(NORTH, frozenset({"CT"}))), stored(30)], set()),
        ([Policy("other", Match(modalities=frozenset({"CT"}))), stored(30)], set()),
        ([Policy("other", Match(NORTH)), stored(30, tenants=frozenset({"north", "x"}))], {"x"}),
        ([stored(30), stored(40, tenants=frozenset())], {"north"}),
        ([stored(30, tenants=frozenset()), stored(40)], {""}),
        ([Policy("small", Match(NORTH, least_bytes=1), stored(30).steps)], set()),
    ],
)
def test_by_age_is_what_an_objects_age_can_tell(policies: list[Policy], tenants: set[str]) -> None:
    assert set(by_age(policies)) == tenants


COLD = Step(StorageClass.DEEP_ARCHIVE, 400, Clock.STORED)


def test_what_has_to_be_recalled_is_moved_by_its_tag_alone() -> None:
    """Before that a worker sees to what stays hot, and to what is pinned."""
    policy = stored(30, 60)
    policies = [replace(policy, steps=(*policy.steps, COLD))]
    by_id = {rule["ID"]: rule["Transitions"] for rule in configuration(policies)["Rules"][-4:]}
    assert by_id["tier-age-north"] == [
        {"Days": 30, "StorageClass": "STANDARD_IA"},
        {"Days": 60, "StorageClass": "GLACIER_IR"},
    ]
    assert by_id["tier-DEEP_ARCHIVE"] == [{"Days": 0, "StorageClass": "DEEP_ARCHIVE"}]
    assert by_age([replace(policy, steps=(COLD,))]) == {}


_POLICIES = st.lists(
    st.builds(
        Policy,
        name=st.just("p"),
        match=st.builds(
            Match,
            tenants=st.frozensets(st.sampled_from(["a", "b", "c"])),
            modalities=st.frozensets(st.sampled_from(["CT"])),
        ),
        steps=st.lists(
            st.builds(
                Step,
                to=st.sampled_from(StorageClass),
                after_days=st.integers(0, 200),
                clock=st.sampled_from([Clock.STORED, Clock.STORED, Clock.STUDY]),
            ),
            max_size=2,
        ).map(tuple),
    ).filter(lambda policy: not any(infeasible(policy))),
    max_size=4,
)


@given(policies=_POLICIES)
def test_s3_takes_what_can_be_carried_out(policies: list[Policy]) -> None:
    """The limits that moto does not know (S3 API, LifecycleRule and Transition)."""
    rules = configuration(policies)["Rules"]
    names = [rule["ID"] for rule in rules]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 255 for name in names)
    for rule in rules:
        moves = [(one["Days"], one["StorageClass"]) for one in rule.get("Transitions", ())]
        assert all(days >= 30 for days, to in moves if to == "STANDARD_IA")
        assert all(later[0] - one[0] >= 30 for one, later in pairwise(moves))
        assert all(
            is_colder(StorageClass(b), StorageClass(a)) for (_, a), (_, b) in pairwise(moves)
        )
        assert "STANDARD" not in {to for _, to in moves}


@given(
    policies=_POLICIES,
    tenant=st.sampled_from(["a", "b", "z"]),
    modality=st.sampled_from(["CT", "MR"]),
    age_days=st.integers(0, 250),
)
def test_a_rule_by_age_says_what_the_policies_say(
    policies: list[Policy], tenant: str, modality: str, age_days: int
) -> None:
    ruled = by_age(policies)
    policy = ruled.get(tenant, ruled.get(""))
    ages = dict.fromkeys(Clock, age_days)
    facts = Facts(tenant, frozenset({modality}), "", "", 1, ages)
    if policy is not None:
        assert policy_for(policies, facts) == policy


class TestDrift:
    def test_an_empty_bucket_lacks_everything(self) -> None:
        said = drift(wanted(GOLDEN / "all_by_age.toml"), {})
        assert said[0] == (
            'rule "drop-incomplete-uploads" is missing: status Enabled; of keys *; '
            "dropping incomplete uploads, after days 2"
        )
        assert said[-1] == (
            'rule "tier-age" is missing: status Enabled; of keys packs/*; '
            "of more bytes than 131071; moving to GLACIER_IR after days 30"
        )
        assert len(said) == len(wanted(GOLDEN / "all_by_age.toml")["Rules"])

    def test_what_is_changed_is_said_piece_by_piece(self) -> None:
        right = wanted(GOLDEN / "all_by_age.toml")
        found = deepcopy(right)
        by_tag, age = found["Rules"][-2:]
        by_tag["Status"] = "Disabled"
        by_tag["Filter"]["And"]["Tags"][0]["Value"] = "GLACIER"
        del age["Filter"]["And"]["ObjectSizeGreaterThan"]
        age["Transitions"] = [
            {"Days": 10, "StorageClass": "GLACIER_IR"},
            {"Days": 200, "StorageClass": "GLACIER"},
        ]
        age["Expiration"] = {"Days": 3650}
        assert drift(right, found) == [
            'rule "tier-GLACIER_IR" is changed: status Disabled, not Enabled',
            'rule "tier-GLACIER_IR" is changed: with tag pacs-tier GLACIER, not GLACIER_IR',
            f'rule "tier-age" is changed: {SIZE}',
            'rule "tier-age" is changed: moving to GLACIER_IR after days 10, not 30',
            'rule "tier-age" is changed: moving to GLACIER after days 200 should not be said',
            'rule "tier-age" is changed: removing objects, after days 3650 should not be said',
        ]

    def test_what_is_strange_is_told_with_all_it_says(self) -> None:
        found = configuration(())
        found["Rules"].append(
            {
                "ID": "clean up",
                "Status": "Enabled",
                "Filter": {"Tag": {"Key": "old", "Value": "yes"}},
                "Expiration": {"Days": 1},
                "NoncurrentVersionTransitions": [
                    {"NoncurrentDays": 9, "StorageClass": "GLACIER", "NewerNoncurrentVersions": 2}
                ],
                "SomethingNew": {"Days": 3},
            }
        )
        assert drift(configuration(()), found) == [
            (
                'rule "clean up" is none of ours: status Enabled; of keys *; with tag old yes; '
                "removing objects, after days 1; moving old versions to GLACIER after days 9; "
                'keeping old versions before GLACIER, at most 2; SomethingNew {"Days":3}'
            )
        ]

    @pytest.mark.parametrize(
        "rule",
        [
            {"Filter": [1]},
            {"Filter": {"And": {"Tags": [{}]}}},
            {"Filter": {"And": 1}},
            {"Transitions": {"Days": 1}},
            {"Transitions": [1]},
            {"Expiration": 1},
        ],
    )
    def test_what_is_no_rule_is_refused(self, rule: dict[str, Any]) -> None:
        with pytest.raises(InvalidRequest, match='rule "mine" is none that S3 has'):
            drift(configuration(()), {"Rules": [{"ID": "mine", **rule}]})

    def test_the_same_in_other_words_is_no_drift(self) -> None:
        right = wanted(GOLDEN / "by_tag.toml")
        found = deepcopy(right)
        found["Rules"].reverse()
        for rule in found["Rules"]:
            if "And" not in rule["Filter"]:
                rule["Prefix"] = rule.pop("Filter")["Prefix"]
        assert drift(right, found | {"TransitionDefaultMinimumObjectSize": "x"}) == []

"""Which rules of a bucket move what is tagged, and which only look so."""

from typing import Any

import pytest

from pacs_cloud.objectstore.storage_classes import StorageClass
from pacs_cloud.tiering.lifecycle import configuration
from pacs_cloud.tiering.lifecycle_check import unmoved
from pacs_cloud.tiering.policy import Clock, Policy, Step

IR = StorageClass.GLACIER_IR
POLICIES = (Policy("p", steps=(Step(IR, 90, Clock.STUDY),)),)
TAG = {"Key": "pacs-tier", "Value": "GLACIER_IR"}
MOVE = [{"Days": 0, "StorageClass": "GLACIER_IR"}]


def missing(*rules: dict[str, Any], prefix: str = "") -> bool:
    return unmoved({IR}, {"Rules": list(rules)}, prefix=prefix) == (IR,)


@pytest.mark.parametrize("prefix", ["", "pacs/"])
def test_what_is_printed_moves_all(prefix: str) -> None:
    assert not unmoved({IR}, configuration(POLICIES, prefix=prefix), prefix=prefix)
    assert unmoved({IR}, {}) == (IR,)
    assert unmoved({IR}, configuration(POLICIES, prefix="other/"), prefix="pacs/") == (IR,)


@pytest.mark.parametrize(
    ("rule", "moves"),
    [
        ({"Status": "Enabled", "Filter": {"Tag": TAG}, "Transitions": MOVE}, True),
        ({"Status": "Enabled", "Prefix": "", "Transitions": MOVE}, True),
        ({"Status": "Disabled", "Filter": {"Tag": TAG}, "Transitions": MOVE}, False),
        ({"Status": "Enabled", "Filter": {"Tag": TAG}}, False),
        (
            {
                "Status": "Enabled",
                "Filter": {"And": {"Tags": [TAG, {"Key": "a", "Value": "b"}]}},
                "Transitions": MOVE,
            },
            False,
        ),
        (
            {
                "Status": "Enabled",
                "Filter": {"And": {"Tags": [TAG], "ObjectSizeLessThan": 9}},
                "Transitions": MOVE,
            },
            False,
        ),
        (
            {
                "Status": "Enabled",
                "Filter": {"Tag": TAG},
                "Transitions": [{"Days": 0, "StorageClass": "GLACIER"}],
            },
            False,
        ),
    ],
)
def test_a_rule_by_whatever_name_counts_by_what_it_does(rule: dict[str, Any], moves: bool) -> None:
    assert missing(rule) is not moves

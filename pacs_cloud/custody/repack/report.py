"""What a repack did."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pacs_cloud.custody.findings import Finding


@dataclass(frozen=True, slots=True)
class Repacked:
    """What was done to one series.

    Attributes:
        tenant: whose.
        study_instance_uid: of the series.
        series_instance_uid: which.
        replaced: packs that others took the place of.
        made: these others.
        instances: in them, hidden ones too.
        left_out: instances that are not: purged ones, and copies hidden as duplicates.
        recoded: instances that were encoded anew.
        bytes_before: of the packs that were replaced.
        bytes_after: of those that were made.
        read_bytes: what was read of packs that a policy had moved, by their class: that is billed.
        waiting: packs left as they are, because their study is held, or somebody is changing
            what they hide.
        problems: packs that cannot be read.
    """

    tenant: str
    study_instance_uid: str
    series_instance_uid: str
    replaced: int = 0
    made: int = 0
    instances: int = 0
    left_out: int = 0
    recoded: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    read_bytes: Mapping[str, int] = field(default_factory=dict[str, int])
    waiting: int = 0
    problems: tuple[Finding, ...] = ()

    @property
    def saved_bytes(self) -> int:
        """How much less is stored once the replaced packs are removed."""
        return self.bytes_before - self.bytes_after

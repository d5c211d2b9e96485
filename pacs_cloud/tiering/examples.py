"""Policies to begin with, as an ops team writes them: to be tried, and changed."""

from dataclasses import dataclass
from typing import Final

_BY_AGE: Final = """\
# By the age of the study: what is a month old is rarely read, what is two years old hardly ever.
[[policies]]
name = "by age"

[[policies.steps]]
to = "STANDARD_IA"
study_age_days = 60

[[policies.steps]]
to = "GLACIER_IR"
study_age_days = 730
"""

_UNREAD: Final = """\
# By use: what nobody has read for long goes down, whatever its age.
[[policies]]
name = "unread"

[[policies.steps]]
to = "GLACIER_IR"
unread_days = 180
"""

_DEEP: Final = """\
# Mammography stays at hand for two rounds of screening; all else goes to the cold after three
# years, and must then be recalled for hours before it can be read.
[[policies]]
name = "mammography"

[policies.match]
modality = "MG"

[[policies.steps]]
to = "GLACIER_IR"
study_age_days = 1500

[[policies]]
name = "all else"

[[policies.steps]]
to = "STANDARD_IA"
study_age_days = 60

[[policies.steps]]
to = "DEEP_ARCHIVE"
study_age_days = 1095
"""


@dataclass(frozen=True, slots=True)
class Example:
    """A file of policies.

    Attributes:
        name: of it.
        text: TOML.
    """

    name: str
    text: str


EXAMPLES: Final = (
    Example("By age", _BY_AGE),
    Example("What is not read", _UNREAD),
    Example("Cold after three years", _DEEP),
)

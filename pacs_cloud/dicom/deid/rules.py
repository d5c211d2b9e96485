"""Rules of a site, as TOML: where pixels show text, and which private attributes are harmless.

version = 1

[[pixels]]                          # the first that fits an instance counts
manufacturer = "ACME*"              # patterns with * and ?, case does not matter
model = "U-900"
modality = "US"
sop_class = "1.2.840.10008.5.1.4.1.1.6.1"
image_type = "*SCREEN SAVE*"        # (0008,0008), joined by backslashes
rows = 600
columns = 800
blank = [[0, 0, 800, 60]]           # x, y, width, height; none: known to show no text
outside_regions = true              # blank all but the Regions of Ultrasound (0018,6011)

[[private]]
creator = "ACME IMAGE 01"
group = "0019"
elements = ["0C", "0D"]
"""

import tomllib
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError

from pacs_cloud.dicom.deid.tables import PrivateName
from pacs_cloud.dicom.deid.tree import DataSet
from pacs_cloud.errors import InvalidRequest

_STRICT = ConfigDict(extra="forbid", frozen=True)
_MANUFACTURER, _MODEL, _MODALITY, _CLASS = 0x00080070, 0x00081090, 0x00080060, 0x00080016
_IMAGE_TYPE, _ROWS, _COLUMNS = 0x00080008, 0x00280010, 0x00280011
_MOST_RULES = 1_000

Rectangle = tuple[NonNegativeInt, NonNegativeInt, PositiveInt, PositiveInt]
Hexadecimal = Annotated[str, Field(pattern=r"^[0-9A-Fa-f]+$")]


class PixelRule(BaseModel):
    """What is known of the pixels of some instances."""

    model_config = _STRICT
    manufacturer: str = "*"
    model: str = "*"
    modality: str = "*"
    sop_class: str = "*"
    image_type: str = "*"
    rows: PositiveInt | None = None
    columns: PositiveInt | None = None
    blank: tuple[Rectangle, ...] = ()
    outside_regions: bool = False

    def fits(self, data_set: DataSet) -> bool:
        """Return whether an instance is one of those meant."""
        return (
            _is_like(data_set.text(_MANUFACTURER), self.manufacturer)
            and _is_like(data_set.text(_MODEL), self.model)
            and _is_like(data_set.text(_MODALITY), self.modality)
            and _is_like(data_set.text(_CLASS), self.sop_class)
            and _is_like(data_set.text(_IMAGE_TYPE), self.image_type)
            and self.rows in {None, short(data_set, _ROWS)}
            and self.columns in {None, short(data_set, _COLUMNS)}
        )

    @property
    def blanks(self) -> bool:
        """Whether anything of the pixels is to go."""
        return bool(self.blank) or self.outside_regions


class _PrivateBlock(BaseModel):
    model_config = _STRICT
    creator: Annotated[str, Field(min_length=1, max_length=64)]
    group: Annotated[Hexadecimal, Field(min_length=4, max_length=4)]
    elements: tuple[Annotated[Hexadecimal, Field(min_length=2, max_length=2)], ...]


class RulesFile(BaseModel):
    """A file of rules, as it is read and as it is kept."""

    model_config = _STRICT
    version: Literal[1] = 1
    pixels: Annotated[tuple[PixelRule, ...], Field(max_length=_MOST_RULES)] = ()
    private: Annotated[tuple[_PrivateBlock, ...], Field(max_length=_MOST_RULES)] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """What a site knows of its instances.

    Attributes:
        file: the rules as they were given.
    """

    file: RulesFile = field(default_factory=RulesFile)

    @property
    def private(self) -> frozenset[PrivateName]:
        """Private attributes that are kept, where safe ones are."""
        return frozenset(
            (block.creator, int(block.group, 16), int(low, 16))
            for block in self.file.private
            for low in block.elements
        )

    def pixel_rule(self, data_set: DataSet) -> PixelRule | None:
        """Return the first rule that fits the pixels of an instance."""
        return next((rule for rule in self.file.pixels if rule.fits(data_set)), None)

    def before(self, others: "Rules") -> "Rules":
        """Return these rules, and those of `others` behind them."""
        mine, theirs = self.file, others.file
        both = RulesFile(
            pixels=(*mine.pixels, *theirs.pixels), private=(*mine.private, *theirs.private)
        )
        return Rules(both)


def parse_rules(text: str) -> Rules:
    """Return the rules in a TOML text.

    Raises:
        InvalidRequest: they are none; says what is wrong, and where.
    """
    try:
        said: dict[str, Any] = tomllib.loads(text)
        return Rules(RulesFile.model_validate(said))
    except tomllib.TOMLDecodeError as error:
        raise InvalidRequest(f"the rules are no TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidRequest(f"the rules' {where}: {first['msg']}") from error


def short(data_set: DataSet, tag: int) -> int | None:
    """Return the first value of an element of VR US; None without one."""
    found = data_set.elements.get(tag)
    if found is None or not isinstance(found.value, bytes) or len(found.value) < 2:
        return None
    return int.from_bytes(found.value[:2], "little")


def _is_like(value: str, pattern: str) -> bool:
    return fnmatchcase(value.strip().lower(), pattern.strip().lower())

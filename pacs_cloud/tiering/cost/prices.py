"""The price table: what a region asks for each thing that is counted, and from when that is."""

import tomllib
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pacs_cloud.errors import InvalidRequest, NotFound
from pacs_cloud.objectstore.storage_classes import StorageClass

GB: Final = 1 << 30
"""What S3 calls a GB."""

TB: Final = 10**12
"""What a disk's maker calls a TB."""

MONTHS_A_YEAR: Final = 12
HOURS_A_MONTH: Final = Decimal("730.5")
"""Of a mean month: 365.25 days a year."""

Price = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]
FREE: Final = Decimal(0)


class Speed(StrEnum):
    """How fast a restore is asked for."""

    EXPEDITED = "expedited"
    STANDARD = "standard"
    BULK = "bulk"


class _Block(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rung(_Block):
    """A price up to so many units in a month; None: for all the rest."""

    price: Price
    up_to: Annotated[Decimal, Field(gt=0, allow_inf_nan=False)] | None = None


Ladder = tuple[Rung, ...]
"""Rungs upwards, the last one without end."""


def flat(price: Decimal) -> Ladder:
    """Return one price for any amount."""
    return (Rung(price=price),)


def check_ladder(ladder: Ladder) -> None:
    """Raise ValueError unless rungs rise, and the last one has no end."""
    ends = [rung.up_to for rung in ladder[:-1]]
    if not ladder or ladder[-1].up_to is not None or None in ends:
        raise ValueError("the last rung, and no other, has no up_to")
    known = [end for end in ends if end is not None]
    if known != sorted(set(known)):
        raise ValueError("rungs rise")


class Recall(_Block):
    """What a restore costs at one speed, per GB and per 1,000 requests."""

    gb: Price
    requests_1000: Price


class Hardware(_Block):
    """Disks of one's own: a TB's price a year, what it draws in W, and how many copies are kept."""

    tb_year: Price
    watts_tb: Price
    copies: Annotated[Decimal, Field(gt=0, allow_inf_nan=False)] = Decimal(1)


class ClassPrices(_Block):
    """What one storage class costs; storage is priced by `gb_month` or follows from `hardware`."""

    gb_month: Ladder = ()
    hardware: Hardware | None = None
    infrequent_gb_month: Price = FREE
    archive_instant_gb_month: Price = FREE
    monitoring_1000_month: Price = FREE
    put_1000: Price = FREE
    get_1000: Price = FREE
    transition_1000: Price = FREE
    retrieval_gb: Price = FREE
    recall: Mapping[Speed, Recall] = Field(default_factory=dict[Speed, Recall])
    medium: str = "hdd"

    @model_validator(mode="after")
    def _check(self) -> "ClassPrices":
        if bool(self.gb_month) == (self.hardware is not None):
            raise ValueError("a class has either gb_month or hardware")
        if self.gb_month:
            check_ladder(self.gb_month)
        return self

    @property
    def storage(self) -> Ladder:
        """What a GB-month costs, electricity aside."""
        if self.hardware is None:
            return self.gb_month
        a_year = self.hardware.tb_year * self.hardware.copies * GB / TB
        return flat(a_year / MONTHS_A_YEAR)


class CataloguePrices(_Block):
    """A DynamoDB-style table on demand."""

    source: str = ""
    write_million: Price = FREE
    read_million: Price = FREE
    gb_month: Price = FREE


class Energy(_Block):
    """What running a TB takes: copies of it, the building's overhead, the grid's carbon."""

    source: str
    g_per_kwh: Price
    pue: Annotated[Decimal, Field(ge=1, allow_inf_nan=False)] = Decimal(1)
    copies: Annotated[Decimal, Field(gt=0, allow_inf_nan=False)] = Decimal(1)
    kwh_price: Price = FREE
    """Asked where the hardware is one's own; a cloud's price has it in it."""


class Region(_Block):
    """All prices of one place.

    Attributes:
        title: its name for people.
        currency: three letters.
        checked: when the prices were read.
        source: where.
        service_rules: the classes have S3's minimum durations, floors and overheads.
        tags_10k_month: 10,000 object tags kept for a month.
        transfer_out_gb: bytes that leave the region.
        catalogue: the table.
        energy: for the estimate of energy and CO2.
        classes: those that exist here.
    """

    title: str
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    checked: date
    source: str
    service_rules: bool = True
    tags_10k_month: Price = FREE
    transfer_out_gb: Ladder = flat(FREE)
    catalogue: CataloguePrices = CataloguePrices()
    energy: Energy
    classes: Mapping[StorageClass, ClassPrices]

    @model_validator(mode="after")
    def _check(self) -> "Region":
        check_ladder(self.transfer_out_gb)
        if StorageClass.STANDARD not in self.classes:
            raise ValueError("a region has prices for STANDARD")
        return self

    def of(self, storage_class: StorageClass) -> ClassPrices:
        """Return a class's prices; raises InvalidRequest where the region does not have it."""
        try:
            return self.classes[storage_class]
        except KeyError:
            known = ", ".join(self.classes)
            raise InvalidRequest(
                f"{self.title} has no prices for {storage_class}; it has {known}"
            ) from None


class PriceTable(_Block):
    """Regions by their names, and what a TB draws on each medium (W)."""

    media: Mapping[str, Price]
    regions: Mapping[str, Region]

    @model_validator(mode="after")
    def _check(self) -> "PriceTable":
        for name, region in self.regions.items():
            for storage_class, prices in region.classes.items():
                if prices.hardware is None and prices.medium not in self.media:
                    raise ValueError(f"{name} {storage_class}: no medium {prices.medium!r}")
        return self

    def region(self, name: str) -> Region:
        """Return a region; raises NotFound."""
        try:
            return self.regions[name]
        except KeyError:
            known = ", ".join(self.regions)
            raise NotFound(f"there are no prices for {name!r}; there are for {known}") from None


def load_prices(path: Path | None = None) -> PriceTable:
    """Return the price table of a TOML file; None: the one that comes with the package.

    Raises:
        NotFound: there is no such file.
        InvalidRequest: it is not a price table; says what is wrong, and where.
    """
    try:
        text = (path or files(__package__ or "") / "prices.toml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotFound(f"the price table {path} cannot be read: {error}") from error
    return parse_prices(text)


def parse_prices(text: str) -> PriceTable:
    """Return the price table that `text`, TOML, holds; raises InvalidRequest."""
    try:
        # A price is what was written, digit by digit, not the nearest binary fraction.
        said: dict[str, Any] = tomllib.loads(text, parse_float=Decimal)
        return PriceTable.model_validate(said)
    except tomllib.TOMLDecodeError as error:
        raise InvalidRequest(f"the price table is no TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidRequest(f"the price table's {where}: {first['msg']}") from error

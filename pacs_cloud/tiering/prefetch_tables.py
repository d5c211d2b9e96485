"""Rules of prefetching in a TOML file, as ops teams write them (docs/tiers.md)."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from pacs_cloud.objectstore.storage_classes import RecallSpeed
from pacs_cloud.settings import Tenant
from pacs_cloud.tiering.recall.prefetch_rules import PrefetchRule
from pacs_cloud.tiering.recall.priors import PriorsWanted
from pacs_cloud.tiering.rule_terms import (
    MOST_DAYS,
    Code,
    Name,
    Pattern,
    Texts,
    Untrusted,
    days_of_years,
)


class ArrivalTable(Untrusted):
    """`[prefetch.match]`: the study that comes in."""

    tenant: Texts[Tenant] = ()
    modality: Texts[Code] = ()
    body_part: Texts[Code] = ()
    description: Texts[Pattern] = ()
    institution: Texts[Pattern] = ()


class PriorsTable(Untrusted):
    """`[prefetch.priors]`: those of its patient's that are wanted."""

    newest: Annotated[int, Field(strict=True, ge=1, le=100)]
    modality: Texts[Code] = ()
    body_part: Texts[Code] = ()
    description: Texts[Pattern] = ()
    same_modality: Annotated[bool, Field(strict=True)] = False
    same_body_part: Annotated[bool, Field(strict=True)] = False
    max_age_days: Annotated[int, Field(strict=True, ge=1, le=MOST_DAYS)] | None = None
    max_age_years: Annotated[float, Field(strict=True, gt=0, le=1000)] | None = None

    @model_validator(mode="after")
    def _one_age(self) -> Self:
        if self.max_age_days is not None and self.max_age_years is not None:
            raise ValueError("takes max_age_days or max_age_years, not both")
        return self

    def wanted(self) -> PriorsWanted:
        """Return it as a value."""
        years = self.max_age_years
        return PriorsWanted(
            newest=self.newest,
            modalities=frozenset(self.modality),
            body_parts=frozenset(self.body_part),
            descriptions=self.description,
            same_modality=self.same_modality,
            same_body_part=self.same_body_part,
            max_age_days=self.max_age_days if years is None else days_of_years(years),
        )


class PrefetchTable(Untrusted):
    """`[[prefetch]]`: one rule."""

    name: Name
    speed: RecallSpeed | None = None
    match: ArrivalTable = ArrivalTable()
    priors: PriorsTable

    def rule(self) -> PrefetchRule:
        """Return it as a value."""
        return PrefetchRule(
            name=self.name,
            priors=self.priors.wanted(),
            tenants=frozenset(self.match.tenant),
            modalities=frozenset(self.match.modality),
            body_parts=frozenset(self.match.body_part),
            descriptions=self.match.description,
            institutions=self.match.institution,
            speed=self.speed,
        )

"""An archive checked and repaired, study by study."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.custody.fsck import AT_ONCE, check_studies
from pacs_cloud.custody.repair.action import Outcome, Repaired
from pacs_cloud.custody.repair.study import StudyRepair, Terms
from pacs_cloud.objectstore.port import ObjectStore


async def repair(
    objects: ObjectStore,
    catalogue: Catalogue,
    terms: Terms,
    *,
    dry: bool,
    tenant: str | None = None,
    at_once: int = AT_ONCE,
) -> AsyncGenerator[Repaired, None]:
    """Yield what is done about everything that is not as it should be.

    Nothing is forgotten silently: a record whose pack is lost stays, and says so at every
    check. May be repeated, and ended at any moment.

    Args:
        objects: the store.
        catalogue: the catalogue.
        terms: how repairs are made.
        dry: change nothing; say what would be done.
        tenant: whose; None for all.
        at_once: how many studies are checked at a time; they are repaired one by one.

    Raises:
        Unavailable: the store or the catalogue cannot be reached.
    """
    studies = check_studies(
        objects,
        catalogue,
        tenant=tenant,
        deep=terms.deep,
        settled_us=terms.settled_us,
        at_once=at_once,
    )
    async with aclosing(studies) as checked:
        async for name, findings in checked:
            if name is None:
                for one in findings:
                    yield Repaired(one, Outcome.LEFT, one.repair)
            elif findings:
                study = StudyRepair(objects, catalogue, *name, findings, terms)
                for done in await (study.plan() if dry else study.repair()):
                    yield done

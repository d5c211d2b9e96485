"""A study, a series or an instance, as a command names it."""

from pacs_cloud.bootstrap.services import Stores
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.errors import InvalidRequest, NotFound
from pacs_cloud.settings import Settings


def checked(study: str, series: str, instance: str) -> tuple[str, str, str]:
    """Return the UIDs of a study, a series and an instance, each "" for all; raises InvalidUid."""
    return (
        parse_uid(study),
        parse_uid(series) if series else "",
        parse_uid(instance) if instance else "",
    )


async def scope_of(settings: Settings, stores: Stores, names: tuple[str, str, str]) -> Scope:
    """Return what is named, an instance with its series.

    Raises:
        InvalidRequest: several series of the study hold the instance.
        NotFound: none does.
    """
    study, series, instance = names
    if instance and not series:
        found = (await stores.catalogue.find_uids(settings.tenant, [instance])).get(instance, ())
        of_study = {ref.series_instance_uid for ref in found if ref.study_instance_uid == study}
        if not of_study:
            raise NotFound("There is no such instance.")
        if len(of_study) > 1:
            raise InvalidRequest("several series hold this instance: name one with --series")
        (series,) = of_study
    return Scope(settings.tenant, study, series, instance)

"""Which of some studies somebody may do something with; of others no page tells anything."""

from collections.abc import Iterable, Mapping, Sequence

from pacs_cloud.catalogue.elements import first_text, name_groups
from pacs_cloud.catalogue.records import StudyRecord, UidRef
from pacs_cloud.catalogue.visibility import sees
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.errors import NotFound
from pacs_cloud.retrieve.comparing import header_of
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.security import access
from pacs_cloud.security.caller import Action, Caller
from pacs_cloud.web.ops.custody_services import CustodyServices

_NAME, _ID, _DATE = "00100010", "00100020", "00080020"
_MODALITY, _DESCRIPTION = "00080060", "00081030"


class SeenStudies:
    """The studies of some UIDs that somebody may do something with.

    Attributes:
        records: of those that are in the catalogue, by UID.
        sees_all: whether no study is hidden from them.
    """

    def __init__(self, records: Mapping[str, StudyRecord], *, sees_all: bool) -> None:
        """Hold the records; with `sees_all` those that have none are theirs, too."""
        self.records = records
        self.sees_all = sees_all

    def has(self, study_instance_uid: str) -> bool:
        """Return whether a study is one of them."""
        return self.sees_all or study_instance_uid in self.records

    def about(self, study_instance_uid: str) -> str:
        """Return whose study it is, and of when, for whoever sees it; "" where nobody knows."""
        record = self.records.get(study_instance_uid)
        return "" if record is None else study_words(record)


async def seen_studies(
    services: CustodyServices, caller: Caller, action: Action, studies: Iterable[str]
) -> SeenStudies:
    """Return those of some studies with which somebody may do something."""
    catalogue, named = services.catalogue, [*dict.fromkeys(studies)]
    found = {
        one.study_instance_uid: one
        for one in await catalogue.studies_by_uid(services.tenant, named)
    }
    for uid in named:
        # Of what is in the trash whole no search tells; its labels still hide it.
        if uid not in found and (state := await catalogue.study(services.tenant, uid)):
            found[uid] = state.study
    records = {
        uid: one for uid, one in found.items() if sees(caller, action, one, services.sensitive)
    }
    sees_all = not access.is_bounded(caller, action, services.sensitive)
    return SeenStudies(records, sees_all=sees_all)


async def sees_each(
    services: CustodyServices, caller: Caller, action: Action, studies: Iterable[str]
) -> bool:
    """Return whether somebody may do something with each of some studies.

    For whom no study is hidden that costs no read.
    """
    if not access.is_bounded(caller, action, services.sensitive):
        return True
    named = {*studies}
    return all(map((await seen_studies(services, caller, action, named)).has, named))


async def require_seen(
    services: CustodyServices, caller: Caller, action: Action, studies: Iterable[str]
) -> None:
    """Return where somebody may do something with each of some studies.

    Raises:
        NotFound: with one they may not, or there is none: they are not told which.
    """
    if not await sees_each(services, caller, action, studies):
        raise NotFound("there is no such study")


def reads_all(services: CustodyServices | None, caller: Caller) -> bool:
    """Return whether no study is kept from somebody: what people said of any is theirs to read."""
    sensitive = services.sensitive if services else frozenset[str]()
    return not access.is_bounded(caller, Action.READ, sensitive)


def study_words(record: StudyRecord) -> str:
    """Return a study in a line: its patient, the day, what it is."""
    ids = sorted(one.patient_id for one in record.patients if one.patient_id)
    return _words(record.attributes, ids, sorted(record.modalities))


async def deleted_words(services: CustodyServices, study_instance_uid: str) -> str:
    """Return a study that is in the trash whole in a line, as it came in; "" where it is gone."""
    for pack in await services.catalogue.packs(services.tenant, study_instance_uid):
        ref = UidRef(study_instance_uid, pack.series_instance_uid, pack.pack_id)
        table = await services.archive.tables.lookup(services.tenant, ref)
        first = Located(pack, table.index, table.index.instances[0])
        header = await header_of(services.archive, first)
        return _words(header, [first_text(header, _ID)], [first_text(header, _MODALITY)])
    return ""


def _words(attributes: Elements, ids: Sequence[str], modalities: Sequence[str]) -> str:
    names = name_groups(attributes, _NAME)
    day = first_text(attributes, _DATE)
    named = ", ".join(filter(None, ids))
    words = (
        names[0].replace("^", " ").strip() if names else "",
        f"({named})" if named else "",
        f"{day[:4]}-{day[4:6]}-{day[6:]}" if len(day) == 8 else day,
        "/".join(filter(None, modalities)),
        first_text(attributes, _DESCRIPTION),
    )
    return " ".join(filter(None, words))

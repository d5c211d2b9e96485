"""Who has done what with one patient's data: whose studies these are is as it was then, and now."""

from collections.abc import AsyncIterator
from dataclasses import replace

from pacs_cloud.audit.asking import Wanted, who_did
from pacs_cloud.security.audit_event import AuditEvent, AuditPatient, Kind, Outcome

THEIRS, ANOTHER = AuditPatient("P1"), AuditPatient("P2")
SEEN = AuditEvent(Kind.READ, "default", "user:anna", "page", 1, studies=("1.1",))
WANTED = Wanted(patient_id="P1", patient_studies=frozenset({"1.1", "1.2"}))


async def studies(wanted: Wanted, *events: AuditEvent) -> set[str]:
    async def found() -> AsyncIterator[AuditEvent]:
        for event in events:
            yield event

    done = await who_did(found(), wanted)
    return done["user:anna", Kind.READ, Outcome.SUCCESS].studies


async def test_a_study_that_is_erased_since_was_theirs() -> None:
    erased = replace(SEEN, studies=("1.3",), patients=(THEIRS,))
    assert await studies(WANTED, SEEN, erased) == {"1.1", "1.3"}


async def test_of_many_studies_only_theirs_count() -> None:
    shared = replace(SEEN, studies=("1.1", "1.2", "9.1"), patients=(THEIRS, ANOTHER))
    assert await studies(WANTED, shared) == {"1.1", "1.2"}
    # Merged since: the study is theirs, and the event names the other ID.
    merged = replace(SEEN, studies=("1.2", "9.1"), patients=(ANOTHER,))
    assert await studies(WANTED, merged) == {"1.2"}

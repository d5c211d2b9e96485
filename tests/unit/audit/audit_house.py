"""Trails of processes that come and go, with one clock."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pacs_cloud.audit.reading import events
from pacs_cloud.audit.sealing import Sealer, SealTerms
from pacs_cloud.audit.trail import Trail, TrailOptions, open_journals
from pacs_cloud.audit.verify import Finding, Verification
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.security.audit_event import AuditEvent, AuditPatient, Kind

MINUTE_US = 60_000_000
START_US = 1_790_000_000_000_000
STUDY = "1.2.826.0.1.3680043.2.1143.1"
DOE = AuditPatient("P1", "", "DOE^JANE")


class Clock:
    """Time that goes by only when it is told to."""

    def __init__(self) -> None:
        self.now = START_US

    def now_us(self) -> int:
        return self.now

    def tick(self, by_us: int = 1_000_000) -> int:
        self.now += by_us
        return self.now


class House:
    """One machine's disk with one object store."""

    def __init__(self, objects: ObjectStore, root: Path) -> None:
        self.objects = objects
        self.root = root
        self.clock = Clock()

    def event(self, kind: Kind = Kind.READ, study: str = STUDY, **more: Any) -> AuditEvent:
        made = AuditEvent(
            kind,
            "default",
            "user:anna",
            "dicomweb",
            self.clock.now,
            address="192.0.2.7",
            action="frames",
            studies=(study,) if study else (),
            patients=(DOE,),
        )
        return replace(made, **more)

    def open(self, objects: ObjectStore | None = None, **more: Any) -> Trail:
        """Begin a process; it ends by `aclose`, or dies if that never comes."""
        given = {name: more.pop(name) for name in ("patients", "sync_file") if name in more}
        options = TrailOptions(**{"seals_at_end": False, **more})
        sealer = Sealer(objects or self.objects, SealTerms(keeps=options.keeps), self.clock.now_us)
        return open_journals(self.root, sealer, options, self.clock.now_us, **given)

    @asynccontextmanager
    async def trail(self, **more: Any) -> AsyncGenerator[Trail]:
        trail = self.open(**more)
        try:
            yield trail
        finally:
            await trail.aclose()

    async def seal(self, **more: Any) -> None:
        """Seal all that is there, as a next start does."""
        async with self.trail(**more) as trail:
            await trail.tend(self.root)

    async def findings(self, tenant: str = "default", **more: Any) -> list[Finding]:
        # As another program sees it, which has no files open.
        async with LocalObjectStore(self.root.parent / "objects") as objects:
            verification = Verification(objects, self.root, tenant, **more)
            return [finding async for finding in verification.run()]

    async def events(self, tenant: str = "default", **more: Any) -> list[AuditEvent]:
        found = events(self.objects, self.root, tenant, **more)
        return [event async for event, _ in found]

    async def keys(self) -> list[str]:
        return [info.key async for info in self.objects.list("audit/")]


def die(trail: Trail) -> None:
    """Let a process die: its lock goes, and nothing else happens."""
    for journal in trail.journals:
        journal.close()
    trail.directory.release()

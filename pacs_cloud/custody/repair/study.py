"""What a check has found of one study, repaired: each step by itself, then checked again."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from pacs_cloud.catalogue.judging import ConflictPolicy, ref_of
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import UidRef
from pacs_cloud.custody.findings import Finding
from pacs_cloud.custody.ledger import decisions_of
from pacs_cloud.custody.orphans import adopt_in_study
from pacs_cloud.custody.repair.action import Action, Outcome, Repaired, action_for, key_of
from pacs_cloud.custody.repair.evidence import Evidence
from pacs_cloud.custody.repair.records import recompute_records, records_wanted
from pacs_cloud.custody.repair.sources import because
from pacs_cloud.custody.stored_pack import staged_pack, table_of
from pacs_cloud.custody.study_check import StudyCheck
from pacs_cloud.custody.walk import objects_of_study
from pacs_cloud.errors import Conflict, Corrupt, Denied, NotFound, Offline, PacsError
from pacs_cloud.objectstore.earlier import KeepsEarlier
from pacs_cloud.objectstore.port import ObjectStore

_LEFT = (Corrupt, NotFound, Offline, Denied, Conflict)
"""Why one repair is left, while others go on."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How repairs are made.

    Attributes:
        policy: for packs whose commit never happened.
        now_us: microseconds since 1970 UTC.
        deep: whether every byte is checked.
        settled_us: what is younger may be on its way, microseconds since 1970 UTC.
        grace_us: for so long nothing is taken for an orphan or a leftover.
    """

    policy: ConflictPolicy
    now_us: int
    deep: bool
    settled_us: int
    grace_us: int


@dataclass(slots=True)
class StudyRepair:
    """One study; `findings` are what a check has found of it."""

    objects: ObjectStore
    catalogue: Catalogue
    tenant: str
    study_instance_uid: str
    findings: Sequence[Finding]
    terms: Terms
    reasons: dict[Finding, str] = field(default_factory=dict[Finding, str])

    @property
    def evidence(self) -> Evidence:
        """What is known of what is wrong."""
        return Evidence(self.objects, self.catalogue)

    async def plan(self) -> list[Repaired]:
        """Return what would be done about each finding; changes nothing."""
        planned: list[Repaired] = []
        for one in self.findings:
            action = action_for(one, self.findings)
            if action is None:
                planned.append(Repaired(one, Outcome.LEFT, one.repair))
                continue
            try:
                planned.append(Repaired(one, Outcome.WOULD, await self._look(action, one)))
            except _LEFT as error:
                planned.append(Repaired(one, Outcome.LEFT, await self._why(one, error)))
        return planned

    async def repair(self) -> list[Repaired]:
        """Repair what can be; return what became of each finding, and of what came to light.

        Each step may be repeated, and whoever dies between two has lost nothing.

        Raises:
            Unavailable: a store cannot be reached, or the study keeps changing.
        """
        findings = list(self.findings)
        for action in Action:
            due = [one for one in findings if action_for(one, findings) is action]
            if due:
                await self._do_all(action, due)
                findings = await self._check()
        left = {_identity(one): one for one in findings}
        before = {_identity(one) for one in self.findings}
        repaired = [
            Repaired(one, Outcome.LEFT, self._reason(one))
            if _identity(one) in left
            else Repaired(one, Outcome.DONE, action_for(one, self.findings) or one.repair)
            for one in self.findings
        ]
        return repaired + [
            Repaired(one, Outcome.LEFT, self._reason(one))
            for identity, one in left.items()
            if identity not in before
        ]

    def _reason(self, finding: Finding) -> str:
        reasons = {_identity(one): why for one, why in self.reasons.items()}
        return reasons.get(_identity(finding), finding.repair)

    async def _check(self) -> list[Finding]:
        check = StudyCheck(
            self.objects,
            self.catalogue,
            await objects_of_study(self.objects, self.tenant, self.study_instance_uid),
            deep=self.terms.deep,
            settled_us=self.terms.settled_us,
        )
        return [one async for one in check.run()]

    async def _do_all(self, action: Action, findings: Sequence[Finding]) -> None:
        left: dict[str, PacsError | None] = {}
        for one in findings:
            place = self._place(action, one)
            if place not in left:
                left[place] = await self._try(action, one)
            if (error := left[place]) is not None:
                self.reasons[one] = await self._why(one, error)

    async def _try(self, action: Action, one: Finding) -> PacsError | None:
        """Do one repair; return why it is left, if it is."""
        try:
            await self._do(action, one)
        except _LEFT as error:
            return error
        return None

    @staticmethod
    def _place(action: Action, finding: Finding) -> str:
        """Return what one repair is about: several findings may have it in common."""
        if action in {Action.RECOMPUTE, Action.ADOPT}:
            return ""
        return finding.pack_id or finding.key

    async def _do(self, action: Action, one: Finding) -> None:
        steps: dict[Action, Callable[[Finding], Awaitable[None]]] = {
            Action.BRING_BACK: self._bring_back,
            Action.WRITE_INDEX: self._write_index,
            Action.STAGE: self._stage,
            Action.RECOMPUTE: self._recompute,
            Action.ADOPT: self._adopt,
            Action.REMOVE_INDEX: self._settle_index,
            Action.UNSTAGE: self._unstage,
        }
        await steps[action](one)

    async def _look(self, action: Action, one: Finding) -> str:
        """Return what a repair would do; raises as it would where it cannot."""
        if action is Action.BRING_BACK:
            await self.evidence.earlier(one)
        elif action in {Action.WRITE_INDEX, Action.STAGE}:
            await self.evidence.index(one)
        elif action is Action.RECOMPUTE:
            await records_wanted(self.objects, self.catalogue, self.tenant, self.study_instance_uid)
        elif action is Action.ADOPT:
            await decisions_of(self.objects, self.tenant, self.study_instance_uid)
        elif action is Action.REMOVE_INDEX:
            if await self.evidence.pack_before(one) is not None:
                return f"{Action.BRING_BACK}, and adopt the pack"
            await self.evidence.nothing_is_lost(one)
        return action

    async def _why(self, one: Finding, error: PacsError) -> str:
        """Return why a finding is left, what that means, and what to do."""
        if action_for(one, self.findings) is Action.BRING_BACK and one.pack_id:
            return f"{because(error)}; {await self.evidence.lost(one)}; {one.repair}"
        return f"{because(error)}; {one.repair}"

    async def _bring_back(self, one: Finding) -> None:
        version = await self.evidence.earlier(one)
        assert isinstance(self.objects, KeepsEarlier)  # it has given its name
        key = key_of(one).pack if one.pack_id else one.key
        await self.objects.bring_back(key, version)

    async def _write_index(self, one: Finding) -> None:
        key = key_of(one)
        blob, _ = await self.evidence.index(one)
        try:
            await self.objects.put_new(key.index, blob)
        except Conflict:
            # Its bytes are wrong, and the right ones are in our hands and in the pack.
            await self.objects.delete(key.index)
            await self.objects.put_new(key.index, blob)

    async def _stage(self, one: Finding) -> None:
        blob, table = await self.evidence.index(one)
        await self.catalogue.stage(staged_pack(table, blob))

    async def _recompute(self, one: Finding) -> None:
        del one
        await recompute_records(
            self.objects,
            self.catalogue,
            self.tenant,
            self.study_instance_uid,
            now_us=self.terms.now_us,
        )

    async def _adopt(self, one: Finding) -> None:
        del one
        found = await objects_of_study(self.objects, self.tenant, self.study_instance_uid)
        swept = await adopt_in_study(
            self.objects,
            self.catalogue,
            found.packs,
            policy=self.terms.policy,
            now_us=self.terms.now_us,
            grace_us=self.terms.grace_us,
            kept_us=self.terms.grace_us,
        )
        for problem in swept.problems:
            for finding in self.findings:
                if finding.pack_id == problem.pack_id:
                    self.reasons[finding] = f"{problem.detail}; {problem.repair}"

    async def _settle_index(self, one: Finding) -> None:
        version = await self.evidence.pack_before(one)
        if version is not None:
            await self._bring_back(one)
            await self._adopt(one)
            return
        table = await self.evidence.nothing_is_lost(one)
        key = key_of(one)
        uids = [instance.sop_instance_uid for instance in table.instances]
        await self.catalogue.unstage(key.tenant, ref_of(table), uids)
        await self.objects.delete(key.index)

    async def _unstage(self, one: Finding) -> None:
        key = key_of(one)
        ref = UidRef(key.study_instance_uid, key.series_instance_uid, key.pack_id)
        frame = await self.catalogue.table(key.tenant, ref)
        if frame is None:
            raise Corrupt("what the catalogue keeps of it does not say which UIDs are its own")
        uids = [instance.sop_instance_uid for instance in table_of(key, frame).instances]
        await self.catalogue.unstage(key.tenant, ref, uids)


def _identity(finding: Finding) -> tuple[str, ...]:
    """Return what makes two findings of two checks one."""
    return finding.kind, finding.key, finding.series_instance_uid, finding.pack_id

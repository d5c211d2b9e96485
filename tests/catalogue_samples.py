"""Packs, instances and a committing shelf, for every test of the catalogue."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from blake3 import blake3

from pacs_cloud.catalogue.amending import Standing, change_amendments
from pacs_cloud.catalogue.amendment_entries import AmendmentEntry
from pacs_cloud.catalogue.commit import commit_pack
from pacs_cloud.catalogue.decisions import Decision, decode_decisions, encode_trash
from pacs_cloud.catalogue.dynamodb import DynamodbConfig
from pacs_cloud.catalogue.hiding import Changed, change_hidden
from pacs_cloud.catalogue.judging import ConflictPolicy, InstanceOutcome, ref_of
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import HiddenReason, PackRecord, StagedPack, StudyState, UidRef
from pacs_cloud.dicom.amendment import Amendment, in_order
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.errors import NotFound
from pacs_cloud.pack.index import (
    Door,
    PackIndex,
    PackInstance,
    Source,
    encode_index,
    split_index,
)
from pacs_cloud.pack.pack_id import new_pack_id
from servers.fixtures import Place

TENANT = "default"
NOW_US = 1_750_000_000_000_000
CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
JPEG_LS = "1.2.840.10008.1.2.4.80"
STUDY = "1.2.840.99.1"
SERIES = "1.2.840.99.1.1"


def element(vr: str, *values: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def name(alphabetic: str, ideographic: str = "", phonetic: str = "") -> dict[str, Any]:
    groups = {"Alphabetic": alphabetic, "Ideographic": ideographic, "Phonetic": phonetic}
    return element("PN", {group: text for group, text in groups.items() if text})


def attributes(
    *,
    patient_name: str = "DOE^JANE",
    patient_id: str = "P1",
    issuer: str = "",
    date: str = "20240102",
    time: str = "101500",
    accession: str = "A1",
    modality: str = "CT",
    **more: dict[str, Any],
) -> Elements:
    made: Elements = {
        "00100010": name(patient_name),
        "00100020": element("LO", patient_id),
        "00080020": element("DA", date),
        "00080030": element("TM", time),
        "00080050": element("SH", accession),
        "00080060": element("CS", modality),
    }
    if issuer:
        made["00100021"] = element("LO", issuer)
    return {tag: value for tag, value in made.items() if value["Value"] not in ([""], [{}])} | more


def instance(
    uid: str,
    content: str = "",
    *,
    received_us: int = NOW_US,
    syntax: str = EXPLICIT_LE,
    sop_class: str = CT,
    own: Elements | None = None,
    length_bytes: int = 1000,
) -> PackInstance:
    return PackInstance(
        sop_instance_uid=uid,
        sop_class_uid=sop_class,
        transfer_syntax_uid=syntax,
        offset=0,
        length_bytes=length_bytes,
        dataset_offset=300,
        digest=blake3(f"{uid}{content}{syntax}".encode()).hexdigest(),
        received_us=received_us,
        source=0,
        header_offset=0,
        header_length=2,
        attributes=own or {},
    )


def pack(
    instances: Sequence[PackInstance],
    *,
    study: str = STUDY,
    series: str = SERIES,
    common: Elements | None = None,
    tenant: str = TENANT,
    pack_id: str | None = None,
    now_us: int = NOW_US,
) -> PackIndex:
    return PackIndex(
        pack_id=pack_id or new_pack_id(now_us),
        tenant=tenant,
        study_instance_uid=study,
        series_instance_uid=series,
        sources=(Source(Door.DIMSE, "PACS", "MODALITY", "127.0.0.1"),),
        common=attributes() if common is None else common,
        instances=tuple(one._replace(header_offset=3 * at) for at, one in enumerate(instances)),
    )


def staged(index: PackIndex) -> StagedPack:
    table, headers = split_index(encode_index(index, [b"{}"] * len(index.instances)))
    return StagedPack(
        tenant=index.tenant,
        study_instance_uid=index.study_instance_uid,
        series_instance_uid=index.series_instance_uid,
        pack_id=index.pack_id,
        table=table,
        headers=headers,
        sop_instance_uids=tuple(one.sop_instance_uid for one in index.instances),
    )


@dataclass
class Shelf:
    """Packs that lie in a bucket, and the ledger beside them."""

    catalogue: Catalogue
    policy: ConflictPolicy = ConflictPolicy.KEEP_FIRST
    packs: dict[str, PackIndex] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)

    async def load(self, tenant: str, ref: UidRef) -> PackIndex:
        self.loaded.append(ref.pack_id)
        index = self.packs.get(ref.pack_id)
        if index is None or index.tenant != tenant:
            raise NotFound("no such pack")
        return index

    async def record(self, decision: Decision) -> None:
        self.decisions.append(Decision.from_json(decision.to_json()))

    async def commit(
        self,
        index: PackIndex,
        *,
        now_us: int = NOW_US,
        policy: ConflictPolicy | None = None,
        decided: Mapping[str, HiddenReason] | None = None,
    ) -> Mapping[str, InstanceOutcome]:
        self.packs[index.pack_id] = index
        return await commit_pack(
            self.catalogue,
            index,
            staged(index),
            sum(one.length_bytes for one in index.instances),
            policy=policy or self.policy,
            now_us=now_us,
            load_table=self.load,
            record_decision=self.record,
            decided=decided,
        )

    async def record_all(self, decisions: Sequence[Decision]) -> None:
        self.decisions += decode_decisions(encode_trash(decisions))

    async def amend(
        self, study: str, amendments: Sequence[Amendment], *, now_us: int = NOW_US
    ) -> bool:
        """Have a study show these amendments and no others."""

        async def plan(_state: StudyState) -> Standing:
            return Standing(in_order(amendments))

        async def record(_entry: AmendmentEntry) -> None:
            raise AssertionError("nothing is told")

        return await change_amendments(
            self.catalogue,
            TENANT,
            study,
            plan,
            load_table=self.load,
            record=record,
            now_us=now_us,
        )

    async def change(
        self,
        study: str,
        become: Callable[[PackRecord, str], HiddenReason | None],
        *,
        now_us: int = NOW_US,
    ) -> Changed:
        """Hide each instance of a study for the reason that `become` says; None shows it."""

        async def plan(state: StudyState) -> Mapping[str, Mapping[str, HiddenReason]]:
            return {
                one.pack_id: {
                    instance.sop_instance_uid: reason
                    for instance in self.packs[one.pack_id].instances
                    if (reason := become(one, instance.sop_instance_uid)) is not None
                }
                for one in state.packs
            }

        changed = await change_hidden(
            self.catalogue,
            TENANT,
            study,
            plan,
            load_table=self.load,
            record=self.record_all,
            now_us=now_us,
        )
        for gone in changed.purged:
            await self.catalogue.unstage(TENANT, ref_of(gone), sorted(gone.hidden))
        return changed

    async def delete(self, study: str, *, now_us: int = NOW_US) -> Changed:
        return await self.change(
            study, lambda one, uid: one.hidden.get(uid, HiddenReason.DELETED), now_us=now_us
        )

    async def restore(self, study: str, *, now_us: int = NOW_US) -> Changed:
        return await self.change(
            study,
            lambda one, uid: (
                None if one.hidden.get(uid) is HiddenReason.DELETED else one.hidden.get(uid)
            ),
            now_us=now_us,
        )

    async def purge(self, study: str, *, now_us: int = NOW_US) -> Changed:
        return await self.change(
            study,
            lambda one, uid: (
                HiddenReason.PURGED
                if one.hidden.get(uid) is HiddenReason.DELETED
                else one.hidden.get(uid)
            ),
            now_us=now_us,
        )


def config_of(place: Place) -> DynamodbConfig:
    """How a test's table is reached."""
    return DynamodbConfig(
        table=place.name,
        region=place.endpoint.region,
        endpoint=place.endpoint.url,
        access_key_id=place.endpoint.access_key,
        secret_access_key=place.endpoint.secret_key,
    )


def uids(prefix: str, count: int, first: int = 1) -> list[str]:
    return [f"{prefix}.{number}" for number in range(first, first + count)]


def statuses(outcomes: Mapping[str, InstanceOutcome], of: Iterable[str]) -> list[str]:
    return [outcomes[uid].status for uid in of]

"""One committed pack: its object, its index object and its records against each other."""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import PackRecord, UidRef
from pacs_cloud.custody.findings import REBUILD, Finding, FindingKind, Severity, about_pack
from pacs_cloud.custody.stored_pack import StoredPack, read_stored_pack, table_of
from pacs_cloud.errors import Corrupt, Denied, NotFound, Offline
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.objectstore.port import ObjectInfo, ObjectStore
from pacs_cloud.objectstore.storage_classes import without_access_tier
from pacs_cloud.pack.index import PackIndex, decode_headers, decode_table, split_index
from pacs_cloud.pack.writer import member_name

RESTORE = "restore the object from an earlier version or a backup"
LET_READ = "see what the store lets this archive read, and check again"

_STAGED_ANYWHERE_BYTES = 256 << 10
"""A frame up to this is in every catalogue; longer ones may be left to the object store."""


@dataclass(slots=True)
class PackReport:
    """What was learnt of one pack.

    Attributes:
        key: which pack.
        findings: what is wrong.
        pack: what the object says of itself, None where it could not be read.
        table: from the object, or else from its index object or the catalogue.
    """

    key: PackKey
    findings: list[Finding] = field(default_factory=list[Finding])
    pack: StoredPack | None = None
    table: PackIndex | None = None

    def find(
        self,
        kind: FindingKind,
        detail: str,
        repair: str,
        *,
        severity: Severity = Severity.ERROR,
        object_key: str | None = None,
    ) -> None:
        """Add a finding about the pack's object, unless another object is named."""
        about = self.key.pack if object_key is None else object_key
        self.findings.append(about_pack(self.key, kind, severity, detail, repair, object_key=about))


async def check_pack(
    objects: ObjectStore,
    catalogue: Catalogue,
    key: PackKey,
    record: PackRecord,
    listed: ObjectInfo | None,
) -> PackReport:
    """Return what is wrong with the committed pack `record`.

    Args:
        objects: where its objects are.
        catalogue: where its index is staged.
        key: its key.
        record: its record.
        listed: what a listing said of its object, None where it was not listed.
    """
    report = PackReport(key)
    await _check_object(objects, record, listed, report)
    copy = await _index_object(objects, report)
    staged = await _staged(catalogue, key)
    _check_copies(report, copy, staged)
    for blob in (copy, staged):
        if report.table is None and blob is not None:
            with suppress(Corrupt):
                report.table = table_of(key, blob)
    if report.table is not None:
        _check_table(report.table, record, report)
    if report.pack is not None:
        check_extents(report.pack, report)
    return report


async def _check_object(
    objects: ObjectStore, record: PackRecord, listed: ObjectInfo | None, report: PackReport
) -> None:
    """Read the pack from its end; its size and its index speak for it."""
    key = report.key.pack
    try:
        # A listing may be older than the record: the store's own word on a key counts.
        info = listed or await objects.head(key)
        if info.length_bytes != record.length_bytes:
            report.find(
                FindingKind.SIZE,
                f"the object has {info.length_bytes} bytes, the record {record.length_bytes}",
                RESTORE,
            )
        if without_access_tier(info.storage_class) != without_access_tier(record.storage_class):
            report.find(
                FindingKind.STORAGE_CLASS,
                f"the pack lies in {info.storage_class}, and the record says"
                f" {record.storage_class}",
                "the worker notes it by itself",
                severity=Severity.NOTE,
            )
        report.pack = await read_stored_pack(objects, key)
        if _is_of(report.pack.table, report.key):
            report.table = report.pack.table
        else:
            report.find(
                FindingKind.MISPLACED,
                "the pack's index names another tenant, study, series or pack than its key",
                "find out who copied it there",
            )
    except NotFound:
        report.find(FindingKind.DANGLING, "the catalogue's pack has no object", RESTORE)
    except Denied as error:
        report.find(FindingKind.DENIED, f"the pack may not be read: {error}", LET_READ)
    except Corrupt as error:
        report.find(FindingKind.DAMAGED, str(error), RESTORE)
    except Offline:
        report.find(
            FindingKind.COLD,
            "the pack is in a cold tier: its bytes were not checked",
            "recall it to have it checked",
            severity=Severity.NOTE,
        )


def _check_copies(report: PackReport, copy: bytes | None, staged: bytes | None) -> None:
    """Compare the index object and the catalogue's copy with the pack's own index."""
    own = report.pack.index if report.pack else None
    if own is not None and copy is not None and copy != own:
        report.find(
            FindingKind.INDEX_DIFFERS,
            "the index object differs from the pack's own index",
            "replace it by the pack's own index",
            object_key=report.key.index,
        )
    elif copy is not None and not _is_readable(copy):
        report.find(
            FindingKind.INDEX_DIFFERS,
            "the index object cannot be read",
            "replace it by the catalogue's copy",
            object_key=report.key.index,
        )
        copy = None
    reference = own or copy
    if staged is not None and reference is not None and staged != reference:
        report.find(
            FindingKind.INDEX_DIFFERS,
            "the catalogue's index differs from the stored one",
            REBUILD,
            object_key="",
        )
    elif staged is None and reference is not None and _is_staged_anywhere(reference):
        report.find(
            FindingKind.UNSTAGED,
            "the catalogue has no copy of the pack's index",
            REBUILD,
            severity=Severity.WARNING,
            object_key="",
        )


def _is_readable(blob: bytes) -> bool:
    try:
        _, headers = split_index(blob)
        decode_table(blob)
        decode_headers(headers)
    except Corrupt:
        return False
    return True


def _is_staged_anywhere(blob: bytes) -> bool:
    try:
        return max(map(len, split_index(blob))) <= _STAGED_ANYWHERE_BYTES
    except Corrupt:
        return False


def _is_of(table: PackIndex, key: PackKey) -> bool:
    names = table.tenant, table.study_instance_uid, table.series_instance_uid, table.pack_id
    return PackKey(*names) == key


def _check_table(table: PackIndex, record: PackRecord, report: PackReport) -> None:
    """Compare a pack's table with its record."""
    uids = Counter(instance.sop_instance_uid for instance in table.instances)
    if max(uids.values(), default=1) > 1:
        report.find(FindingKind.OUTSIDE, "the table names an instance twice", RESTORE)
    if record.instance_count != len(table.instances):
        report.find(
            FindingKind.COUNT,
            f"the record counts {record.instance_count} instances, the table"
            f" {len(table.instances)}",
            REBUILD,
            object_key="",
        )
    if not record.hidden.keys() <= uids.keys():
        report.find(
            FindingKind.COUNT,
            "the record hides instances that the pack does not hold",
            REBUILD,
            object_key="",
        )


def check_extents(pack: StoredPack, report: PackReport) -> None:
    """Compare where the table says instances are with where the ZIP directory has them."""
    *members, index = pack.members
    by_name = {member.name: member for member in members}
    wrong = 0
    for instance in pack.table.instances:
        member = by_name.pop(member_name(instance.sop_instance_uid), None)
        end = instance.offset + instance.length_bytes
        wrong += (
            member is None
            or instance.length_bytes != member.length_bytes
            or instance.offset < member.offset
            or end > index.header_offset
            or not 0 <= instance.dataset_offset < instance.length_bytes
        )
    if wrong or by_name:
        report.find(
            FindingKind.OUTSIDE,
            f"{wrong} instances are not where the table says, and {len(by_name)} members are"
            " not in the table",
            RESTORE,
        )


async def _index_object(objects: ObjectStore, report: PackReport) -> bytes | None:
    """Return the bytes of a pack's index object; None, and why, where they cannot be had."""
    key = report.key.index
    try:
        return await objects.get(key)
    except NotFound:
        report.find(
            FindingKind.INDEX_MISSING,
            "the pack has no index object",
            "write it again from the pack's own index",
            severity=Severity.WARNING,
            object_key=key,
        )
    except Denied as error:
        detail = f"the index object may not be read: {error}"
        report.find(FindingKind.DENIED, detail, LET_READ, object_key=key)
    except (Corrupt, Offline) as error:
        report.find(
            FindingKind.INDEX_DIFFERS,
            f"the index object cannot be read: {error}",
            "replace it by the pack's own index",
            object_key=key,
        )
    return None


async def _staged(catalogue: Catalogue, key: PackKey) -> bytes | None:
    ref = UidRef(key.study_instance_uid, key.series_instance_uid, key.pack_id)
    frames = await catalogue.index(key.tenant, ref)
    return None if frames is None else frames.table + frames.headers

"""The items of the single DynamoDB table.

    pk                        sk                    what
    ST#tenant#study           A                     the study, with its index attributes
                              S#series              a series
                              P#series#pack         a committed pack
                              I#series#pack         a pack's table frame (staged)
                              H#series#pack         a pack's headers frame (staged)
    U#tenant#uid              U                     packs that hold a UID, or a block of them
    N#tenant#kind#token       place                 a study whose name has the token
    M#tenant                  month                 a month that has studies
    C#tenant                  pack#conflict         a conflict
    O#shard                   event                 an event for the outbox

A study's index attributes are `gd`/`gdk` (by date), `gp`/`gpk` (by patient) and
`ga`/`gak` (by accession number). Records lie in one binary attribute `d`, compact
and compressed where that is shorter.
"""

import zlib
from collections.abc import Mapping

from blake3 import blake3
from zstandard import ZstdCompressor, ZstdDecompressor, ZstdError

from pacs_cloud.catalogue import codec
from pacs_cloud.catalogue.dynamodb_table import Item
from pacs_cloud.catalogue.names import PREFIX_LIMIT, grams, prefixes
from pacs_cloud.catalogue.ordering import month_of
from pacs_cloud.catalogue.port import NamePart
from pacs_cloud.catalogue.records import (
    ConflictRecord,
    OutboxEvent,
    PackRecord,
    SeriesRecord,
    StudyRecord,
    UidRef,
)
from pacs_cloud.catalogue.searchkeys import SearchKeys
from pacs_cloud.errors import Corrupt, InvalidRequest

FRAME_LIMIT_BYTES = 350_000
"""A frame over this stays in the object: an item holds 400 KB, its key included."""

OUTBOX_SHARDS = 4

STUDY_SK = "A"
PARTS_FROM, PARTS_TO = "P#", "S#~"
"""Between these sort keys lie a study's packs and series, and nothing else."""

_KEY_LIMIT_BYTES = 512
_RECORD_LIMIT_BYTES = 64 << 20
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_KINDS = {NamePart.NAME: "n", NamePart.GIVEN: "g", NamePart.INFIX: "3", NamePart.SOUND: "s"}
_PATIENT_KIND = "p"


def text(value: str) -> dict[str, str]:
    """Return a string attribute."""
    return {"S": value}


def number(value: int) -> dict[str, str]:
    """Return a number attribute."""
    return {"N": str(value)}


def packed_record(data: bytes) -> dict[str, bytes]:
    """Return a record's bytes as an attribute."""
    small = ZstdCompressor(level=3, write_checksum=False).compress(data)
    return {"B": min(small, data, key=len)}


def record(item: Item) -> bytes:
    """Return the record's bytes of an item; raises Corrupt."""
    data = bytes(item["d"]["B"])
    if not data.startswith(_ZSTD_MAGIC):
        return data
    try:
        return ZstdDecompressor().decompress(data, max_output_size=_RECORD_LIMIT_BYTES)
    except ZstdError as error:
        raise Corrupt("a catalogue item cannot be read") from error


def checked_tenant(tenant: str) -> str:
    """Return `tenant`; raises InvalidRequest when it would not stay within its keys."""
    if not tenant or "#" in tenant:
        raise InvalidRequest("a tenant's name is not empty and has no '#'")
    return tenant


def key(pk: str, sk: str) -> Item:
    """Return an item's key."""
    return {"pk": text(pk), "sk": text(sk)}


def study_pk(tenant: str, study_instance_uid: str) -> str:
    """Return the partition of a study and all that belongs to it."""
    return f"ST#{checked_tenant(tenant)}#{study_instance_uid}"


def study_key(tenant: str, study_instance_uid: str) -> Item:
    """Return the key of a study's own item."""
    return key(study_pk(tenant, study_instance_uid), STUDY_SK)


def names_of_study(item: Item) -> tuple[str, str]:
    """Return the tenant and the UID in a study's key."""
    _, tenant, uid = item["pk"]["S"].split("#", 2)
    return tenant, uid


def index_attributes(
    tenant: str, study_instance_uid: str, keys: SearchKeys | None, shards: int
) -> Item:
    """Return the attributes by which the table's indexes hold a study; none when not shown."""
    if keys is None:
        return {}
    shard = zlib.crc32(study_instance_uid.encode()) % shards
    attributes: Item = {
        "gd": text(date_partition(tenant, month_of(keys.place), shard)),
        "gdk": text(keys.place),
    }
    if keys.patients:
        first = keys.patients[0]
        attributes["gp"] = text(patient_partition(tenant, first.patient_id))
        attributes["gpk"] = text(patient_place(keys.place, first.issuer))
    if keys.accession_number:
        attributes["ga"] = text(accession_partition(tenant, keys.accession_number))
        attributes["gak"] = text(keys.place)
    if keys.modalities:
        attributes["mods"] = {"SS": list(keys.modalities)}
    return attributes


INDEX_ATTRIBUTES = ("gd", "gdk", "gp", "gpk", "ga", "gak", "mods")


def date_partition(tenant: str, month: str, shard: int) -> str:
    """Return `gd`: the studies of a month, or those without a date."""
    return f"{checked_tenant(tenant)}#{month}#{shard}"


def patient_partition(tenant: str, patient_id: str) -> str:
    """Return `gp`: the studies of a patient ID."""
    return f"{checked_tenant(tenant)}#{short(patient_id)}"


def patient_place(place: str, issuer: str) -> str:
    """Return `gpk`: where the study stands, then the ID's issuer."""
    return f"{place}#{short(issuer)}"


def accession_partition(tenant: str, accession_number: str) -> str:
    """Return `ga`: the studies of an accession number."""
    return f"{checked_tenant(tenant)}#{short(accession_number)}"


def short(value: str) -> str:
    """Return `value`, or what stands for it in a key when it is too long for one.

    A key has at most 1,024 or 2,048 bytes. What is read by it is checked.
    """
    if len(value.encode()) <= _KEY_LIMIT_BYTES:
        return value
    return f"{value[:32]}…{blake3(value.encode()).hexdigest(length=16)}"


def series_sk(series_instance_uid: str) -> str:
    """Return the sort key of a series."""
    return f"S#{series_instance_uid}"


def pack_sk(series_instance_uid: str, pack_id: str) -> str:
    """Return the sort key of a pack."""
    return f"P#{series_instance_uid}#{pack_id}"


def table_key(tenant: str, ref: UidRef) -> Item:
    """Return the key of a pack's table frame."""
    pk = study_pk(tenant, ref.study_instance_uid)
    return key(pk, f"I#{ref.series_instance_uid}#{ref.pack_id}")


def headers_key(tenant: str, ref: UidRef) -> Item:
    """Return the key of a pack's headers frame."""
    pk = study_pk(tenant, ref.study_instance_uid)
    return key(pk, f"H#{ref.series_instance_uid}#{ref.pack_id}")


def series_item(series: SeriesRecord, rev: int) -> Item:
    """Return a series, written by the commit `rev`."""
    return {
        **key(
            study_pk(series.tenant, series.study_instance_uid),
            series_sk(series.series_instance_uid),
        ),
        "rev": number(rev),
        "d": packed_record(codec.encode_series(series)),
    }


def pack_item(pack: PackRecord, rev: int) -> Item:
    """Return a pack, written by the commit `rev`."""
    return {
        **key(
            study_pk(pack.tenant, pack.study_instance_uid),
            pack_sk(pack.series_instance_uid, pack.pack_id),
        ),
        "rev": number(rev),
        "d": packed_record(codec.encode_pack(pack)),
    }


def study_of(item: Item) -> StudyRecord:
    """Return the study in its item; raises Corrupt."""
    return codec.decode_study(*names_of_study(item), int(item["rev"]["N"]), record(item))


def series_of(item: Item) -> SeriesRecord:
    """Return the series in its item; raises Corrupt."""
    uid = item["sk"]["S"].removeprefix("S#")
    return codec.decode_series(*names_of_study(item), uid, record(item))


def pack_of(item: Item) -> PackRecord:
    """Return the pack in its item; raises Corrupt."""
    _, series, pack_id = item["sk"]["S"].split("#")
    return codec.decode_pack(*names_of_study(item), series, pack_id, record(item))


def uid_key(tenant: str, uid_or_block: str) -> Item:
    """Return the key of the packs that hold a UID or a block of UIDs."""
    return key(f"U#{checked_tenant(tenant)}#{uid_or_block}", "U")


def name_partition(tenant: str, part: NamePart, token: str) -> str:
    """Return where the studies lie whose name has `token` as a beginning (or inside)."""
    return f"N#{checked_tenant(tenant)}#{_KINDS[part]}#{token}"


def other_patient_partition(tenant: str, patient_id: str) -> str:
    """Return where the studies lie that name this patient beside another one."""
    return f"N#{checked_tenant(tenant)}#{_PATIENT_KIND}#{short(patient_id)}"


def tokens(tenant: str, keys: SearchKeys | None, *, infix: bool) -> Mapping[tuple[str, str], Item]:
    """Return the items beside a study's own by which searches find it, by their keys.

    Every beginning of a name has one, so that a page of matches is one read however
    many there are. The longest beginnings and the trigrams carry the name, so that
    what does not match is passed over without reading its study.
    """
    if keys is None:
        return {}
    names = keys.names
    made: dict[tuple[str, str], Item] = {}
    for part, terms in (
        (NamePart.NAME, names.groups),
        (NamePart.GIVEN, names.givens),
        (NamePart.SOUND, names.sounds),
    ):
        for token in prefixes(terms):
            longer = [term for term in terms if term.startswith(token)]
            said: Item = {"x": {"SS": longer}} if len(token) == PREFIX_LIMIT else {}
            made[name_partition(tenant, part, token), keys.place] = said
    for token in grams(names.groups) if infix else ():
        holders = [group for group in names.groups if token in group]
        made[name_partition(tenant, NamePart.INFIX, token), keys.place] = {"x": {"SS": holders}}
    for patient in keys.patients[1:]:
        place = patient_place(keys.place, patient.issuer)
        made[other_patient_partition(tenant, patient.patient_id), place] = {}
    return made


def month_item(tenant: str, month: str) -> Item:
    """Return that a month has studies."""
    return key(month_partition(tenant), month)


def month_partition(tenant: str) -> str:
    """Return where a tenant's months lie."""
    return f"M#{checked_tenant(tenant)}"


def conflict_partition(tenant: str) -> str:
    """Return where a tenant's conflicts lie."""
    return f"C#{checked_tenant(tenant)}"


def conflict_item(conflict: ConflictRecord) -> Item:
    """Return a conflict, in the order of the packs that found it."""
    return {
        **key(conflict_partition(conflict.tenant), f"{conflict.pack_id}#{conflict.conflict_id}"),
        "d": packed_record(codec.encode_conflict(conflict)),
    }


def event_key(event_id: str) -> Item:
    """Return the key of an event: spread, and within its shard by age."""
    shard = zlib.crc32(event_id.encode()) % OUTBOX_SHARDS
    return key(outbox_partition(shard), event_id)


def outbox_partition(shard: int) -> str:
    """Return one shard of the outbox."""
    return f"O#{shard}"


def event_item(event: OutboxEvent) -> Item:
    """Return an event."""
    return {
        **event_key(event.event_id),
        "t": text(event.tenant),
        "d": packed_record(codec.encode_event(event)),
    }


def belongs(item: Item, tenant: str | None) -> bool:
    """Return whether an item of any kind is of `tenant` (None: of any)."""
    if tenant is None:
        return True
    if "t" in item:
        return item["t"]["S"] == tenant
    kind, _, rest = item["pk"]["S"].partition("#")
    return kind != "O" and rest.split("#", 1)[0] == tenant

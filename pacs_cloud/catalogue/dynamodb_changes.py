"""What the DynamoDB catalogue writes.

A change is one transaction: the study's item on condition of its `rev`, its series
and packs, its events and conflicts. Beside it, since a transaction has 100 actions:

- tokens and the month are put before it, and tokens that are over are removed after
  it: searches check every hint, so that neither can show what is not there;
- conflicts that do not fit are put before it: what they say was found either way;
- drops that do not fit are named in the study's own item (`gone`), in the
  transaction: from then on readers pass over them. They are removed after it, and
  then their names; if nobody comes to that, they stay passed over.
"""

from collections.abc import Collection, Sequence
from typing import Any

from pacs_cloud.catalogue import codec, items, uidrefs
from pacs_cloud.catalogue.dynamodb_table import ACTIONS, Item, Table, concurrently
from pacs_cloud.catalogue.ordering import month_of
from pacs_cloud.catalogue.records import StagedPack, StudyChange, UidRef
from pacs_cloud.catalogue.searchkeys import SearchKeys, search_keys
from pacs_cloud.errors import Conflict

_RESERVED = 1
"""Actions of a transaction that the study's own item takes."""


async def stage(table: Table, pack: StagedPack) -> None:
    """Write a pack's index and UID items."""
    ref = UidRef(pack.study_instance_uid, pack.series_instance_uid, pack.pack_id)
    frames = (
        (items.table_key(pack.tenant, ref), pack.table),
        (items.headers_key(pack.tenant, ref), pack.headers),
    )
    await table.write_many(
        {**key, "d": {"B": frame}} for key, frame in frames if len(frame) <= items.FRAME_LIMIT_BYTES
    )

    async def refer(entry: uidrefs.UidEntry) -> None:
        said = f"{ref.study_instance_uid} {ref.series_instance_uid} {entry.suffixes}"
        await table.update(
            items.uid_key(pack.tenant, entry.key),
            "SET #p = :r ADD v :one",
            ExpressionAttributeNames={"#p": _attribute(ref.pack_id)},
            ExpressionAttributeValues={":r": items.text(said), ":one": items.number(1)},
        )

    await concurrently(refer, uidrefs.entries(ref.series_instance_uid, pack.sop_instance_uids))


async def unstage(table: Table, tenant: str, ref: UidRef, sop_instance_uids: Sequence[str]) -> None:
    """Remove a pack's index and UID items."""
    names = {"#p": _attribute(ref.pack_id)}

    async def forget(entry: uidrefs.UidEntry) -> None:
        key = items.uid_key(tenant, entry.key)
        try:
            left = await table.update(
                key,
                "REMOVE #p",
                ConditionExpression="attribute_exists(#p)",
                ExpressionAttributeNames=names,
                ReturnValues="ALL_NEW",
            )
            if left.keys() <= {"pk", "sk", "v"}:
                # A reference that came meanwhile has counted on, and then the item stays.
                await table.delete(
                    key,
                    ConditionExpression="v = :v",
                    ExpressionAttributeValues={":v": left["v"]},
                )
        except Conflict:
            return

    await concurrently(forget, uidrefs.entries(ref.series_instance_uid, sop_instance_uids))
    await table.write_many(deletes=(items.table_key(tenant, ref), items.headers_key(tenant, ref)))


def _attribute(pack_id: str) -> str:
    return f"p:{pack_id}"


def refs_of(item: Item) -> list[tuple[uidrefs.UidEntry, UidRef]]:
    """Return what a UID item refers to."""
    key = item["pk"]["S"].split("#", 2)[2]
    found: list[tuple[uidrefs.UidEntry, UidRef]] = []
    for attribute, value in item.items():
        if attribute.startswith("p:"):
            study, series, suffixes = value["S"].split(" ")
            entry = uidrefs.UidEntry(key, suffixes)
            found.append((entry, UidRef(study, series, attribute.removeprefix("p:"))))
    return found


async def commit(table: Table, change: StudyChange, *, date_shards: int, infix: bool) -> None:
    """Make `change`; raises Conflict when the study is not as it was read."""
    before, after = search_keys(change.before), search_keys(change.after)
    old = items.tokens(change.tenant, before, infix=infix)
    new = items.tokens(change.tenant, after, infix=infix)
    rev = _rev_after(change)
    puts = [
        *(items.series_item(series, rev) for series in change.put_series),
        *(items.pack_item(pack, rev) for pack in change.put_packs),
        *(items.event_item(event) for event in change.events),
    ]
    conflicts = [items.conflict_item(conflict) for conflict in change.conflicts]
    drops = [
        *(items.series_sk(uid) for uid in change.drop_series),
        *(items.pack_sk(ref.series_instance_uid, ref.pack_id) for ref in change.drop_packs),
    ]
    room = ACTIONS - _RESERVED - len(puts)
    drops, later = drops[:room], drops[room:]
    room -= len(drops)
    await table.write_many(
        [
            *({**items.key(*at), **new[at], "rev": items.number(rev)} for at in new.keys() - old),
            *_new_month(change.tenant, before, after),
            *conflicts[room:],
        ]
    )
    pk = items.study_pk(change.tenant, change.study_instance_uid)
    await table.transact(
        [
            _study_action(change, after, later, date_shards),
            *({"Put": {"Item": item}} for item in (*puts, *conflicts[:room])),
            *({"Delete": {"Key": items.key(pk, sk)}} for sk in drops),
        ]
    )
    if later:
        await _drop_later(table, pk, later, rev, removed=change.after is None)
    await _remove_tokens(table, old.keys() - new, rev)


def _rev_after(change: StudyChange) -> int:
    if change.after is not None:
        return change.after.rev
    return change.before.rev + 1 if change.before is not None else 0


def _new_month(tenant: str, before: SearchKeys | None, after: SearchKeys | None) -> list[Item]:
    month = month_of(after.place) if after else None
    if month is None or (before and month_of(before.place) == month):
        return []
    return [items.month_item(tenant, month)]


def _study_action(
    change: StudyChange,
    after: SearchKeys | None,
    later: Sequence[str],
    date_shards: int,
) -> dict[str, dict[str, Any]]:
    """Return the action on the study's own item, with the condition of the whole change."""
    key = items.study_key(change.tenant, change.study_instance_uid)
    values: Item = {}
    if change.before is None:
        # A removed study of many packs leaves an item without a record for a while.
        condition = "attribute_not_exists(d)"
    else:
        condition = "rev = :before AND attribute_exists(d)"
        values[":before"] = items.number(change.before.rev)
    if change.after is None and not later:
        delete: dict[str, Any] = {"Key": key, "ConditionExpression": condition}
        return {"Delete": {**delete, "ExpressionAttributeValues": values} if values else delete}
    puts = len(change.put_series) + len(change.put_packs)
    said: Item = {"rev": items.number(_rev_after(change)), "n": items.number(puts)}
    if change.after is not None:
        said["d"] = items.packed_record(codec.encode_study(change.after))
        said |= items.index_attributes(change.tenant, change.study_instance_uid, after, date_shards)
    values |= {f":{name}": value for name, value in said.items()}
    gone = [name for name in ("d", *items.INDEX_ATTRIBUTES) if name not in said]
    expression = "SET " + ", ".join(f"{name} = :{name}" for name in said)
    if gone:
        expression += " REMOVE " + ", ".join(gone)
    if later:
        expression += " ADD gone :gone"
        values[":gone"] = {"SS": list(later)}
    return {
        "Update": {
            "Key": key,
            "ConditionExpression": condition,
            "UpdateExpression": expression,
            "ExpressionAttributeValues": values,
        }
    }


async def _drop_later(
    table: Table, pk: str, sks: Sequence[str], rev: int, *, removed: bool
) -> None:
    """Remove what a change named as gone, then the names."""

    async def drop(sk: str) -> None:
        try:
            await table.delete(
                items.key(pk, sk),
                ConditionExpression="rev < :rev",
                ExpressionAttributeValues={":rev": items.number(rev)},
            )
        except Conflict:
            return

    await concurrently(drop, sks)
    study = items.key(pk, items.STUDY_SK)
    try:
        await table.update(
            study,
            "DELETE gone :gone",
            ConditionExpression="attribute_exists(pk)",
            ExpressionAttributeValues={":gone": {"SS": list(sks)}},
        )
        if removed:
            await table.delete(
                study, ConditionExpression="attribute_not_exists(d) AND attribute_not_exists(gone)"
            )
    except Conflict:
        return


async def _remove_tokens(table: Table, keys: Collection[tuple[str, str]], rev: int) -> None:
    """Remove tokens that are over, unless a later commit has put them again."""

    async def remove(at: tuple[str, str]) -> None:
        try:
            await table.delete(
                items.key(*at),
                ConditionExpression="rev < :rev",
                ExpressionAttributeValues={":rev": items.number(rev)},
            )
        except Conflict:
            return

    await concurrently(remove, keys)

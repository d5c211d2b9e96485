"""Study searches in SQLite: which rows, newest first, by the cheapest index."""

import sqlite3
from dataclasses import dataclass

from pacs_cloud.catalogue.names import GRAM, NameTerms
from pacs_cloud.catalogue.ordering import checked, date_span, packed
from pacs_cloud.catalogue.port import Anchor, ByAccession, ByDate, ByName, ByPatient, NamePart
from pacs_cloud.errors import InvalidRequest

PARTS = {NamePart.NAME: 0, NamePart.GIVEN: 1}
"""`study_name.part`."""

_GROUP_MARK = "\x1e"
_GIVEN_MARK = "\x1d"

_SORTED_AT_MOST = 12_000
"""Matches of a name that are sorted by date. When there are more, walking back through
the dates finds a page of them sooner: both cost some 10,000 rows at 1,000,000 studies."""

_LAST_LETTER = "\U0010ffff"


def names_text(names: NameTerms) -> str:
    """Return all terms as one text that `instr` finds the beginnings in."""
    groups = "".join(_GROUP_MARK + group for group in names.groups)
    return groups + "".join(_GIVEN_MARK + given for given in names.givens)


def infix_text(names_text: str) -> str:
    """Return the part of it that is searched inside."""
    return names_text.partition(_GIVEN_MARK)[0]


@dataclass(frozen=True, slots=True)
class Rows:
    """Studies' row numbers with their places, newest first, and how many were looked at."""

    found: list[tuple[int, bytes]]
    examined: int


def find(
    connection: sqlite3.Connection, tenant: str, anchor: Anchor, after: str | None, limit: int
) -> Rows:
    """Return up to `limit` studies behind the cursor `after` that match `anchor`.

    Raises:
        InvalidRequest: the cursor or the anchor is malformed.
    """
    before = packed(checked(after))
    match anchor:
        case ByPatient(patient_id, issuer):
            return _plain(
                connection,
                "SELECT DISTINCT study, place FROM study_patient WHERE tenant = ? AND"
                " patient_id = ? AND place < ? AND issuer = coalesce(?, issuer)",
                (tenant, patient_id, before, issuer),
                limit,
            )
        case ByAccession(accession):
            return _plain(
                connection,
                "SELECT study, place FROM study_accession WHERE tenant = ? AND"
                " accession = ? AND place < ?",
                (tenant, accession, before),
                limit,
            )
        case ByDate(first, last, modality):
            floor, ceiling = map(packed, date_span(first, last))
            span = (min(before, ceiling), floor)
            if modality:
                return _plain(
                    connection,
                    "SELECT study, place FROM study_modality WHERE tenant = ? AND"
                    " modality = ? AND place < ? AND place >= ?",
                    (tenant, modality, *span),
                    limit,
                )
            return _plain(
                connection,
                "SELECT id, place FROM study WHERE tenant = ? AND place < ? AND place >= ?",
                (tenant, *span),
                limit,
            )
        case ByName():
            return _by_name(connection, tenant, anchor, before, limit)


def _plain(
    connection: sqlite3.Connection, query: str, values: tuple[object, ...], limit: int
) -> Rows:
    found = connection.execute(f"{query} ORDER BY place DESC LIMIT ?", (*values, limit)).fetchall()
    return Rows(found, len(found))


def _by_name(
    connection: sqlite3.Connection, tenant: str, anchor: ByName, before: bytes, limit: int
) -> Rows:
    if anchor.part is NamePart.INFIX:
        if len(anchor.text) < GRAM:
            raise InvalidRequest(f"a text inside a name has at least {GRAM} letters")
        matches = (
            "SELECT s.id AS study, s.place AS place FROM study_infix AS f"
            " JOIN study AS s ON s.id = f.rowid"
            " WHERE f.text MATCH ? AND s.tenant = ? AND s.place < ?"
        )
        quoted = '"' + anchor.text.replace('"', '""') + '"'
        values: tuple[object, ...] = (quoted, tenant, before)
        inside = anchor.text
    else:
        matches = (
            "SELECT study, place FROM study_name"
            " WHERE tenant = ? AND part = ? AND text >= ? AND text < ? AND place < ?"
        )
        end = anchor.text + _LAST_LETTER
        values = (tenant, PARTS[anchor.part], anchor.text, end, before)
        mark = _GROUP_MARK if anchor.part is NamePart.NAME else _GIVEN_MARK
        inside = mark + anchor.text
    few = connection.execute(
        f"WITH few AS MATERIALIZED ({matches} LIMIT {_SORTED_AT_MOST + 1})"  # noqa: S608  constants
        " SELECT study, place, (SELECT count(*) FROM few) FROM few"
        " GROUP BY place ORDER BY place DESC LIMIT ?",
        (*values, limit),
    ).fetchall()
    if not few or few[0][2] <= _SORTED_AT_MOST:
        return Rows([(study, place) for study, place, _ in few], few[0][2] if few else 0)
    walked = connection.execute(
        "SELECT id, place FROM study INDEXED BY study_by_place"
        " WHERE tenant = ? AND place < ? AND instr(names, ?) ORDER BY place DESC LIMIT ?",
        (tenant, before, inside, limit),
    ).fetchall()
    return Rows(walked, _SORTED_AT_MOST + len(walked))

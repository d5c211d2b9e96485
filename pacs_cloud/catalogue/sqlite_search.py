"""Study searches in SQLite: which rows, newest first, by the cheapest index."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from pacs_cloud.catalogue.names import GRAM, NameTerms
from pacs_cloud.catalogue.ordering import checked, date_span, packed
from pacs_cloud.catalogue.port import Anchor, ByAccession, ByDate, ByName, ByPatient, NamePart
from pacs_cloud.errors import InvalidRequest

PARTS = {NamePart.NAME: 0, NamePart.GIVEN: 1, NamePart.SOUND: 2}
"""`study_name.part`."""

_GROUP_MARK = "\x1e"
_GIVEN_MARK = "\x1d"
_SOUND_MARK = "\x1c"
_MARKS = {NamePart.NAME: _GROUP_MARK, NamePart.GIVEN: _GIVEN_MARK, NamePart.SOUND: _SOUND_MARK}

_SORTED_AT_MOST = 1_000
"""Matches of a name in one year that are sorted by date. When there are more, walking back
through that year's studies finds a page of them sooner."""

_YEAR_BYTES = 2

_LAST_LETTER = "\U0010ffff"


def names_text(names: NameTerms) -> str:
    """Return all terms as one text that `instr` finds the beginnings in."""
    groups = "".join(_GROUP_MARK + group for group in names.groups)
    givens = "".join(_GIVEN_MARK + given for given in names.givens)
    return groups + givens + sounds_text(names.sounds)


def sounds_text(sounds: Iterable[str]) -> str:
    """Return the end of it, which files of version 1 lack."""
    return "".join(_SOUND_MARK + sound for sound in sounds)


def infix_text(names_text: str) -> str:
    """Return the part of it that is searched inside."""
    return names_text.partition(_SOUND_MARK)[0].partition(_GIVEN_MARK)[0]


def groups_in(names_text: str) -> list[str]:
    """Return the component groups in it."""
    return infix_text(names_text).split(_GROUP_MARK)[1:]


def year_of(place: bytes) -> bytes:
    """Return what the packed places of a year begin with.

    Names are kept by year, so that the newest matches of a frequent name are few.
    """
    return place[:_YEAR_BYTES]


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
        return _inside_name(connection, tenant, anchor.text, before, limit)
    part, end = PARTS[anchor.part], anchor.text + _LAST_LETTER
    mark = _MARKS[anchor.part]
    found: list[tuple[int, bytes]] = []
    examined = 0
    year = year_of(before) + b"\xff"
    while len(found) < limit:
        (year,) = connection.execute(
            "SELECT max(year) FROM study_name WHERE tenant = ? AND part = ? AND year < ?",
            (tenant, part, year),
        ).fetchone()
        if year is None:
            break
        some, looked_at = _few(
            connection,
            "SELECT study, place FROM study_name WHERE tenant = ? AND part = ? AND year = ?"
            " AND text >= ? AND text < ? AND place < ?",
            (tenant, part, year, anchor.text, end, before),
            limit - len(found),
        )
        examined += looked_at
        if some is None:
            some = _walked(
                connection, (tenant, before, year), mark + anchor.text, limit - len(found)
            )
        found.extend(some)
    return Rows(found, examined)


def _inside_name(
    connection: sqlite3.Connection, tenant: str, text: str, before: bytes, limit: int
) -> Rows:
    if len(text) < GRAM:
        raise InvalidRequest(f"a text inside a name has at least {GRAM} letters")
    found, examined = _few(
        connection,
        "SELECT s.id AS study, s.place AS place FROM study_infix AS f"
        " JOIN study AS s ON s.id = f.rowid WHERE f.text MATCH ? AND s.tenant = ? AND s.place < ?",
        ('"' + text.replace('"', '""') + '"', tenant, before),
        limit,
    )
    if found is None:
        found = _walked(connection, (tenant, before, b""), text, limit)
    return Rows(found, examined)


def _few(
    connection: sqlite3.Connection, matches: str, values: tuple[object, ...], limit: int
) -> tuple[list[tuple[int, bytes]] | None, int]:
    """Return the newest of some matches, None when they are too many; and how many they are."""
    rows = connection.execute(
        f"WITH few AS MATERIALIZED ({matches} LIMIT {_SORTED_AT_MOST + 1})"  # nosec B608 # noqa: S608  constants
        " SELECT study, place, (SELECT count(*) FROM few) FROM few"
        " GROUP BY place ORDER BY place DESC LIMIT ?",
        (*values, limit),
    ).fetchall()
    count: int = rows[0][2] if rows else 0
    if count > _SORTED_AT_MOST:
        return None, count
    return [(study, place) for study, place, _ in rows], count


def _walked(
    connection: sqlite3.Connection, span: tuple[str, bytes, bytes], inside: str, limit: int
) -> list[tuple[int, bytes]]:
    """Return the newest studies of a span whose names have `inside`, by walking back."""
    tenant, before, year = span
    end = min(before, year + b"\xff") if year else before
    return connection.execute(
        "SELECT id, place FROM study INDEXED BY study_by_place WHERE tenant = ?"
        " AND place < ? AND place >= ? AND instr(names, ?) ORDER BY place DESC LIMIT ?",
        (tenant, end, year, inside, limit),
    ).fetchall()

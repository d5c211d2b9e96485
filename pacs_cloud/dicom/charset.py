"""Specific Character Set: bytes to text and back (PS3.3 C.12.1.1.2, PS3.5 6.1).

pydicom's tables and its ISO 2022 decoder do the work; here is decided which
terms count, and what happens with the others. Nothing raises for bad text: a
byte that means nothing in its character set becomes U+FFFD.
"""

import codecs
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from pydicom import charset as tables
from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

from pacs_cloud.dicom.quiet import quiet_pydicom

DEFAULT_ENCODING: Final = "iso8859"
"""What (0008,0005) absent or empty means. PS3.5 says ASCII; Latin-1 loses no byte."""

UTF_8: Final = "ISO_IR 192"

TEXT_VRS: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""VRs whose text is in the Specific Character Set (PS3.5 6.1.2.2)."""
_ONE_BYTE_CANDIDATES: Final = (
    "ISO_IR 100",
    "ISO_IR 101",
    "ISO_IR 109",
    "ISO_IR 110",
    "ISO_IR 144",
    "ISO_IR 127",
    "ISO_IR 126",
    "ISO_IR 138",
    "ISO_IR 148",
    "ISO_IR 166",
    "ISO_IR 13",
)

_GB2312_ESCAPE: Final = "\x1b$)A"
"""ISO 2022 IR 58, which pydicom decodes right and leaves standing in the text."""
_ESCAPES: Final = tables.ENCODINGS_TO_CODES
_LATIN_1_ONLY: Final = re.compile("[\x80-\xff]")

# A term that is no DICOM term but names a Python codec is what some writers mean
# ("UTF-8", "cp1251"). Only plain text codecs: others are slow (idna), no text
# (zlib) or not a superset of ASCII (utf-16).
_PYTHON_TEXT_CODECS: Final = frozenset(
    codecs.lookup(name).name
    for name in (
        *("ascii", "utf-8", "utf-8-sig", "latin-1", "koi8-r", "koi8-u", "tis-620"),
        *(f"iso8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16)),
        *(f"cp{page}" for page in (*range(1250, 1259), 437, 850, 852, 866, 874, 932, 949, 950)),
        *("shift_jis", "euc_jp", "euc_kr", "gb2312", "gbk", "gb18030", "big5"),
        *("iso2022_jp", "iso2022_jp_2"),
    )
)


def _is_text(encoding: str) -> bool:
    try:
        return codecs.lookup(encoding).name in _PYTHON_TEXT_CODECS
    except LookupError:  # pydicom's own names, such as iso_ir_58, are aliases Python knows
        return False


@lru_cache(maxsize=256)
def _encodings(terms: tuple[str, ...]) -> tuple[str, ...]:
    with quiet_pydicom():
        names = tables.convert_encodings(list(terms))
    return tuple(name if _is_text(name) else DEFAULT_ENCODING for name in names)


def encodings_of(terms: Sequence[str]) -> tuple[str, ...]:
    """Return the Python encodings of the Specific Character Set `terms`, never empty.

    Args:
        terms: the values of (0008,0005), as in the data set; none, or an empty
            first one, means the default repertoire. A misspelt term ("ISO-IR
            100") is read as pydicom reads it, an unknown one as the default.
    """
    # A NUL within a term makes Python's codec search raise what nobody expects.
    return _encodings(tuple(term.replace("\0", "").strip() for term in terms) or ("",))


@lru_cache(maxsize=256)
def encodings_of_value(raw: bytes) -> tuple[str, ...]:
    """Return the Python encodings of the value `raw` of (0008,0005), never empty."""
    return encodings_of(terms_of(raw))


def terms_of(raw: bytes) -> tuple[str, ...]:
    """Return the terms in the value `raw` of (0008,0005)."""
    return tuple(part.strip(" \0") for part in raw.decode("latin-1").split("\\"))


def decode(raw: bytes, charsets: Sequence[str], vr: str) -> str:
    r"""Return the text of `raw`, without its trailing padding.

    Args:
        raw: a value as stored, all its values if it has several (`A\B`).
        charsets: the values of Specific Character Set in force.
        vr: a text VR; those that (0008,0005) does not touch (CS, UI, DA …) are
            read in the default repertoire.
    """
    if vr not in TEXT_VRS:
        return raw.decode(DEFAULT_ENCODING).rstrip("\0 ")
    encodings = encodings_of(charsets)
    delimiters = PN_DELIMS | TEXT_VR_DELIMS if vr == "PN" else TEXT_VR_DELIMS
    with quiet_pydicom():
        text = tables.decode_bytes(raw, encodings, delimiters)
    if "iso_ir_58" in encodings:
        text = text.replace(_GB2312_ESCAPE, "")
    return text.rstrip("\0 ")


def encode_text(text: str, charsets: Sequence[str], vr: str) -> bytes:
    r"""Return `text` encoded in `charsets`, unpadded; what they cannot hold becomes `?`.

    Args:
        text: one value, or several joined with a backslash.
        charsets: the values of Specific Character Set that the receiver is told.
        vr: the value's VR; each component group of a PN is encoded by itself, so
            that ISO 2022 escapes are reset at its delimiters (PS3.5 6.1.2.5.3).
    """
    if vr not in TEXT_VRS:
        return text.encode("ascii", "replace")
    encodings = encodings_of(charsets)
    pieces = _pieces(text, "\\^=" if vr == "PN" else "\\\r\n\f\t")
    return b"".join(
        piece.encode("ascii") if piece.isascii() else _encode_piece(piece, encodings)
        for piece in pieces
    )


def charset_for(texts: Sequence[str], accepted: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return a Specific Character Set that holds all of `texts` without loss.

    Args:
        texts: everything that one data set will carry.
        accepted: what the receiver understands, best first, each one single-valued
            set (`ISO_IR 100`) or a code extension joined with backslashes; None
            if it understands everything, and then UTF-8 is the answer for
            whatever is not ASCII.

    Returns:
        The values for (0008,0005): `()` for pure ASCII; where nothing accepted
        holds the texts, the last accepted (what it lacks becomes `?`).
    """
    joined = "".join(texts)
    if joined.isascii():
        return ()
    if accepted is None:
        return (UTF_8,)
    chosen: tuple[str, ...] = ()
    for candidate in accepted:
        chosen = tuple(candidate.split("\\"))
        if all(holds(chosen, text) for text in texts):
            return chosen
    return chosen


def holds(terms: Sequence[str], text: str, vr: str = "UT") -> bool:
    """Tell whether `text`, a value of `vr`, is the same once encoded in `terms` and decoded."""
    return decode(encode_text(text, terms, vr), terms, vr) == text.rstrip("\0 ")


def narrowest_charset(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the smallest single-byte character set that holds `texts`, else UTF-8.

    For old receivers that know their country's ISO 8859 part and not UTF-8.
    """
    return charset_for(texts, (*_ONE_BYTE_CANDIDATES, UTF_8))


def _pieces(text: str, delimiters: str) -> list[str]:
    pieces = [""]
    for character in text:
        if character in delimiters:
            pieces += [character, ""]
        else:
            pieces[-1] += character
    return pieces


def _encode_piece(piece: str, encodings: tuple[str, ...]) -> bytes:
    """Return one piece without delimiters in the first encoding that holds it, escape included."""
    for number, encoding in enumerate(encodings):
        if encoding == DEFAULT_ENCODING:
            continue  # ASCII in truth, whatever Latin-1 could hold
        escape = _ESCAPES.get(encoding, b"") if number else b""
        if (number and not escape) or encoding in tables.custom_encoders:
            continue  # pydicom mixes these with ASCII and shifts back
        try:
            return escape + piece.encode(encoding)
        except UnicodeError:
            continue
    if encodings[0] == DEFAULT_ENCODING:
        piece = _LATIN_1_ONLY.sub("?", piece)
    with quiet_pydicom():
        return tables.encode_string(piece, encodings)

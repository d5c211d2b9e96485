"""Free text without what may identify somebody, whoever it is (PS3.15 E.3.4, E.3.5)."""

import re
from typing import Final

from pacs_cloud.dicom.deid.needles import Matcher

_MONTHS: Final = r"(?:jan|feb|m[aä]r|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz])[a-zäû]*\.?"
_DATES: Final = re.compile(
    r"(?<!\d)\d{1,4}[-./]\d{1,2}[-./]\d{2,4}(?!\d)"
    r"|(?<!\d)(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?!\d)"
    rf"|(?<!\w)\d{{1,2}}\.?[ -]?{_MONTHS}[ ,-]*\d{{2,4}}(?!\d)"
    rf"|(?<!\w){_MONTHS} ?\d{{1,2}},? ?\d{{4}}(?!\d)",
    re.IGNORECASE,
)
_REST: Final = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64}@[\w.-]{1,190}"
    r"|(?i:https?|ftp|dicom)://\S+|(?i:www)\.\S+"
    r"|(?<![\d.])\+?\d(?:[ ()/-]?\d){6,}(?![\d.])"
    r"|(?<!\w)(?i:dr|mr|mrs|ms|prof|miss|herr|frau|mme|dott|sr|sra)\b\.?"
    r"(?: ?[A-ZÀ-Þ][\w'’-]+){1,3}"
)
"""Addresses, numbers that call or count people, titles with the names behind them."""


def scrubbed(text: str, matcher: Matcher, *, keeps_dates: bool) -> str:
    """Return a text without the patient's strings, numbers that call or count people, and names.

    Args:
        text: one value or several.
        matcher: of what identifies this patient.
        keeps_dates: whether dates may stay.
    """
    text = matcher.without(text)
    if not keeps_dates:
        text = _DATES.sub("", text)

    def rest(match: re.Match[str]) -> str:
        return match[0] if keeps_dates and _DATES.fullmatch(match[0]) else ""

    return re.sub(r" {2,}", " ", _REST.sub(rest, text)).strip()

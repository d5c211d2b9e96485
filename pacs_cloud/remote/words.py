"""What a server says, made fit for a terminal and a log."""

from typing import Final

LONGEST: Final = 300
_KEPT: Final = frozenset("\t\n\r")


def one_line(text: str, longest: int = LONGEST) -> str:
    """Return `text` on one line, without what moves a cursor or turns text round, cut off."""
    # Cut first: a long text is not gone through for what is not shown.
    shown = " ".join(text[: 4 * longest].split())
    shown = "".join(character for character in shown if character.isprintable())
    return shown if len(shown) <= longest else f"{shown[:longest]}…"


def without_controls(text: str) -> str:
    """Return a value of an attribute without control characters, but for those of a text's lines.

    An escape sequence (also a C1 one) would reach the terminal that it is printed on.
    """
    if text.isprintable():
        return text
    return "".join(one for one in text if one in _KEPT or not _is_control(one))


def _is_control(character: str) -> bool:
    return character < " " or "\x7f" <= character <= "\x9f"

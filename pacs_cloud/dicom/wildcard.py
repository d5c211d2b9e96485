"""Wild cards of matching keys (PS3.4 C.2.2.2.4)."""


def is_pattern(text: str) -> bool:
    """Tell whether `text` has a wild card."""
    return "*" in text or "?" in text


def glob_matches(pattern: str, text: str) -> bool:
    """Tell whether `text` fits `pattern`, in time of their product at worst.

    Args:
        pattern: `*` stands for any run of characters, also none, `?` for one.
        text: the value.
    """
    at = place = 0
    star, retry = -1, 0
    while at < len(text):
        if place < len(pattern) and pattern[place] == "*":
            star, retry = place, at
            place += 1
        elif place < len(pattern) and pattern[place] in {"?", text[at]}:
            place, at = place + 1, at + 1
        elif star >= 0:
            retry += 1
            place, at = star + 1, retry
        else:
            return False
    return all(character == "*" for character in pattern[place:])

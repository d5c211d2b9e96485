"""How long to wait before trying again."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """A wait that doubles with every failure, up to a ceiling.

    Attributes:
        first_s: seconds before the second try.
        ceiling_s: the longest wait; at most 900, the longest delay of SQS.
    """

    first_s: float = 1.0
    ceiling_s: float = 300.0

    def __post_init__(self) -> None:
        if not 0 <= self.first_s <= self.ceiling_s <= 900:
            raise ValueError(
                f"a back-off from {self.first_s} to {self.ceiling_s} s is not within 0 to 900 s"
            )

    def after(self, attempt: int) -> float:
        """Return how many seconds to wait after the `attempt`-th try failed, counted from 1."""
        # Past 2**40 the ceiling decides anyway, and a float would overflow near 2**1024.
        return min(self.ceiling_s, self.first_s * 2.0 ** min(attempt - 1, 40))

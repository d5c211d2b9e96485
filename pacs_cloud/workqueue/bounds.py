"""The numbers that every queue takes: SQS's own, kept by all."""

from pacs_cloud.errors import InvalidRequest

LIMIT_MAX = 10
WAIT_MAX_S = 20
DELAY_MAX_S = 900
HOLD_MAX_S = 43_200


def check_lease(limit: int, wait_s: float, hold_s: float) -> None:
    """Raise InvalidRequest unless a lease may ask for this."""
    if not 1 <= limit <= LIMIT_MAX:
        raise InvalidRequest(f"1 to {LIMIT_MAX} jobs at a time, not {limit}")
    if not 0 <= wait_s <= WAIT_MAX_S:
        raise InvalidRequest(f"0 to {WAIT_MAX_S} seconds to wait, not {wait_s}")
    check_hold(hold_s)


def check_hold(hold_s: float) -> None:
    """Raise InvalidRequest unless a job may be held for so long."""
    if not 0 < hold_s <= HOLD_MAX_S:
        raise InvalidRequest(f"up to {HOLD_MAX_S} seconds to hold a job, not {hold_s}")


def check_delay(delay_s: float) -> None:
    """Raise InvalidRequest unless a job may be put off for so long."""
    if not 0 <= delay_s <= DELAY_MAX_S:
        raise InvalidRequest(f"0 to {DELAY_MAX_S} seconds of delay, not {delay_s}")

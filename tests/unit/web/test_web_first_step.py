"""What lies between the two steps of a sign-in."""

import pytest

from pacs_cloud.errors import Denied
from pacs_cloud.web.first_step import FirstSteps

NOW = 1_790_000_000_000_000
S = 1_000_000
OLD, NEW = b"o" * 32, b"n" * 32


def test_it_holds_name_and_password_and_shows_neither() -> None:
    steps = FirstSteps([NEW])
    sealed = steps.seal("anna", "horse staple lämp", NOW)
    assert "anna" not in sealed
    assert steps.opened(sealed, NOW + 299 * S) == ("anna", "horse staple lämp")


def test_it_is_over_after_five_minutes() -> None:
    sealed = FirstSteps([NEW]).seal("anna", "x", NOW)
    with pytest.raises(Denied):
        FirstSteps([NEW]).opened(sealed, NOW + 301 * S)


def test_a_secret_is_exchanged_without_losing_anybody() -> None:
    sealed = FirstSteps([OLD]).seal("anna", "x", NOW)
    assert FirstSteps([NEW, OLD]).opened(sealed, NOW) == ("anna", "x")
    with pytest.raises(Denied):
        FirstSteps([NEW]).opened(sealed, NOW)


@pytest.mark.parametrize("at", [0, 20, 60, -4])
def test_a_changed_one_is_none(at: int) -> None:
    sealed = bytearray(FirstSteps([NEW]).seal("anna", "x", NOW).encode())
    sealed[at] = ord("A") if sealed[at] != ord("A") else ord("B")
    with pytest.raises(Denied):
        FirstSteps([NEW]).opened(sealed.decode(), NOW)

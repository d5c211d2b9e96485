"""Figures in reports: what is small is not shown as nothing."""

from decimal import Decimal

import pytest

from pacs_cloud.tiering.cost.figures import money, quantity, size


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "0.00"),
        ("0.0000003", "<0.01"),
        ("0.0049", "<0.01"),
        ("0.005", "<0.01"),
        ("0.006", "0.01"),
        ("1234567.891", "1,234,567.89"),
    ],
)
def test_less_than_a_cent_is_not_nothing(amount: str, shown: str) -> None:
    assert money(Decimal(amount)) == shown


def test_a_quantity_has_three_places() -> None:
    assert quantity(Decimal("0.0001")) == "<0.001"
    assert quantity(Decimal("12.3456")) == "12.346"


@pytest.mark.parametrize(
    ("length_bytes", "shown"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (61_870_000, "61.9 MB"),
        (5 * 10**15, "5.0 PB"),
        (5 * 10**18, "5,000.0 PB"),
    ],
)
def test_a_size_has_the_largest_unit_that_it_reaches(length_bytes: int, shown: str) -> None:
    assert size(length_bytes) == shown

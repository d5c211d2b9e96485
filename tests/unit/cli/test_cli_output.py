"""What is printed is what is there."""

import pytest

from pacs_cloud.cli import output

ROWS = [{"PatientName": "A[/]B", "StudyDescription": "CT [contrast] :heart: x"}]


@pytest.mark.parametrize("console", [output.stdout, output.stderr])
def test_brackets_and_colons_are_printed_as_they_are(console, capsys) -> None:
    with console.capture() as captured:
        console.print(ROWS[0]["StudyDescription"])
    assert captured.get() == "CT [contrast] :heart: x\n"


def test_a_cell_is_data() -> None:
    with output.stdout.capture() as captured:
        output.print_rows(ROWS, tuple(ROWS[0]), as_json=False, empty="none")
    heading, row = captured.get().splitlines()
    assert heading.split() == ["PatientName", "StudyDescription"]
    assert row.split() == ["A[/]B", "CT", "[contrast]", ":heart:", "x"]


@pytest.mark.parametrize(
    ("count", "words", "said"),
    [
        (0, ("pack",), "0 packs"),
        (1, ("pack",), "1 pack"),
        (2, ("study",), "2 studies"),
        (1, ("pack is", "packs are"), "1 pack is"),
        (3, ("pack is", "packs are"), "3 packs are"),
    ],
)
def test_one_is_one(count: int, words: tuple[str, ...], said: str) -> None:
    assert output.counted(count, *words) == said

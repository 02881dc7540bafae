import pytest

from deepfake_client.plain_text import csv_cell, escaped, shown


def test_a_message_keeps_its_lines_and_does_nothing_to_a_terminal() -> None:
    assert shown("a\nb\\n \x1b[2J\x9b\u202e\udcff \u00e4") == "a\nb\\n \\x1b[2J\\x9b\\u202e\\udcff \u00e4"
    assert escaped("a\nb\\n") == "a\\nb\\\\n"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(1)", "'=1"])
def test_a_formula_becomes_a_text(text: str) -> None:
    assert csv_cell(text) == "'" + text


@pytest.mark.parametrize("text", ["", "-", "a=1", "photo.jpg", "./=1", "0.5"])
def test_other_cells_stay(text: str) -> None:
    assert csv_cell(text) == text

import pytest

from deepfake_client.plain_text import csv_cell, escaped, percent, share, shown, threshold


def test_a_message_keeps_its_lines_and_does_nothing_to_a_terminal() -> None:
    assert shown("a\nb\\n \x1b[2J\x9b\u202e\udcff \u00e4") == "a\nb\\n \\x1b[2J\\x9b\\u202e\\udcff \u00e4"
    assert escaped("a\nb\\n") == "a\\nb\\\\n"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(1)", "'=1"])
def test_a_formula_becomes_a_text(text: str) -> None:
    assert csv_cell(text) == "'" + text


@pytest.mark.parametrize("text", ["", "-", "a=1", "photo.jpg", "./=1", "0.5"])
def test_other_cells_stay(text: str) -> None:
    assert csv_cell(text) == text


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.509, "50.9 %"),
        (0.1225, "12.3 %"),
        (0.9991, "> 99.9 %"),
        (0.0, "< 0.1 %"),
        (0.999, "99.9 %"),
        (1.0, "> 99.9 %"),
    ],
)
def test_a_probability_is_never_certain(p: float, text: str) -> None:
    assert percent(p) == text


def test_a_measured_share_may_be_nothing_or_all() -> None:
    assert [share(value) for value in (0.0, 1.0)] == ["0.0 %", "100.0 %"]
    assert [threshold(value) for value in (0.0, 0.65, 0.829, 1.0)] == [
        "0 %",
        "65 %",
        "82.9 %",
        "100 %",
    ]

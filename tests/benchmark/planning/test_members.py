"""What each model of a release costs."""

from benchmark.planning.members import measure, table
from export.release import Release


def test_each_model_has_its_row(tiny_release: Release) -> None:
    measured = measure(tiny_release, 2)
    assert [len(values) for values in measured.values()] == [2]
    assert all(value > 0 for values in measured.values() for value in values)


def test_shares_are_those_of_the_medians() -> None:
    assert table({"a": [1.0, 3.0, 9.0], "b": [1.0]}).splitlines()[2:] == [
        "| a | 3.00 (1.00-9.00) | 75% |",
        "| b | 1.00 (1.00-1.00) | 25% |",
    ]

"""Fitted exponents and spreads, on numbers whose answer is known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.fit import Point, fitted_exponent
from benchmark.spread import Spread, percentile, ratios


@given(exponent=st.floats(-3, 3), factor=st.floats(1e-3, 1e3))
def test_an_exact_power_law_gives_its_exponent(exponent: float, factor: float) -> None:
    points = [Point(size, factor * size**exponent) for size in (1, 2, 4, 8, 15, 30)]
    assert fitted_exponent(points) == pytest.approx(exponent, abs=1e-6)


def test_a_constant_part_makes_growth_sublinear_and_a_product_superlinear() -> None:
    assert 0 < fitted_exponent([Point(size, 100 + size) for size in (1, 10, 100)]) < 1
    assert fitted_exponent([Point(size, size * (1 + size)) for size in (1, 10, 100)]) > 1


@pytest.mark.parametrize("points", [[], [Point(1, 1)], [Point(2, 1), Point(2, 3)], [Point(0, 1), Point(1, 1)]])
def test_too_little_to_fit_is_refused(points: list[Point]) -> None:
    with pytest.raises(ValueError, match="two different positive sizes"):
        fitted_exponent(points)


def test_ratios_are_taken_within_rounds() -> None:
    # A machine half as fast in the second round changes no ratio.
    assert ratios([10, 5, 12], [5, 2.5, 4]) == Spread(2.0, 2.0, 3.0, 3)
    with pytest.raises(ValueError, match="shorter"):
        ratios([1, 2], [1])


def test_a_spread_says_its_range_unless_there_was_one_round() -> None:
    assert Spread.of([3, 1, 2]).text(1) == "2.0 (1.0-3.0)"
    assert Spread.of([2]).text(1) == "2.0"
    with pytest.raises(ValueError, match="no round"):
        Spread.of([])


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert [percentile(values, percent) for percent in (0, 50, 99, 100)] == [1, 50, 99, 100]
    assert percentile([7.0], 99) == 7

"""Goals are judged by the medians, and what was not measured is said to be so."""

from benchmark.goals import Goal, judge
from tests.benchmark.figures import FIGURES


def goal(start: str, figures: dict[str, object]) -> Goal:
    (found,) = [goal for goal in judge(figures) if goal.what.startswith(start)]
    return found


def test_ratios_are_medians_of_the_rounds_own_ratios() -> None:
    fp32 = goal("fp32: images/s over the seed's", FIGURES)
    assert fp32.measured is not None
    assert (fp32.measured.median, fp32.measured.low, fp32.measured.high, fp32.met) == (1.4, 1.0, 1.4, True)
    bf16 = goal("bf16: images/s over the seed's", FIGURES)
    assert bf16.measured is not None
    assert (bf16.measured.median, bf16.met, bf16.limit) == (2.5, False, ">= 2.7 (aim 3)")
    assert goal("int8: images/s over the seed's", FIGURES).met is None


def test_every_kind_of_goal_is_judged() -> None:
    def verdict(start: str) -> bool | None:
        return goal(start, FIGURES).met

    assert (verdict("fp32: classifier alone"), verdict("bf16: classifier alone")) == (True, False)
    assert (verdict("fp32: served"), verdict("bf16: served"), verdict("int8: served")) == (True, False, None)
    assert (verdict("fp32: the seed's single"), verdict("bf16: the seed's single")) == (False, True)
    assert verdict("bf16: p99 over p50, constant") is True
    assert verdict("bf16: p99 over p50, poisson") is False
    assert verdict("exponent of cost over frames") is True
    assert verdict("exponent of cost over size") is False
    assert verdict("exponent of cost over preprocess instances") is None


def test_without_figures_every_goal_is_there_and_none_is_judged() -> None:
    goals = judge({})
    assert {goal.what for goal in goals} == {goal.what for goal in judge(FIGURES)}
    assert all(goal.met is None and goal.measured is None for goal in goals)

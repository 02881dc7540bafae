"""From a measured rate to nodes and cost: by hand, and what holds for every plan."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.capacity import Demand, Node, PlanError, Policy, make_plan
from benchmark.queueing import QueueError, wait_percentile_s
from benchmark.spread import Spread

DAY = Demand(videos_per_day=864_000, frames_per_video=30, peak_to_mean=2)  # 10 videos/s, 20 at the peak, 600 frames/s
PATIENT = Policy(utilisation=0.75, p95_wait_s=60)


def rate(*rounds: float) -> Spread:
    return Spread.of(rounds)


def test_a_plan_by_hand() -> None:
    """600 frames/s of 100 each: 6 busy instances, 8 at three quarters; 2 nodes of 4 and one spare."""
    need = make_plan(rate(100), DAY, PATIENT, Node(instances=4, gpus=4, price_per_hour=2.5)).slowest
    assert (need.least_instances, need.nodes, need.instances, need.gpus) == (8, 3, 12, 12)
    assert need.utilisation == pytest.approx(6 / 8)
    assert need.mean_utilisation == pytest.approx(3 / 12)
    assert need.service_s == pytest.approx(0.3)
    assert need.cost_per_day == pytest.approx(3 * 2.5 * 24)
    assert need.cost_per_month == pytest.approx(3 * 2.5 * 730.5)


def test_a_node_that_is_not_full_lowers_the_utilisation() -> None:
    need = make_plan(rate(100), DAY, PATIENT, Node(instances=5)).slowest
    assert (need.least_instances, need.nodes, need.instances) == (8, 3, 15)
    assert need.utilisation == pytest.approx(6 / 10)


def test_the_peak_is_stated() -> None:
    assert DAY.peak_videos_per_s == pytest.approx(20)
    assert DAY.peak_frames_per_s == pytest.approx(600)


def test_a_full_instance_is_not_rounded_up_to_two() -> None:
    one = Demand(videos_per_day=86_400, frames_per_video=0.7, peak_to_mean=1)
    assert make_plan(rate(1), one, Policy(0.7, 1e9), Node()).slowest.least_instances == 1


def test_a_short_wait_takes_more_than_the_utilisation_does() -> None:
    """One instance would be busy to 60%, and a twentieth of the videos would wait for 36 s and more."""
    slow = Demand(videos_per_day=86_400 * 0.1, frames_per_video=60, peak_to_mean=1)
    assert make_plan(rate(10), slow, Policy(p95_wait_s=60), Node()).slowest.least_instances == 1
    need = make_plan(rate(10), slow, Policy(p95_wait_s=10), Node()).slowest
    assert need.least_instances == 2
    assert need.p95_wait_s < 10


def test_the_slowest_round_needs_most() -> None:
    made = make_plan(rate(80, 120, 100), DAY, PATIENT, Node())
    assert (made.slowest.frames_per_s, made.median.frames_per_s, made.fastest.frames_per_s) == (80, 100, 120)
    assert made.slowest.nodes > made.median.nodes > made.fastest.nodes


def test_no_price_no_cost() -> None:
    need = make_plan(rate(100), DAY, PATIENT, Node()).slowest
    assert (need.cost_per_day, need.cost_per_month) == (None, None)


@settings(max_examples=60)
@given(
    st.floats(1, 1e7), st.floats(1, 60), st.floats(1, 10), st.floats(5, 5000), st.floats(0.1, 0.95),
    st.floats(0, 30), st.floats(0, 2), st.integers(0, 3), st.integers(1, 8),
)  # fmt: skip
def test_every_plan_keeps_its_bounds_and_wastes_nothing(
    videos: float,
    frames: float,
    peak: float,
    speed: float,
    share: float,
    wait_s: float,
    cv: float,
    spare: int,
    per: int,
) -> None:  # fmt: skip
    demand, policy = Demand(videos, frames, peak), Policy(share, wait_s, cv, spare)
    need = make_plan(rate(speed), demand, policy, Node(per)).slowest
    assert need.nodes == math.ceil(need.least_instances / per) + spare
    assert need.instances == need.nodes * per
    assert need.utilisation <= share + 1e-6
    assert need.p95_wait_s <= wait_s + 1e-6
    assert need.mean_utilisation <= need.utilisation / peak + 1e-9
    fewer = need.least_instances - 1
    offered = demand.peak_videos_per_s * need.service_s
    if fewer and offered / fewer <= share - 1e-6:  # then it is the wait that forbids one less
        assert wait_percentile_s(fewer, demand.peak_videos_per_s, need.service_s, cv) > wait_s


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Demand(0), "videos_per_day must be more than 0"),
        (lambda: Demand(math.nan), "videos_per_day"),
        (lambda: Demand(math.inf), "videos_per_day"),
        (lambda: Demand(10, frames_per_video=-1), "frames_per_video"),
        (lambda: Demand(10, peak_to_mean=0.9), "peak_to_mean must be at least 1"),
        (lambda: Policy(utilisation=1.0), "utilisation must be between 0 and 1"),
        (lambda: Policy(p95_wait_s=-1), "p95_wait_s"),
        (lambda: Policy(service_cv=math.nan), "service_cv"),
        (lambda: Policy(spare=-1), "spare"),
        (lambda: Node(instances=0), "instances_per_node"),
        (lambda: Node(gpus=-1), "gpus_per_node"),
        (lambda: Node(price_per_hour=-0.1), "node_price"),
        (lambda: make_plan(rate(0), DAY, PATIENT, Node()), "frames_per_second must be more than 0"),
        (lambda: make_plan(rate(1e-9), DAY, PATIENT, Node()), "more than 1,000,000 instances"),
    ],
)
def test_nonsense_is_refused(make: object, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        make()  # type: ignore[operator]


def test_a_wait_bound_of_nothing_is_kept_by_letting_next_to_nobody_wait() -> None:
    need = make_plan(rate(100), DAY, Policy(p95_wait_s=0), Node()).slowest
    assert need.p95_wait_s == 0
    with pytest.raises(QueueError):
        wait_percentile_s(1, 100, 1, 1)

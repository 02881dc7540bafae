"""`deepfake-bench plan`: waits against hand-computed values, laws and a simulated queue; plans by hand; the command."""

import heapq
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from benchmark.cli import app
from benchmark.planning.nodes import Demand, erlang_c, needed, waits_s
from benchmark.servers import BenchError

Array = np.ndarray[Any, np.dtype[np.float64]]


def test_erlang_c_by_hand() -> None:
    assert erlang_c(1, 0.6) == pytest.approx(0.6)  # one server: a request waits while it is busy
    assert erlang_c(2, 1.0) == pytest.approx(1 / 3)  # (1/2 / (1 - 1/2)) / (1 + 1 + 1/2 / (1 - 1/2))
    assert erlang_c(3, 2.0) == pytest.approx(4 / 9)  # 8/6 * 3 = 4 over 1 + 2 + 2 + 4
    assert erlang_c(5, 0.0) == 0.0
    assert 0 < erlang_c(5000, 4950.0) < 1
    with pytest.raises(BenchError, match="would grow without end"):
        erlang_c(2, 2.0)


def test_waits_by_hand() -> None:
    """One server, half busy, 2 s each: ρ S / (1 - ρ) = 2 s for exponential times, half of it for equal ones.

    P(W > t) = 0.5 e^(-t / 4): 5% are left at 4 ln 10.
    """
    assert waits_s(1, 0.25, 2.0, 1.0) == pytest.approx((2.0, 4 * math.log(10)))
    assert waits_s(1, 0.25, 2.0, 0.0)[0] == pytest.approx(1.0)
    assert waits_s(2, 1.0, 1.0, 1.0)[0] == pytest.approx(1 / 3)
    assert waits_s(9, 0.1, 1.0, 1.0)[1] == 0.0


@given(st.integers(1, 60), st.floats(0.01, 0.98), st.floats(0.01, 100), st.floats(0, 3))
def test_more_servers_wait_less_and_more_work_waits_longer(
    servers: int, utilisation: float, service_s: float, service_cv: float
) -> None:
    arrivals = utilisation * servers / service_s
    mean, p95 = waits_s(servers, arrivals, service_s, service_cv)
    fewer = waits_s(servers + 1, arrivals, service_s, service_cv)
    assert fewer[0] <= mean
    assert fewer[1] <= p95 + 1e-9
    assert mean <= waits_s(servers, arrivals * 1.01, service_s, service_cv)[0]
    assert mean <= waits_s(servers, arrivals, service_s, service_cv + 0.1)[0]


def exponential(rng: np.random.Generator, count: int) -> Array:
    return rng.exponential(1.0, count)


def equal(_: np.random.Generator, count: int) -> Array:
    return np.ones(count)


def varied(rng: np.random.Generator, count: int) -> Array:
    """Mean 1, coefficient of variation 1.5: many short ones and a few long ones."""
    shape = 1 / 1.5**2
    return rng.gamma(shape, 1 / shape, count)


def simulated_waits(
    servers: int, utilisation: float, times: Callable[[np.random.Generator, int], Array], count: int = 150_000
) -> Array:
    """Waits in one queue before so many servers, after the first tenth of the requests."""
    rng = np.random.default_rng(servers)
    arrivals = np.cumsum(rng.exponential(1 / (utilisation * servers), count)).tolist()
    free_at = [0.0] * servers
    waits = []
    for arrival, service in zip(arrivals, times(rng, count).tolist(), strict=True):
        begins = max(arrival, heapq.heappop(free_at))
        heapq.heappush(free_at, begins + service)
        waits.append(begins - arrival)
    return np.array(waits[count // 10 :])


@pytest.mark.parametrize(("servers", "utilisation"), [(1, 0.7), (3, 0.8), (10, 0.8)])
@pytest.mark.parametrize(
    ("times", "service_cv", "tolerance"),
    [(exponential, 1.0, 0.15), (equal, 0.0, 0.2), (varied, 1.5, 0.25)],
    ids=["exponential", "equal", "varied"],
)
def test_a_simulated_queue_waits_as_predicted(
    servers: int,
    utilisation: float,
    times: Callable[[np.random.Generator, int], Array],
    service_cv: float,
    tolerance: float,
) -> None:
    """Exact for exponential times, so only the simulation's noise is allowed for; the others are approximations."""
    waits = simulated_waits(servers, utilisation, times)
    mean, p95 = waits_s(servers, utilisation * servers, 1.0, service_cv)
    assert mean == pytest.approx(waits.mean(), rel=tolerance)
    assert p95 == pytest.approx(np.percentile(waits, 95), rel=tolerance)


def test_a_plan_by_hand() -> None:
    """600 frames/s of 100 each: 6 busy nodes, 8 at three quarters, and one spare."""
    demand = Demand(864_000, 30, peak_to_mean=2, utilisation=0.75, p95_wait_s=60, node_price=2.5)
    assert demand.peak_videos_per_s == pytest.approx(20)
    need = needed(100, demand)
    assert (need.least_nodes, need.nodes) == (8, 9)
    assert need.utilisation == pytest.approx(6 / 8)
    assert need.service_s == pytest.approx(0.3)
    assert need.cost_per_day == pytest.approx(9 * 2.5 * 24)


def test_a_full_node_is_not_rounded_up_to_two() -> None:
    assert needed(1, Demand(86_400, 0.7, 1, 0.7, p95_wait_s=1e9)).least_nodes == 1


def test_a_short_wait_takes_more_than_the_utilisation_does() -> None:
    """One node would be busy to 60%, and a twentieth of the videos would wait for 36 s and more."""
    assert needed(10, Demand(86_400 * 0.1, 60, 1, p95_wait_s=60)).least_nodes == 1
    need = needed(10, Demand(86_400 * 0.1, 60, 1, p95_wait_s=10))
    assert need.least_nodes == 2
    assert need.p95_wait_s < 10
    assert needed(100, Demand(864_000, p95_wait_s=0)).p95_wait_s == 0


@settings(max_examples=60)
@given(
    st.floats(1, 1e7), st.floats(1, 60), st.floats(1, 10), st.floats(5, 5000), st.floats(0.1, 0.95),
    st.floats(0, 30), st.floats(0, 2), st.integers(0, 3),
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
) -> None:
    demand = Demand(videos, frames, peak, share, wait_s, cv, spare)
    need = needed(speed, demand)
    assert need.nodes == need.least_nodes + spare
    assert need.utilisation <= share + 1e-6
    assert need.p95_wait_s <= wait_s + 1e-6
    fewer = need.least_nodes - 1
    offered = demand.peak_videos_per_s * need.service_s
    if fewer and offered / fewer <= share - 1e-6:  # then it is the wait that forbids one less
        assert waits_s(fewer, demand.peak_videos_per_s, need.service_s, cv)[1] > wait_s


def plan(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["plan", *map(str, arguments)])


def test_the_slowest_round_needs_most() -> None:
    rounds = [option for rate in (25, 20, 30) for option in ("--frames-per-second", rate)]
    done = plan("--videos-per-day", 864_000, "--peak-to-mean", 2, *rounds, "--utilisation", 0.75, "--node-price", 0.1)
    assert done.exit_code == 0, done.output
    rows = {
        cells[1]: cells[2:5] for line in done.stdout.splitlines() if len(cells := re.split(r"\s*[│┃]\s*", line)) == 6
    }
    assert rows[""] == ["slowest round", "median", "fastest round"]
    assert rows["frames/s of a node"] == ["20.0", "25.0", "30.0"]
    assert rows["nodes with the spare ones"] == ["41", "33", "28"]
    assert rows["cost a day"][0] == "98.40"


def test_the_table_says_what_it_is_made_from() -> None:
    done = plan("--videos-per-day", 864_000, "--peak-to-mean", 2, "--frames-per-second", 25)
    assert done.exit_code == 0, done.output
    assert "20.00 videos/s" in done.stdout
    assert "slowest round" in done.stdout
    assert "cost" not in done.stdout
    assert "Not in it: decoding" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--videos-per-day", "nan"), 2, "Invalid value"),
        (("--videos-per-day", 0), 2, "--videos-per-day"),
        (("--videos-per-day", 10, "--utilisation", 1), 2, "--utilisation"),
        (("--videos-per-day", 10, "--peak-to-mean", 0.5), 2, "--peak-to-mean"),
        (("--videos-per-day", 1e12), 1, "more than 1,000,000 nodes"),
    ],
)
def test_nonsense_is_refused(arguments: tuple[object, ...], code: int, message: str) -> None:
    done = plan(*arguments, "--frames-per-second", 1)
    assert done.exit_code == code
    assert message in done.stderr

"""The formulas of waiting, against hand-computed values, their own laws, and a simulated queue."""

import heapq
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.queueing import QueueError, erlang_c, mean_wait_s, wait_percentile_s

Array = np.ndarray[Any, np.dtype[np.float64]]
Times = Callable[[np.random.Generator, int], Array]


def test_erlang_c_by_hand() -> None:
    assert erlang_c(1, 0.6) == pytest.approx(0.6)  # one server: a request waits while it is busy
    assert erlang_c(2, 1.0) == pytest.approx(1 / 3)  # (1/2 / (1 - 1/2)) / (1 + 1 + 1/2 / (1 - 1/2))
    assert erlang_c(3, 2.0) == pytest.approx(4 / 9)  # 8/6 * 3 = 4 over 1 + 2 + 2 + 4
    assert erlang_c(5, 0.0) == 0.0


def test_thousands_of_servers_overflow_nothing() -> None:
    assert 0 < erlang_c(5000, 4950.0) < 1


def test_mean_wait_by_hand() -> None:
    """One server, half busy, 2 s each: ρ S / (1 - ρ) = 2 s for exponential times, half of it for equal ones."""
    assert mean_wait_s(1, 0.25, 2.0, service_cv=1.0) == pytest.approx(2.0)
    assert mean_wait_s(1, 0.25, 2.0, service_cv=0.0) == pytest.approx(1.0)
    assert mean_wait_s(1, 0.25, 2.0, service_cv=2.0) == pytest.approx(5.0)
    assert mean_wait_s(2, 1.0, 1.0, service_cv=1.0) == pytest.approx(1 / 3)


def test_percentile_by_hand() -> None:
    """P(W > t) = 0.5 e^(-t / 4): 5% are left at 4 ln 10; more than half wait not at all."""
    assert wait_percentile_s(1, 0.25, 2.0, 1.0, 95) == pytest.approx(4 * math.log(10))
    assert wait_percentile_s(1, 0.25, 2.0, 1.0, 50) == 0.0


@given(st.integers(1, 60), st.floats(0.01, 0.98), st.floats(0.01, 100), st.floats(0, 3))
def test_more_servers_wait_less_and_more_work_waits_longer(
    servers: int, utilisation: float, service_s: float, service_cv: float
) -> None:
    arrivals = utilisation * servers / service_s
    wait = mean_wait_s(servers, arrivals, service_s, service_cv)
    assert mean_wait_s(servers + 1, arrivals, service_s, service_cv) <= wait
    assert wait <= mean_wait_s(servers, arrivals * 1.01, service_s, service_cv)
    assert wait <= mean_wait_s(servers, arrivals, service_s, service_cv + 0.1)
    p95 = wait_percentile_s(servers, arrivals, service_s, service_cv)
    assert wait_percentile_s(servers + 1, arrivals, service_s, service_cv) <= p95 + 1e-9
    assert 0 <= p95 <= wait_percentile_s(servers, arrivals, service_s, service_cv, 99)


def exponential(rng: np.random.Generator, count: int) -> Array:
    return rng.exponential(1.0, count)


def equal(_: np.random.Generator, count: int) -> Array:
    return np.ones(count)


def varied(rng: np.random.Generator, count: int) -> Array:
    """Mean 1, coefficient of variation 1.5: many short ones and a few long ones."""
    shape = 1 / 1.5**2
    return rng.gamma(shape, 1 / shape, count)


def simulated_waits(servers: int, utilisation: float, times: Times, count: int = 150_000) -> Array:
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
    servers: int, utilisation: float, times: Times, service_cv: float, tolerance: float
) -> None:
    """Exact for exponential times, so only the simulation's noise is allowed for; the others are approximations."""
    waits = simulated_waits(servers, utilisation, times)
    arrivals = utilisation * servers
    assert mean_wait_s(servers, arrivals, 1.0, service_cv) == pytest.approx(waits.mean(), rel=tolerance)
    predicted = wait_percentile_s(servers, arrivals, 1.0, service_cv)
    assert predicted == pytest.approx(np.percentile(waits, 95), rel=tolerance)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1.0, 1.0, 1.0), "there must be a server"),
        ((2, 2.0, 1.0, 1.0), "would grow without end"),
        ((2, math.nan, 1.0, 1.0), "offered load"),
        ((2, -1.0, 1.0, 1.0), "offered load"),
        ((2, 1.0, 0.0, 1.0), "service time"),
        ((2, 1.0, math.inf, 1.0), "service time"),
        ((2, 1.0, 1.0, -0.1), "coefficient of variation"),
    ],
)
def test_what_is_no_queue_is_refused(arguments: tuple[int, float, float, float], message: str) -> None:
    with pytest.raises(QueueError, match=message):
        mean_wait_s(*arguments)


@pytest.mark.parametrize("percent", [0, 100, -1, math.nan])
def test_a_percentile_that_is_none(percent: float) -> None:
    with pytest.raises(QueueError, match="percentile"):
        wait_percentile_s(1, 0.5, 1.0, 1.0, percent)

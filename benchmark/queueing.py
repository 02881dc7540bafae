"""How long work waits for one of several equal servers.

Requests arrive at random moments (a Poisson process, rate λ), each keeps one server busy for a time S, and those that
find none free wait in order: the queue M/G/c. a = λ E[S] is the offered load (busy servers on average, "erlangs"),
ρ = a / c the utilisation. Sources:

- Erlang C: A. K. Erlang, "Solution of some problems in the theory of probabilities of significance in automatic
  telephone exchanges", 1917; here by the recursion of Erlang B, which does not overflow.
- The mean wait of M/G/c: the Allen-Cunneen approximation, A. O. Allen, "Probability, Statistics, and Queueing Theory
  with Computer Science Applications", 2nd ed., Academic Press 1990, chapter 5; exact for exponential S, and for one
  server (Pollaczek-Khinchine).
- Percentiles: those who wait at all wait an exponential time; exact for exponential S, an approximation otherwise
  (W. Whitt, "Approximations for the GI/G/m queue", Production and Operations Management 2 (1993) 114-161).

`tests/benchmark/test_queueing.py` compares all of it with a simulation.
"""

import math


class QueueError(ValueError):
    """A queue that cannot be: a number that is no number, or more work than the servers can do."""


def erlang_c(servers: int, offered: float) -> float:
    """The probability (0-1) that a request has to wait, with exponential service times.

    Args:
        servers: c, at least 1.
        offered: a = λ E[S], 0 <= a < c.

    Raises:
        QueueError: An argument is out of its range; at a >= c the queue would grow without end.
    """
    if servers < 1:
        raise QueueError(f"there must be a server, not {servers}")
    if not (math.isfinite(offered) and offered >= 0):
        raise QueueError(f"the offered load must be a number of at least 0, not {offered}")
    if offered >= servers:
        raise QueueError(f"{servers} servers cannot do the work of {offered:g}: the queue would grow without end")
    blocked = 1.0  # Erlang B of no server
    for server in range(1, servers + 1):
        blocked = offered * blocked / (server + offered * blocked)
    return blocked / (1 - offered / servers * (1 - blocked))


def mean_wait_s(servers: int, arrivals_per_s: float, service_s: float, service_cv: float) -> float:
    """Mean time from arrival to the beginning of service, in seconds (Allen-Cunneen).

    Wq = C(c, a) / (c / E[S] - λ) * (1 + cv^2) / 2, where 1 is the squared variation of Poisson arrivals.

    Args:
        servers: c.
        arrivals_per_s: λ.
        service_s: E[S], more than 0.
        service_cv: Standard deviation of S over its mean: 0 for equal times, 1 for exponential ones.

    Raises:
        QueueError: An argument is out of its range, or the servers cannot do the work.
    """
    if not (math.isfinite(service_s) and service_s > 0):
        raise QueueError(f"a service time must be more than 0 s, not {service_s}")
    if not (math.isfinite(service_cv) and service_cv >= 0):
        raise QueueError(f"a coefficient of variation must be at least 0, not {service_cv}")
    waits = erlang_c(servers, arrivals_per_s * service_s)
    return waits * service_s / (servers - arrivals_per_s * service_s) * (1 + service_cv**2) / 2


def wait_percentile_s(
    servers: int, arrivals_per_s: float, service_s: float, service_cv: float, percent: float = 95.0
) -> float:
    """The time that `percent` of the requests wait at most, in seconds; 0 where as many do not wait.

    P(W > t) = C e^(-t C / Wq), solved for t.

    Args:
        servers: c.
        arrivals_per_s: λ.
        service_s: E[S].
        service_cv: Of S.
        percent: 0-100, both excluded.

    Raises:
        QueueError: As for `mean_wait_s`, or for a percentage out of range.
    """
    if not 0 < percent < 100:
        raise QueueError(f"a percentile lies between 0 and 100, not at {percent}")
    mean_s = mean_wait_s(servers, arrivals_per_s, service_s, service_cv)
    waits, beyond = erlang_c(servers, arrivals_per_s * service_s), 1 - percent / 100
    return mean_s / waits * math.log(waits / beyond) if waits > beyond else 0.0

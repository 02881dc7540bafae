"""From what one instance does, measured, to what a day's videos need: instances, nodes, GPUs, cost.

An instance is one deployment as it was measured: a gateway and a Triton with all cores, or the GPU, of its machine.
The model, with N videos a day of F frames and r frames/s of an instance:

    λ = N / 86400 * peak-to-mean          videos/s at the peak
    S = F / r                             seconds one instance is busy with a video
    c = least number with  λ S / c <= utilisation bound  and  95th percentile of the wait <= its bound  (M/G/c)
    nodes = c / instances per node, rounded up, + spare       so that the bounds hold while `spare` nodes are away
    instances = nodes * instances per node; GPUs = nodes * GPUs per node
    cost = nodes * price of a node's hour * 24 h, and * 365.25 / 12 days a month: all of it on all the time

`benchmark.queueing` has the formulas of the wait and their sources. Least-requests balancing comes close to the one
queue that they assume. An instance works on several videos at once, in shares, rather than on one after another: with
service times as varied as exponential ones (a coefficient of variation of 1, the default) both give the same mean
time (L. Kleinrock, "Queueing Systems", volume 2, 1976, section 4.4).
"""

import math
from dataclasses import dataclass, fields

from benchmark.queueing import mean_wait_s, wait_percentile_s
from benchmark.spread import Spread

DAY_S = 86_400
HOURS_A_DAY = 24
DAYS_A_MONTH = 365.25 / 12
_MOST_INSTANCES = 1_000_000
_ROUNDING = 1e-9
"""0.7 / 0.7 may come out a hair above 1, which is no reason for a second instance."""


class PlanError(Exception):
    """Something a plan cannot be made from; the message says what to give instead."""


@dataclass(frozen=True)
class Demand:
    """What is asked.

    Attributes:
        videos_per_day: Mean over the days planned for.
        frames_per_video: Scored of each; 1 for images.
        peak_to_mean: The busiest hour's arrivals over the mean hour's.
    """

    videos_per_day: float
    frames_per_video: float = 30.0
    peak_to_mean: float = 3.0

    def __post_init__(self) -> None:
        """Refuses what makes no sense.

        Raises:
            PlanError: A value is not a positive number, or the peak is below the mean.
        """
        for field in fields(self):
            _require(math.isfinite(value := getattr(self, field.name)) and value > 0, field.name, value, "more than 0")
        _require(self.peak_to_mean >= 1, "peak_to_mean", self.peak_to_mean, "at least 1: a peak is no less than a mean")

    @property
    def peak_videos_per_s(self) -> float:
        """Arrivals at the peak."""
        return self.videos_per_day / DAY_S * self.peak_to_mean

    @property
    def peak_frames_per_s(self) -> float:
        """Frames to be scored at the peak."""
        return self.peak_videos_per_s * self.frames_per_video


@dataclass(frozen=True)
class Policy:
    """What is promised.

    Attributes:
        utilisation: Most of an instance's rate that is planned with at the peak, 0-1.
        p95_wait_s: Most that 95 of 100 videos wait before their work begins.
        service_cv: Standard deviation of the work of a video over its mean.
        spare: Nodes that may be away, failed or being replaced, while the bounds are kept (N + spare).
    """

    utilisation: float = 0.7
    p95_wait_s: float = 5.0
    service_cv: float = 1.0
    spare: int = 1

    def __post_init__(self) -> None:
        """Refuses what makes no sense.

        Raises:
            PlanError: A value is out of its range.
        """
        _require(0 < self.utilisation < 1, "utilisation", self.utilisation, "between 0 and 1: at 1 queues never end")
        _require(math.isfinite(self.p95_wait_s) and self.p95_wait_s >= 0, "p95_wait_s", self.p95_wait_s, "at least 0")
        _require(math.isfinite(self.service_cv) and self.service_cv >= 0, "service_cv", self.service_cv, "at least 0")
        _require(self.spare >= 0, "spare", self.spare, "at least 0")


@dataclass(frozen=True)
class Node:
    """What is bought or rented.

    Attributes:
        instances: On one node.
        gpus: Of one node.
        price_per_hour: In any currency; None if it is not known.
    """

    instances: int = 1
    gpus: int = 0
    price_per_hour: float | None = None

    def __post_init__(self) -> None:
        """Refuses what makes no sense.

        Raises:
            PlanError: A value is out of its range.
        """
        _require(self.instances >= 1, "instances_per_node", self.instances, "at least 1")
        _require(self.gpus >= 0, "gpus_per_node", self.gpus, "at least 0")
        price = self.price_per_hour
        _require(price is None or (math.isfinite(price) and price >= 0), "node_price", price, "at least 0")


@dataclass(frozen=True)
class Need:
    """What one rate of an instance leads to.

    Attributes:
        frames_per_s: The rate it follows from.
        least_instances: Fewest that keep the bounds.
        nodes: That hold these, and the spare ones.
        instances: On all nodes.
        gpus: Of all nodes.
        utilisation: Of the instances at the peak, 0-1, with every spare node away.
        mean_utilisation: Of all instances over the day, 0-1.
        service_s: Time that an instance needs for a video.
        mean_wait_s: Before that, at the peak, with every spare node away.
        p95_wait_s: 95th percentile of the same.
        cost_per_day: None without a price.
        cost_per_month: Likewise.
    """

    frames_per_s: float
    least_instances: int
    nodes: int
    instances: int
    gpus: int
    utilisation: float
    mean_utilisation: float
    service_s: float
    mean_wait_s: float
    p95_wait_s: float
    cost_per_day: float | None
    cost_per_month: float | None


@dataclass(frozen=True)
class Plan:
    """What is needed, by the slowest round that was measured, the median and the fastest: the first is the safe one."""

    slowest: Need
    median: Need
    fastest: Need


def make_plan(rate: Spread, demand: Demand, policy: Policy, node: Node) -> Plan:
    """What the demand needs.

    Args:
        rate: Frames/s of one instance, whole path, requests of about `demand.frames_per_video` frames.
        demand: What is asked.
        policy: What is promised.
        node: What is bought.

    Raises:
        PlanError: The rate is no positive number, or no number of instances below a million is enough.
    """
    for value in (rate.low, rate.median, rate.high):
        _require(math.isfinite(value) and value > 0, "frames_per_second", value, "more than 0")
    low, median, high = (_need(value, demand, policy, node) for value in (rate.low, rate.median, rate.high))
    return Plan(low, median, high)


def _need(frames_per_s: float, demand: Demand, policy: Policy, node: Node) -> Need:
    service_s = demand.frames_per_video / frames_per_s
    offered = demand.peak_videos_per_s * service_s
    least = _least_instances(offered, service_s, demand.peak_videos_per_s, policy)
    needed_nodes = -(-least // node.instances)
    left = needed_nodes * node.instances
    nodes = needed_nodes + policy.spare
    instances = nodes * node.instances
    per_day = None if node.price_per_hour is None else nodes * node.price_per_hour * HOURS_A_DAY
    queue = (left, demand.peak_videos_per_s, service_s, policy.service_cv)
    return Need(
        frames_per_s=frames_per_s,
        least_instances=least,
        nodes=nodes,
        instances=instances,
        gpus=nodes * node.gpus,
        utilisation=offered / left,
        mean_utilisation=offered / demand.peak_to_mean / instances,
        service_s=service_s,
        mean_wait_s=mean_wait_s(*queue),
        p95_wait_s=wait_percentile_s(*queue),
        cost_per_day=per_day,
        cost_per_month=None if per_day is None else per_day * DAYS_A_MONTH,
    )


def _least_instances(offered: float, service_s: float, arrivals_per_s: float, policy: Policy) -> int:
    """The least number that keeps both bounds; more of them never wait longer, so it is found by halving."""

    def enough(count: int) -> bool:
        wait_s = wait_percentile_s(count, arrivals_per_s, service_s, policy.service_cv)
        return wait_s <= policy.p95_wait_s

    least = max(math.ceil(offered / policy.utilisation - _ROUNDING), 1)
    if least > _MOST_INSTANCES:
        raise PlanError(f"more than {_MOST_INSTANCES:,} instances would be needed: check the demand and the rate")
    if enough(least):
        return least
    few, many = least, 2 * least  # so many servers leave next to nobody waiting: one or two doublings do
    while not enough(many):
        few, many = many, 2 * many
        if many > _MOST_INSTANCES:
            raise PlanError(f"no number of instances below {_MOST_INSTANCES:,} keeps waits so short: allow more")
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if enough(middle) else (middle, many)
    return many


def _require(holds: bool, name: str, value: object, meaning: str) -> None:
    if not holds:
        raise PlanError(f"{name} must be {meaning}; it is {value}")

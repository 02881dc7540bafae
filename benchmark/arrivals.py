"""When the requests of an open loop are due."""

import itertools
import random
import sys
from collections.abc import Iterator

from benchmark.http_load import LoadPlan


def arrival_offsets(plan: LoadPlan) -> Iterator[float]:
    """Seconds from the start, ascending: evenly spaced, or exponentially; ends with the plan's duration or count."""
    rate = plan.rate_per_s or 1.0
    spacing = random.Random(plan.seed)
    offset = 0.0
    for number in itertools.count(1):
        if number > (plan.request_count or sys.maxsize) or offset >= (plan.duration_s or float("inf")):
            return
        yield offset
        offset = offset + spacing.expovariate(rate) if plan.arrivals == "poisson" else number / rate

"""The main figure: requests of 30 frames through the whole HTTP path, ours against the seed's service."""

import time
from dataclasses import dataclass

from benchmark.bench import Bench, LeftOutError, Target
from benchmark.gateway_calls import post_frames
from benchmark.spread import Spread, ratios

FRAMES = 30
BASELINE = "seed b1"


@dataclass(frozen=True)
class VideoRates:
    """Images a second of every server, round by round."""

    frames: int
    requests: int
    rates: dict[str, list[float]]

    def rate(self, server: str) -> Spread:
        """Over the rounds."""
        return Spread.of(self.rates[server])

    def ratio(self, server: str, baseline: str = BASELINE) -> Spread | None:
        """Of rates within a round; None where one of them was not measured."""
        if server not in self.rates or baseline not in self.rates:
            return None
        return ratios(self.rates[server], self.rates[baseline])


def measure(bench: Bench) -> VideoRates:
    """Every server in turn, each round: one request to warm up, then the timed ones.

    Raises:
        LeftOutError: A running deployment is measured, without its media root.
    """
    targets = video_targets(bench)
    requests = bench.options.video_requests
    rates: dict[str, list[float]] = {target.name: [] for target in targets}
    for number in range(bench.options.rounds):
        for target in targets:
            rates[target.name].append(_rate(bench, target, requests))
        bench.say(f"round {number + 1}: " + ", ".join(f"{name} {found[-1]:.2f}" for name, found in rates.items()))
    return VideoRates(FRAMES, requests, rates)


def video_targets(bench: Bench) -> list[Target]:
    """The seed's services and ours, started; a running deployment alone.

    Raises:
        LeftOutError: It takes no listed frames.
    """
    if bench.options.remote:
        target = bench.ours(bench.detail)
        if not target.video:
            raise LeftOutError("without --media-root no frames can be put where the deployment reads them")
        return [target]
    return [bench.seed(1), bench.seed(8), *(bench.ours(precision) for precision in bench.precisions)]


def _rate(bench: Bench, target: Target, requests: int) -> float:
    batches = [bench.supply.files(FRAMES) for _ in range(requests + 1)]
    post_frames(target.url, batches[0], "VIDEO")
    started = time.perf_counter()
    for batch in batches[1:]:
        post_frames(target.url, batch, "VIDEO")
    elapsed_s = time.perf_counter() - started
    for path in (path for batch in batches for path in batch):
        path.unlink()
    return requests * FRAMES / elapsed_s

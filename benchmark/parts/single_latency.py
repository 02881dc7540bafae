"""How long one image takes, alone on an idle service."""

import time
from dataclasses import dataclass

from benchmark.bench import Bench, Target
from benchmark.gateway_calls import post_frames, post_image
from benchmark.parts.video_ratio import BASELINE, video_targets
from benchmark.spread import Spread, percentile, ratios


@dataclass(frozen=True)
class SingleLatencies:
    """Milliseconds of every server, one value per round.

    Attributes:
        requests: In a round.
        p50_ms: Server -> medians.
        p95_ms: Server -> 95th percentiles.
    """

    requests: int
    p50_ms: dict[str, list[float]]
    p95_ms: dict[str, list[float]]

    def gain(self, server: str) -> Spread | None:
        """The seed's median over this server's: above 1 is quicker than the seed."""
        if server not in self.p50_ms or BASELINE not in self.p50_ms:
            return None
        return ratios(self.p50_ms[BASELINE], self.p50_ms[server])


def measure(bench: Bench) -> SingleLatencies:
    """Every server in turn, each round: one request after the other, each with a new image."""
    remote = bench.options.remote
    targets = [bench.ours(bench.detail)] if remote else video_targets(bench)
    p50: dict[str, list[float]] = {target.name: [] for target in targets}
    p95: dict[str, list[float]] = {target.name: [] for target in targets}
    for number in range(bench.options.rounds):
        for target in targets:
            found = _latencies_ms(bench, target)
            p50[target.name].append(percentile(found, 50))
            p95[target.name].append(percentile(found, 95))
        bench.say(f"round {number + 1}: " + ", ".join(f"{name} {ms[-1]:.0f} ms" for name, ms in p50.items()))
    return SingleLatencies(bench.options.single_requests, p50, p95)


def _latencies_ms(bench: Bench, target: Target) -> list[float]:
    found = []
    for _ in range(bench.options.single_requests + 1):
        if target.video:
            (path,) = bench.supply.files(1)
            started = time.perf_counter()
            post_frames(target.url, [path], "IMAGE")
            found.append(time.perf_counter() - started)
            path.unlink()
        else:
            (image,) = bench.supply.encoded(1)
            started = time.perf_counter()
            post_image(target.url, image)
            found.append(time.perf_counter() - started)
    return [seconds * 1e3 for seconds in found[1:]]

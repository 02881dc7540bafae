"""Many times more requests than the service can do: `python -m reliability.overload`.

In each round the capacity is measured with a closed loop, then requests arrive at FACTOR times that rate, whatever the
answers. What counts: images scored per second (goodput) against the capacity of the same round, whether accepted
requests are answered within the deadline, and how soon and how the others are refused. The load generator shares the
machine; the processor time it takes is part of the report, and it is pinned to the last core.
"""

import json
import os
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from assets import default_cache_dir
from benchmark.checkpoint import make_spread_checkpoint
from benchmark.contenders.start import OurService, serve_ours
from benchmark.frames import make_face_frames
from benchmark.http_load import LoadResult, run_load
from benchmark.http_requests import HttpRequests, detect_requests
from benchmark.spread import Spread

_FRAMES = 300
_CAPACITY_CLIENTS = 4  # fewer than one worker takes: a refused one would ask again at once
_REFUSALS = ("HTTP 429", "HTTP 503")


@dataclass(frozen=True)
class Round:
    """One round.

    Attributes:
        capacity_per_s: Images scored per second by a closed loop of clients just before.
        goodput_per_s: The same under overload.
        offered_per_s: Arrivals per second.
        accepted_p50_s: Median time of requests answered with 200, from sending to the answer.
        accepted_p99_s: 99th percentile of the same.
        refused: How many were refused with 429 or 503.
        refused_p50_s: Median time of a refusal, seen from the generator.
        refused_p99_s: 99th percentile of the same.
        others: Answers that are neither, by kind.
        generator_cpu_share: Processor time of the load generator, of all cores.
    """

    capacity_per_s: float
    goodput_per_s: float
    offered_per_s: float
    accepted_p50_s: float
    accepted_p99_s: float
    refused: int
    refused_p50_s: float
    refused_p99_s: float
    others: dict[str, int]
    generator_cpu_share: float

    @property
    def kept(self) -> float:
        """Goodput over capacity."""
        return self.goodput_per_s / self.capacity_per_s


def overload(
    checkpoint: Annotated[
        Path | None, typer.Option(help="Directory of the model; default: a seeded one of full size.")
    ] = None,
    precision: Annotated[str, typer.Option(help="fp32, bf16, int8 or auto.")] = "fp32",
    factor: Annotated[float, typer.Option(min=1.1, help="Arrivals over capacity.")] = 10.0,
    seconds: Annotated[float, typer.Option(min=1, help="Of each measurement.")] = 20.0,
    rounds: Annotated[int, typer.Option(min=1, help="How often.")] = 3,
    output: Annotated[Path | None, typer.Option(help="Write the figures here as JSON.")] = None,
) -> None:
    """Measures the service under overload and prints a table."""
    folder = default_cache_dir() / "reliability"
    requests = detect_requests(make_face_frames(folder / "frames", _FRAMES))
    source = checkpoint or make_spread_checkpoint()
    with tempfile.TemporaryDirectory(prefix="deepfake-overload-") as scratch:
        state = Path(scratch)
        (state / "media").mkdir()
        with serve_ours(
            source, folder / "releases", state / "media", state / "service", {"PRECISION": precision}
        ) as server:
            # Only the generator: the service has started and keeps all cores.
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
            found = [_round(server, requests, factor, seconds, number) for number in range(rounds)]
    _print(found)
    if output:
        output.write_text(json.dumps([{**asdict(one), "kept": one.kept} for one in found], indent=1) + "\n", "utf-8")


def _round(server: OurService, requests: HttpRequests, factor: float, seconds: float, number: int) -> Round:
    print(f"round {number + 1}: capacity ...", file=sys.stderr, flush=True)
    closed = run_load(server.url, requests, concurrency=_CAPACITY_CLIENTS, duration_s=seconds)
    rate = factor * closed.images_per_s
    print(
        f"round {number + 1}: {closed.images_per_s:.1f} images/s, now {rate:.0f} arrive ...",
        file=sys.stderr,
        flush=True,
    )
    opened = run_load(server.url, requests, rate_per_s=rate, arrivals="poisson", duration_s=seconds, seed=number)
    return _summed_up(closed, opened, rate)


def _summed_up(closed: LoadResult, opened: LoadResult, rate: float) -> Round:
    refusals = [time for kind in _REFUSALS for time in opened.error_times_s.get(kind, [])]
    return Round(
        capacity_per_s=closed.images_per_s,
        goodput_per_s=opened.images_per_s,
        offered_per_s=rate,
        accepted_p50_s=_percentile(opened.service_times_s, 50),
        accepted_p99_s=_percentile(opened.service_times_s, 99),
        refused=len(refusals),
        refused_p50_s=_percentile(refusals, 50),
        refused_p99_s=_percentile(refusals, 99),
        others={kind: count for kind, count in opened.errors.items() if kind not in _REFUSALS},
        generator_cpu_share=opened.generator_cpu_s / opened.seconds / (os.cpu_count() or 1),
    )


def _percentile(values: list[float], percent: float) -> float:
    return float(np.percentile(values, percent)) if values else float("nan")


def _print(found: list[Round]) -> None:
    for name, values, unit in (
        ("capacity", [one.capacity_per_s for one in found], "images/s"),
        ("offered", [one.offered_per_s for one in found], "images/s"),
        ("goodput", [one.goodput_per_s for one in found], "images/s"),
        ("goodput / capacity", [one.kept for one in found], ""),
        ("accepted, p50", [one.accepted_p50_s for one in found], "s"),
        ("accepted, p99", [one.accepted_p99_s for one in found], "s"),
        ("refused, p50", [one.refused_p50_s for one in found], "s"),
        ("refused, p99", [one.refused_p99_s for one in found], "s"),
        ("generator, of all cores", [one.generator_cpu_share for one in found], ""),
    ):
        spread = Spread.of(values)
        print(f"{name:<24} {spread.median:8.3f} ({spread.low:.3f}-{spread.high:.3f}) {unit}")
    print(f"{'refused':<24} {sum(one.refused for one in found):8d}")
    others: dict[str, int] = {}
    for one in found:
        for kind, count in one.others.items():
            others[kind] = others.get(kind, 0) + count
    print(f"{'anything else':<24} {others or 0}")


if __name__ == "__main__":
    typer.run(overload)

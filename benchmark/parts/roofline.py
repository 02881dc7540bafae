"""How near the classifier comes to what this machine can multiply at all."""

from dataclasses import dataclass

from benchmark.bench import Bench
from benchmark.parts.flops import VisionShape
from benchmark.parts.subprocess_json import run_module
from benchmark.spread import Spread, ratios


@dataclass(frozen=True)
class PrecisionRoof:
    """One precision.

    Attributes:
        precision: Its name.
        ceiling_gflops: What matrix products of the model's shapes reach alone.
        classifier_images_per_s: The classifier stage without a server, at its best batch.
        best_batch: That batch.
        images_per_s: By batch size, medians.
        share: Of the ceiling, round by round.
        load_s: Loading and compiling the classifier.
    """

    precision: str
    ceiling_gflops: Spread
    classifier_images_per_s: Spread
    best_batch: int
    images_per_s: dict[str, float]
    share: Spread
    load_s: Spread


@dataclass(frozen=True)
class Roofline:
    """The part's figures."""

    gflop_per_image: float
    precisions: list[PrecisionRoof]


def measure(bench: Bench) -> Roofline:
    """Ceilings and classifiers in turn, each in a process of its own."""
    gflop = VisionShape.load(bench.checkpoint).flop_per_image / 1e9
    releases = {precision: str(bench.release(precision)) for precision in bench.precisions}
    seconds = "0.2" if bench.options.quick else "2"
    ceilings: list[dict[str, float]] = []
    alone: dict[str, list[tuple[float, dict[str, float]]]] = {precision: [] for precision in releases}
    for number in range(bench.options.rounds):
        bench.say(f"round {number + 1}: ceilings, then the classifier in {', '.join(releases)}")
        ceilings.append(run_module("benchmark.parts.gemm_ceiling", str(bench.checkpoint)))
        for precision, release in releases.items():
            found = run_module("benchmark.parts.classifier_alone", release, seconds)
            alone[precision].append((found["load_s"], found["images_per_s"]))
    return Roofline(gflop, [_roof(name, gflop, [c[name] for c in ceilings], alone[name]) for name in releases])


def _roof(
    precision: str, gflop: float, ceilings: list[float], alone: list[tuple[float, dict[str, float]]]
) -> PrecisionRoof:
    medians = {batch: Spread.of([rates[batch] for _, rates in alone]).median for batch in alone[0][1]}
    best = max(medians, key=lambda batch: medians[batch])
    rates = [found[best] for _, found in alone]
    return PrecisionRoof(
        precision=precision,
        ceiling_gflops=Spread.of(ceilings),
        classifier_images_per_s=Spread.of(rates),
        best_batch=int(best),
        images_per_s=medians,
        share=ratios([rate * gflop for rate in rates], ceilings),
        load_s=Spread.of([load_s for load_s, _ in alone]),
    )

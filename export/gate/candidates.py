"""Takes the fastest variant that passes the gate.

The variants are written and timed first, which takes seconds. Then they are judged from the fastest down, which takes
longer, and the first that passes is served: what is slower need not be judged.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from export.errors import ExportError, ParityError
from export.gate.golden import PreparedGolden
from export.gate.parity import ParityResult, Reference, check_parity
from export.gate.tolerances import tolerance_of
from export.graph.write import write_variant
from export.target import Target
from export.variants import Variant
from runtime import Classifier, ClassifierLoadError, ClassifierRunError, load_classifier

_TIMED_BATCH = 8
_ROUNDS = 2


@dataclass(frozen=True)
class Candidate:
    """A variant that was written.

    Attributes:
        variant: Which.
        folder: Where its files are.
        parity: What the gate measured; None if it was not judged or not passed.
        refusal: Why the variant cannot be served; None if it can, or was not judged.
        images_per_s: Rate of the classifier alone with all cores; None if it was not measured.
    """

    variant: Variant
    folder: Path
    parity: ParityResult | None = None
    refusal: ExportError | ClassifierLoadError | ClassifierRunError | None = None
    images_per_s: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """For the export's report, JSON-ready."""
        return {
            "variant": self.variant.name,
            "parity": asdict(self.parity) if self.parity else None,
            "refused": "" if self.refusal is None else str(self.refusal),
            "images_per_s": self.images_per_s and round(self.images_per_s, 2),
        }


@dataclass(frozen=True)
class Workshop:
    """What every variant is made from and judged by.

    Attributes:
        graph_of: The served graph with the variant's own EXPORT_ID.
        target: Who will run it.
        scratch: Folder for the variants.
        size_px: Side of the classifier's input.
        reference: What PyTorch makes of the gate's images; called once, when the first variant is judged.
        generated: How many of them, the first ones, are generated; fp32 is judged on these alone.
        calibration: Gives calibration images, (S, S, 3) uint8 each.
        tolerance: Limit of max |dp| in place of the precision's own.
        say: Told what is being done.
        golden: The checkpoint's golden images, if it has any.
    """

    graph_of: Callable[[Variant], onnx.ModelProto]
    target: Target
    scratch: Path
    size_px: int
    reference: Callable[[], Reference]
    generated: int
    calibration: Callable[[], Sequence[NDArray[np.uint8]]]
    tolerance: float | None
    say: Callable[[str], None]
    golden: PreparedGolden | None = None


@dataclass(frozen=True)
class _Contender:
    """A candidate that waits for its judgement, its classifier, and what takes its place if it is refused."""

    candidate: Candidate
    classifier: Classifier
    alternatives: Sequence[Variant]


def take_fastest(workshop: Workshop, wanted: Sequence[Sequence[Variant]]) -> list[Candidate]:
    """Writes variants, times them if there are several, and judges them from the fastest down.

    Args:
        workshop: What they are made from and judged by.
        wanted: From `variants_of`.

    Returns:
        Every variant that was written, the one to serve first, those that were not judged last.

    Raises:
        ExportError: None passed; the message says why of each.
    """
    refused: list[Candidate] = []
    with ExitStack() as opened:

        def first_of(alternatives: Sequence[Variant]) -> list[_Contender]:
            """The first variant that can be written and opened, if any; those before it are refused."""
            for position, variant in enumerate(alternatives):
                candidate, classifier = _write_and_open(workshop, variant)
                if classifier is not None:
                    opened.callback(classifier.close)
                    return [_Contender(candidate, classifier, alternatives[position + 1 :])]
                refused.append(candidate)
            return []

        waiting = [contender for alternatives in wanted for contender in first_of(alternatives)]
        if len(wanted) > 1:
            waiting = _timed(workshop, waiting)
        while waiting:
            fastest = max(waiting, key=lambda contender: contender.candidate.images_per_s or 0)
            waiting.remove(fastest)
            candidate = _judged(workshop, fastest)
            if candidate.refusal is None:
                return [candidate, *refused, *(contender.candidate for contender in waiting)]
            refused.append(candidate)
            next_ones = first_of(fastest.alternatives)
            waiting += _timed(workshop, next_ones) if len(wanted) > 1 else next_ones
    reasons = "; ".join(f"{candidate.variant.name}: {candidate.refusal}" for candidate in refused)
    drifted = any(isinstance(candidate.refusal, ParityError) for candidate in refused)
    raise (ParityError if drifted else ExportError)(reasons)


def _write_and_open(workshop: Workshop, variant: Variant) -> tuple[Candidate, Classifier | None]:
    folder = workshop.scratch / variant.name.replace(" ", "-")
    folder.mkdir()
    workshop.say(f"write {variant.name}")
    candidate = Candidate(variant, folder)
    try:
        write_variant(folder, workshop.graph_of(variant), variant, workshop.target, workshop.calibration)
        return candidate, load_classifier(folder)
    except (ExportError, ClassifierLoadError) as error:
        return replace(candidate, refusal=error), None


def _judged(workshop: Workshop, contender: _Contender) -> Candidate:
    candidate, precision = contender.candidate, contender.candidate.variant.precision
    reference = workshop.reference()
    workshop.say(f"compare {candidate.variant.name} with PyTorch")
    limits = tolerance_of(precision, gpu=workshop.target.gpu, max_dp=workshop.tolerance)
    images = reference.first(workshop.generated) if precision == "fp32" else reference
    try:
        parity = check_parity(contender.classifier, images, limits, workshop.target.gate_batches)
        if workshop.golden is not None:
            workshop.golden.check(contender.classifier, limits)
    except (ExportError, ClassifierRunError) as error:
        return replace(candidate, refusal=error)
    return replace(candidate, parity=parity)


def _timed(workshop: Workshop, contenders: Sequence[_Contender]) -> list[_Contender]:
    """The same with the best rate of a few runs of each, in turns: whatever else runs here only makes them slower."""
    if contenders:
        workshop.say(f"time {', '.join(contender.candidate.variant.name for contender in contenders)}")
    size_px = workshop.size_px
    pixels = np.random.default_rng(0).integers(0, 256, (_TIMED_BATCH, size_px, size_px, 3), dtype=np.uint8)
    classifiers = [contender.classifier for contender in contenders]
    rounds = [[_seconds(classifier, pixels) for classifier in classifiers] for _ in range(1 + _ROUNDS)][1:]
    best = [min(seconds) for seconds in zip(*rounds, strict=True)]
    return [
        replace(contender, candidate=replace(contender.candidate, images_per_s=_TIMED_BATCH / seconds))
        for contender, seconds in zip(contenders, best, strict=True)
    ]


def _seconds(classifier: Classifier, pixels: NDArray[np.uint8]) -> float:
    """How long a batch takes; infinitely long if it cannot be run, which the gate will say."""
    status = np.zeros((len(pixels), 1), np.int32)
    started = time.monotonic()
    try:
        classifier.run(pixels, status)
    except ClassifierRunError:
        return float("inf")
    return time.monotonic() - started

"""Writes the classifier in the wanted precision, or in several of which the fastest is taken, each through the gate."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from export.errors import ExportError, ParityError
from export.gate.golden import PreparedGolden
from export.gate.parity import ParityResult, Reference, check_parity
from export.precision import Tolerance, Variant, tolerance_of, write_variant
from export.target import Target
from runtime import Classifier, ClassifierLoadError, ClassifierRunError, load_classifier

_BATCH = 16
_ROUNDS = 3
_ROUND_S = 0.7


@dataclass(frozen=True)
class Candidate:
    """A variant that was tried.

    Attributes:
        variant: Which.
        folder: Where its files are.
        parity: What the gate measured; None if it was not passed.
        refusal: Why the variant cannot be served, None if it can.
        images_per_s: Median rate of the classifier alone with all cores; None if it was not measured.
    """

    variant: Variant
    folder: Path
    parity: ParityResult | None = None
    refusal: ExportError | ClassifierLoadError | ClassifierRunError | None = None
    images_per_s: float | None = None

    @property
    def refused(self) -> str:
        """Why the variant cannot be served, "" if it can."""
        return "" if self.refusal is None else str(self.refusal)

    def to_dict(self) -> dict[str, Any]:
        """For the export's report, JSON-ready."""
        return {
            "variant": self.variant.name,
            "parity": asdict(self.parity) if self.parity else None,
            "refused": self.refused,
            "images_per_s": self.images_per_s and round(self.images_per_s, 2),
        }


@dataclass(frozen=True)
class Workshop:
    """What every variant is made from and judged by.

    Attributes:
        graph_of: The served graph with the variant's own EXPORT_ID.
        target: Who will run it.
        scratch: Folder for the variants.
        reference: What PyTorch makes of the gate's images.
        generated: How many of them, the first ones, are generated; fp32 is judged on these alone.
        calibration: Gives calibration images, (S, S, 3) uint8 each.
        tolerance: Limit of max |dp| in place of the precision's own.
        say: Told what is being done.
        golden: The checkpoint's golden images, if it has any.
    """

    graph_of: Callable[[Variant], onnx.ModelProto]
    target: Target
    scratch: Path
    reference: Reference
    generated: int
    calibration: Callable[[], Sequence[NDArray[np.uint8]]]
    tolerance: float | None
    say: Callable[[str], None]
    golden: PreparedGolden | None = None


def make_candidates(workshop: Workshop, wanted: Sequence[Sequence[Variant]]) -> list[Candidate]:
    """Tries variants: of each list up to the first that passes the gate."""
    tried: list[Candidate] = []
    for alternatives in wanted:
        for variant in alternatives:
            tried.append(_make(workshop, variant))
            if not tried[-1].refused:
                break
    return tried


def choose(tried: Sequence[Candidate], reference: Reference, say: Callable[[str], None]) -> list[Candidate]:
    """The candidates with the one to serve first: the fastest that passed; they are timed if there are several.

    Raises:
        ExportError: None passed; the message says why of each.
    """
    passed = [candidate for candidate in tried if candidate.refusal is None]
    refused = [candidate for candidate in tried if candidate.refusal is not None]
    if not passed:
        reasons = "; ".join(f"{candidate.variant.name}: {candidate.refused}" for candidate in refused)
        drifted = any(isinstance(candidate.refusal, ParityError) for candidate in refused)
        raise (ParityError if drifted else ExportError)(reasons)
    if len(passed) > 1:
        say("time the variants")
        rates = _rates([candidate.folder for candidate in passed], reference.squares)
        timed = [replace(candidate, images_per_s=rate) for candidate, rate in zip(passed, rates, strict=True)]
        passed = sorted(timed, key=lambda candidate: -(candidate.images_per_s or 0))
    return passed + refused


def _make(workshop: Workshop, variant: Variant) -> Candidate:
    folder = workshop.scratch / variant.name.replace(" ", "-")
    folder.mkdir()
    workshop.say(f"write {variant.name}")
    try:
        write_variant(folder, workshop.graph_of(variant), variant, workshop.target, workshop.calibration)
        workshop.say(f"parity of {variant.name} with PyTorch")
        parity = _judge(folder, workshop, variant)
    except (ExportError, ClassifierLoadError, ClassifierRunError) as error:
        return Candidate(variant, folder, refusal=error)
    return Candidate(variant, folder, parity)


def _judge(folder: Path, workshop: Workshop, variant: Variant) -> ParityResult:
    limits = limits_of(variant, workshop.tolerance, gpu=workshop.target.gpu)
    classifier = load_classifier(folder)
    try:
        full = workshop.reference
        judged = full.first(workshop.generated) if variant.precision == "fp32" else full
        result = check_parity(classifier, judged, limits, workshop.target.gate_batches)
        if workshop.golden is not None:
            workshop.golden.check(classifier, limits)
        return result
    finally:
        classifier.close()


def limits_of(variant: Variant, tolerance: float | None, *, gpu: bool = False) -> Tolerance:
    """What a variant promises; `tolerance` stands for its own limit of max |dp|, if it is given."""
    limits = tolerance_of(variant.precision, gpu=gpu)
    return limits if tolerance is None else replace(limits, max_dp=tolerance, mean_dp=tolerance)


def _rates(folders: Sequence[Path], squares: NDArray[np.uint8]) -> list[float]:
    """Median images per second of each classifier, in interleaved rounds."""
    classifiers = [load_classifier(folder) for folder in folders]
    try:
        rounds = [[_rate(classifier, squares) for classifier in classifiers] for _ in range(_ROUNDS)]
    finally:
        for classifier in classifiers:
            classifier.close()
    return [statistics.median(rates) for rates in zip(*rounds, strict=True)]


def _rate(classifier: Classifier, squares: NDArray[np.uint8]) -> float:
    batch = np.resize(squares, (_BATCH, *squares.shape[1:]))
    status = np.zeros((_BATCH, 1), np.int32)
    classifier.run(batch, status)
    done, started = 0, time.monotonic()
    while (elapsed_s := time.monotonic() - started) < _ROUND_S:
        classifier.run(batch, status)
        done += _BATCH
    return done / elapsed_s

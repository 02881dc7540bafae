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
from numpy.typing import NDArray

from export.errors import ExportError, FlatScoresError, ParityError
from export.gate.parity import ParityResult
from export.settings import Progress, Step
from export.target import Variant
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
class _Contender:
    """A candidate that waits for its judgement, its classifier, and what takes its place if it is refused."""

    candidate: Candidate
    classifier: Classifier
    alternatives: Sequence[Variant]


def take_fastest(
    wanted: Sequence[Sequence[Variant]],
    scratch: Path,
    size_px: int,
    write: Callable[[Variant, Path], None],
    judge: Callable[[Variant, Classifier], ParityResult],
    progress: Progress,
) -> list[Candidate]:
    """Writes variants, times them if there are several, and judges them from the fastest down.

    Args:
        wanted: From `variants_of`.
        scratch: Folder for the variants.
        size_px: Side of the classifier's input.
        write: Writes a variant into an empty folder; raises ExportError where that cannot be done.
        judge: Puts a variant through the gate; raises ExportError or ClassifierRunError where it does not pass.
        progress: Told each step.

    Returns:
        Every variant that was written, the one to serve first, those that were not judged last.

    Raises:
        ExportError: None passed; the message says why of each.
    """
    refused: list[Candidate] = []
    with ExitStack() as opened:

        def first_of(alternatives: Sequence[Variant]) -> list[_Contender]:
            """The first variant that can be written and opened, if any, timed; those before it are refused."""
            for position, variant in enumerate(alternatives):
                progress(Step(f"write {variant.name}"))
                candidate = Candidate(variant, scratch / variant.name.replace(" ", "-"))
                candidate.folder.mkdir()
                try:
                    write(variant, candidate.folder)
                    classifier = load_classifier(candidate.folder)
                except (ExportError, ClassifierLoadError) as error:
                    refused.append(replace(candidate, refusal=error))
                    continue
                opened.callback(classifier.close)
                return [_Contender(candidate, classifier, alternatives[position + 1 :])]
            return []

        def timed(contenders: list[_Contender]) -> list[_Contender]:
            return _timed(contenders, size_px, progress) if len(wanted) > 1 and contenders else contenders

        waiting = timed([contender for alternatives in wanted for contender in first_of(alternatives)])
        while waiting:
            fastest = max(waiting, key=lambda contender: contender.candidate.images_per_s or 0)
            waiting.remove(fastest)
            candidate = fastest.candidate
            try:
                parity = judge(candidate.variant, fastest.classifier)
            except FlatScoresError:
                raise  # no other variant can help
            except (ExportError, ClassifierRunError) as error:
                refused.append(replace(candidate, refusal=error))
                waiting += timed(first_of(fastest.alternatives))
                continue
            return [replace(candidate, parity=parity), *refused, *(contender.candidate for contender in waiting)]
    reasons = "; ".join(f"{candidate.variant.name}: {candidate.refusal}" for candidate in refused)
    drifted = any(isinstance(candidate.refusal, ParityError) for candidate in refused)
    raise (ParityError if drifted else ExportError)(reasons)


def _timed(contenders: Sequence[_Contender], size_px: int, progress: Progress) -> list[_Contender]:
    """The same with the best rate of a few runs of each, in turns: whatever else runs here only makes them slower."""
    progress(Step(f"time {', '.join(contender.candidate.variant.name for contender in contenders)}"))
    pixels = np.random.default_rng(0).integers(0, 256, (_TIMED_BATCH, size_px, size_px, 3), dtype=np.uint8)
    classifiers = [contender.classifier for contender in contenders]
    _warm_up, *rounds = [[_seconds(classifier, pixels) for classifier in classifiers] for _ in range(1 + _ROUNDS)]
    rates = [_TIMED_BATCH / min(seconds) for seconds in zip(*rounds, strict=True)]
    return [
        replace(contender, candidate=replace(contender.candidate, images_per_s=rate))
        for contender, rate in zip(contenders, rates, strict=True)
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

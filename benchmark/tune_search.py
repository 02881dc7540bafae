"""Looks for the best serving configuration: coordinate descent from the default, on a machine whose speed wavers."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

MIN_GAIN = 0.02
"""What a change must gain at least, whatever the rounds agree on."""

VIDEO_WEIGHT, SINGLES_WEIGHT, P99_WEIGHT = 0.45, 0.45, 0.1

SCORE_TEXT = (
    f"images/s of one video at a time^{VIDEO_WEIGHT} x images/s of 8 clients with single images^{SINGLES_WEIGHT} x "
    f"(1 / their p99)^{P99_WEIGHT}"
)


class TrialError(Exception):
    """A configuration cannot be measured: it does not start, or does not answer."""


@dataclass(frozen=True)
class Configuration:
    """One way to serve; see `export.plan_file.PlanFile`."""

    preprocess_instances: int
    classifier_instances: int
    cores_per_instance: int
    preferred_batch: int
    queue_delay_us: int
    chunk_frames: int

    def changes_from(self, other: "Configuration") -> str:
        """`name value` of each field that differs."""
        changed = [name for name in self.__dataclass_fields__ if getattr(self, name) != getattr(other, name)]
        return ", ".join(f"{name} {getattr(self, name)}" for name in changed)


@dataclass(frozen=True)
class Figures:
    """What was measured of a configuration.

    Attributes:
        video_images_per_s: One video of 30 frames after the other.
        video_latency_s: Median time of one.
        singles_images_per_s: Of clients that send one image at a time.
        singles_p50_s: Median latency of one.
        singles_p99_s: 99th percentile.
    """

    video_images_per_s: float
    video_latency_s: float
    singles_images_per_s: float
    singles_p50_s: float
    singles_p99_s: float

    @property
    def score(self) -> float:
        """Weighted geometric mean; only the ratio of two has a meaning."""
        return math.exp(
            VIDEO_WEIGHT * math.log(self.video_images_per_s)
            + SINGLES_WEIGHT * math.log(self.singles_images_per_s)
            - P99_WEIGHT * math.log(self.singles_p99_s)
        )

    @classmethod
    def median(cls, rounds: "Sequence[Figures]") -> "Figures":
        """Of each figure on its own."""
        return cls(*(statistics.median(getattr(one, name) for one in rounds) for name in cls.__dataclass_fields__))


@dataclass(frozen=True)
class Trial:
    """A candidate against the best so far, in interleaved rounds.

    Attributes:
        candidate: What was tried.
        best: What it had to beat.
        ratios: Its score over the best's, round by round; empty if it could not be measured.
        candidate_figures: Medians; None likewise.
        best_figures: Medians; None likewise.
        failure: Why it could not be measured, or "".
    """

    candidate: Configuration
    best: Configuration
    ratios: tuple[float, ...] = ()
    candidate_figures: Figures | None = None
    best_figures: Figures | None = None
    failure: str = ""

    @property
    def gain(self) -> float:
        """Of the median round: 0.05 is 5 % better."""
        return statistics.median(self.ratios) - 1 if self.ratios else 0.0

    @property
    def needed(self) -> float:
        """Half of the range of the rounds, and no less than `MIN_GAIN`."""
        return max(MIN_GAIN, (max(self.ratios) - min(self.ratios)) / 2) if self.ratios else MIN_GAIN

    @property
    def won(self) -> bool:
        """Whether the candidate gained more than the rounds differ; the best so far wins ties."""
        return self.gain > self.needed

    def verdict(self) -> str:
        """In words."""
        if self.failure:
            return f"failed: {self.failure}"
        return f"{self.gain:+.1%}, needed {self.needed:.1%}: {'taken' if self.won else 'not taken'}"


@dataclass(frozen=True)
class Outcome:
    """Where the search ended.

    Attributes:
        default: Where it began.
        winner: The best; the default unless something beat it twice.
        trials: All comparisons, in order.
        final: The winner of the trials against the default once more; None if the default won them all.
    """

    default: Configuration
    winner: Configuration
    trials: tuple[Trial, ...]
    final: Trial | None

    def reason(self) -> str:
        """Why the winner won."""
        taken = f"{sum(trial.won for trial in self.trials)} of {len(self.trials)} candidates taken"
        if self.final is None:
            return f"the default stays: none of {len(self.trials)} candidates beat it by more than the rounds differ"
        changes = self.final.candidate.changes_from(self.default)
        last = self.final.failure or f"{self.final.gain:+.1%}, needed {self.final.needed:.1%}"
        if not self.final.won:
            return f"the default stays: {changes} ({taken}) did not beat it once more ({last})"
        return f"{changes}: {taken}, confirmed in {len(self.final.ratios)} rounds against the default ({last})"


Measure = Callable[[Configuration], Figures]
Axes = Mapping[str, Sequence[Mapping[str, int]]]


def axes_for(cores: int, most_instances: int) -> Axes:
    """What is tried on a machine, axis by axis: the values that an axis's fields take together.

    Frames per request come first, since they need no other server.

    Args:
        cores: That are usable.
        most_instances: Of preprocess: what memory holds, with two servers at once.
    """
    instances = sorted(n for n in {1, max(cores // 2, 1), cores, cores + 1} if n <= max(most_instances, 1))
    shares = {(1, 0)} | ({(1, cores - 1)} if cores > 1 else set()) | ({(2, 0), (2, cores)} if cores >= 4 else set())
    return {
        "chunk_frames": [{"chunk_frames": frames} for frames in (4, 8, 15, 30)],
        "preprocess": [{"preprocess_instances": count} for count in instances],
        "classifier": [{"classifier_instances": n, "cores_per_instance": share} for n, share in sorted(shares)],
        "preferred_batch": [{"preferred_batch": frames} for frames in (4, 8, 16)],
        "queue_delay": [{"queue_delay_us": delay} for delay in (0, 500, 2000)],
    }


def search(
    default: Configuration, axes: Axes, measure: Measure, rounds: int, most: int, say: Callable[[str], None]
) -> Outcome:
    """Passes over the axes until one changes nothing, or enough was tried; then the winner meets the default again.

    Args:
        default: Where to begin; it wins ties.
        axes: What to try.
        measure: Measures a configuration once.
        rounds: Of each comparison; the last one has twice as many.
        most: Configurations to try, the default included.
        say: Shows one line to the user.

    Raises:
        TrialError: The default, or a configuration that was measured before, cannot be measured any more.
    """
    best, tried, trials = default, {default}, list[Trial]()
    changed = True
    while changed:
        changed = False
        for values in axes.values():
            for value in values:
                candidate = replace(best, **value)
                if candidate in tried or len(tried) >= most:
                    continue
                tried.add(candidate)
                trials.append(compare(best, candidate, measure, rounds))
                say(f"{len(tried)} of at most {most}, {candidate.changes_from(best)}: {trials[-1].verdict()}")
                if trials[-1].won:
                    best, changed = candidate, True
    if best == default:
        return Outcome(default, default, tuple(trials), None)
    say("the best against the default once more")
    final = compare(default, best, measure, 2 * rounds)
    say(f"{best.changes_from(default)}: {final.verdict()}")
    return Outcome(default, best if final.won else default, tuple(trials), final)


def compare(best: Configuration, candidate: Configuration, measure: Measure, rounds: int) -> Trial:
    """Measures both in every round, the one that begins changing, so that drift meets both alike.

    Raises:
        TrialError: The best cannot be measured any more.
    """
    found: dict[Configuration, list[Figures]] = {best: [], candidate: []}
    for number in range(rounds):
        for one in (best, candidate) if number % 2 == 0 else (candidate, best):
            try:
                found[one].append(measure(one))
            except TrialError as error:
                if one == best:
                    raise
                return Trial(candidate, best, failure=str(error))
    ratios = tuple(ours.score / theirs.score for ours, theirs in zip(found[candidate], found[best], strict=True))
    return Trial(candidate, best, ratios, Figures.median(found[candidate]), Figures.median(found[best]))

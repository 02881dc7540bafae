"""Stretches of a video in which one sampled frame after another looks fake, and where to look closer.

A sampled frame stands for the time around it: from half-way to the sampled frame before it, to half-way to the one
after it. The first one begins, and the last one ends, at its own time.
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

LONE_PEAK = 0.1
"""How far the highest frame lies above the 90th percentile when it stands alone: 10 points of 100, from which on the
risk score counts it by itself."""

LARGEST_SHARE = 0.5
"""Longer stretches are not looked at again: frames would come to lie less than twice as close, and the mean tells."""

Probabilities = Sequence[float | None]
"""0-1 for each sampled frame in the order of time; None where a frame has none, which ends a stretch."""


class Segment(BaseModel):
    """Consecutive sampled frames above the fake band."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    start_s: float
    """Seconds from the video's first frame, half-way to the sampled frame before."""
    end_s: float
    """Half-way to the sampled frame after."""
    person: int | None
    """Whose face; null where whole pictures were judged."""
    frames: int = Field(ge=1)
    """Sampled frames in it."""
    mean_probability: float
    """Mean fake probability of these frames, 0-1."""


def find_segments(
    times_s: Sequence[float], probabilities: Probabilities, fake_above: float, person: int | None = None
) -> list[Segment]:
    """The stretches of one person, or of whole pictures.

    Args:
        times_s: Of all sampled frames, ascending.
        probabilities: One for each of them.
        fake_above: Edge of the fake band, 0-1.
        person: Whose probabilities they are; None for whole pictures.
    """
    found = []
    for first, last in _stretches(probabilities, fake_above):
        p = [value for value in probabilities[first : last + 1] if value is not None]
        found.append(
            Segment(
                start_s=round((times_s[max(first - 1, 0)] + times_s[first]) / 2 if first else times_s[0], 6),
                end_s=round((times_s[last] + times_s[min(last + 1, len(times_s) - 1)]) / 2, 6),
                person=person,
                frames=len(p),
                mean_probability=sum(p) / len(p),
            )
        )
    return found


def part_to_look_at(
    times_s: Sequence[float], series: Sequence[Probabilities], fake_above: float
) -> tuple[float, float] | None:
    """The part of a video in which further frames tell most: around the stretch, or the lone peak, that is highest.

    It reaches from the sampled frame before that to the one after it, both not included. None where no frames disagree:
    all lie above the fake band, or none does and no peak stands alone.

    Args:
        times_s: Of all sampled frames, ascending, in seconds from the video's first frame.
        series: The probabilities of each person, or those of the whole pictures.
        fake_above: Edge of the fake band, 0-1.
    """
    found: list[tuple[float, int, int]] = []
    for probabilities in series:
        stretches = list(_stretches(probabilities, fake_above)) or list(_lone_peak(probabilities))
        found += [(_highest(probabilities[i : j + 1]), i, j) for i, j in stretches]
    found = [(peak, i, j) for peak, i, j in found if j - i + 1 <= LARGEST_SHARE * len(times_s)]
    if not found:
        return None
    _, first, last = max(found, key=lambda one: (one[0], -one[1]))
    before = times_s[first - 1] if first else 0.0
    after = times_s[last + 1] if last + 1 < len(times_s) else times_s[-1] + times_s[-1] / len(times_s)
    return before, after


def _stretches(probabilities: Probabilities, fake_above: float) -> Iterator[tuple[int, int]]:
    """First and last position of each."""
    above = [p is not None and p > fake_above for p in probabilities]
    for is_above, positions in itertools.groupby(range(len(above)), key=above.__getitem__):
        if is_above:
            stretch = list(positions)
            yield stretch[0], stretch[-1]


def _lone_peak(probabilities: Probabilities) -> Iterator[tuple[int, int]]:
    p = [value for value in probabilities if value is not None]
    if p and max(p) > np.percentile(p, 90) + LONE_PEAK:
        at = list(probabilities).index(max(p))
        yield at, at


def _highest(probabilities: Probabilities) -> float:
    return max(value for value in probabilities if value is not None)

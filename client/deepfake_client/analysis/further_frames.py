"""Further frames of a video, around what stands out among those that are spread over it.

They sharpen when a stretch begins and ends, and tell it from a single frame that errs. Nothing else is made of them:
they crowd around the highest frame, so that a mean over them too would be too high.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from deepfake_client.analysis.media_facts import places_of_frames
from deepfake_client.analysis.people import find_people
from deepfake_client.analysis.segments import part_to_look_at
from deepfake_client.errors import DetectionError
from deepfake_client.media import Frame
from deepfake_client.scorer import Deadline, FrameScore, Scoring
from deepfake_client.scores import MAX_SCORED_FRAMES

_TIMES_AS_LONG = 2.0
"""How many times what the first frames took must be left for the further ones: they are no more, and may be slower."""


@dataclass(frozen=True)
class FurtherLimits:
    """What further frames may take.

    Attributes:
        count: Most of them.
        max_bytes: Bounds all encoded frames together, the first ones among them.
        took_s: Seconds that reading and scoring the first frames took.
    """

    count: int
    max_bytes: int
    took_s: float


class ReadPart(Protocol):
    """Reads frames of a video."""

    def __call__(self, within_s: tuple[float, float], count: int, max_bytes: int) -> list[Frame]:
        """Up to `count` frames of a part of the time, with up to `max_bytes` together."""


def score_further_frames(
    frames: Sequence[Frame],
    scoring: Scoring,
    deadline: Deadline,
    limits: FurtherLimits,
    read: ReadPart,
    score: Callable[[Sequence[bytes]], Scoring],
) -> tuple[list[Frame], list[FrameScore]]:
    """Samples and scores further frames of a video; none where nothing stands out, time is short, or anything fails.

    Args:
        frames: Those that are spread over the video.
        scoring: Their scores.
        deadline: Of the whole detection.
        limits: What the further frames may take.
        read: Reads them.
        score: Scores them.

    Raises:
        DeadlineExceededError: The deadline was cancelled.
    """
    bands, facts = scoring.info.verdict_bands.video, places_of_frames(frames)
    series = find_people(scoring.scores, facts, bands).series(scoring.scores)
    part = part_to_look_at(facts.times_s, list(series.values()), bands.fake_above)
    used = sum(len(frame.encoded) for frame in frames)
    left = limits.max_bytes - used
    count = min(limits.count, left * len(frames) // used)
    all_known = len(frames) < MAX_SCORED_FRAMES
    if part is None or all_known or count < 1 or not deadline.has_s(_TIMES_AS_LONG * limits.took_s):
        return [], []
    known = {round(time_s, 6) for time_s in facts.times_s}
    try:
        new = [frame for frame in read(part, count, left) if round(frame.timestamp_s, 6) not in known]
        scored = score([frame.encoded for frame in new]) if new else scoring
    except DetectionError:
        if deadline.cancelled:
            raise
        return [], []
    if scored.info.release_id != scoring.info.release_id or not new:
        return [], []
    return [replace(frame, index=len(frames) + i) for i, frame in enumerate(new)], scored.scores

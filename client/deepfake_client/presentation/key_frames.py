"""Which frames of a detection are worth showing, and why."""

import itertools
from collections.abc import Iterable, Sequence

from deepfake_client.analysis.crops import DIGITS
from deepfake_client.analysis.findings import SMALL_FACE_PX
from deepfake_client.media import MediaType, TextEnum
from deepfake_client.result import DetectionOutput
from deepfake_client.scorer import OK


class KeyFrameReason(TextEnum):
    """Why a frame is shown."""

    ONLY_IMAGE = "ONLY_IMAGE"
    HIGHEST = "HIGHEST"
    LOWEST = "LOWEST"
    TYPICAL = "TYPICAL"
    PEAK = "PEAK"
    FIRST_WITHOUT_FACE = "FIRST_WITHOUT_FACE"
    SMALLEST_FACE = "SMALLEST_FACE"


PEAK_PROMINENCE = 0.1
"""How far a peak stands above the valleys beside it, in fake probability: the 10 points from which a single frame
raises the risk score."""

MAX_PEAKS = 3
"""Most peaks that are marked, the highest frame included: more would not stand out."""

_EXPLANATIONS = {
    KeyFrameReason.ONLY_IMAGE: "the image itself",
    KeyFrameReason.HIGHEST: "highest fake probability",
    KeyFrameReason.LOWEST: "lowest fake probability",
    KeyFrameReason.TYPICAL: "closest to the mean",
    KeyFrameReason.PEAK: "a peak: stands out from the frames around it",
    KeyFrameReason.FIRST_WITHOUT_FACE: "first frame in which no face was found: the model saw all of it",
    KeyFrameReason.SMALLEST_FACE: "smallest face, too small to be judged reliably",
}


def explain(reasons: Iterable[KeyFrameReason]) -> str:
    """The reasons in words."""
    return "; ".join(_EXPLANATIONS[reason] for reason in reasons)


def choose_key_frames(output: DetectionOutput) -> dict[int, list[KeyFrameReason]]:
    """The frames that are shown, and the reasons, by position in `output.frames`, ascending.

    They are chosen by `output.deciding_probabilities`. Of equal frames the first is taken; probabilities that are equal
    in the report's decimals count as equal.
    """
    p = _known(output.deciding_probabilities)
    chosen: dict[int, list[KeyFrameReason]] = {}
    if output.details.input_type is MediaType.IMAGE:
        return {at: [KeyFrameReason.ONLY_IMAGE] for at in p}

    def choose(at: int, reason: KeyFrameReason) -> None:
        chosen.setdefault(at, []).append(reason)

    highest = max(p, key=lambda at: (p[at], -at))
    mean = sum(p.values()) / len(p)
    choose(highest, KeyFrameReason.HIGHEST)
    choose(min(p, key=lambda at: (p[at], at)), KeyFrameReason.LOWEST)
    choose(min(p, key=lambda at: (round(abs(p[at] - mean), DIGITS), at)), KeyFrameReason.TYPICAL)
    for at in find_peaks(output.deciding_probabilities):
        if at != highest:
            choose(at, KeyFrameReason.PEAK)
    scored = {at: frame.score for at, frame in enumerate(output.frames) if frame.score.status == OK}
    sides_px = {at: score.faces[0].shorter_side_px for at, score in scored.items() if score.faces}
    without = [at for at in scored if at not in sides_px]
    if sides_px and without:
        choose(without[0], KeyFrameReason.FIRST_WITHOUT_FACE)
    if any(side_px < SMALL_FACE_PX for side_px in sides_px.values()):
        choose(min(sides_px, key=lambda at: (round(sides_px[at], 1), at)), KeyFrameReason.SMALLEST_FACE)
    return dict(sorted(chosen.items()))


def find_peaks(probabilities: Sequence[float | None]) -> list[int]:
    """Positions of the highest frame and of other local maxima that stand out, the highest first.

    A maximum stands out if on both sides the curve falls by `PEAK_PROMINENCE` before it rises above the maximum; an end
    of the curve counts as a fall. Frames without a probability are passed over.
    """
    p = _known(probabilities)
    places, values = list(p), list(p.values())
    peaks = sorted(
        (i for i in range(len(values)) if _prominence(values, i) >= PEAK_PROMINENCE), key=lambda i: (-values[i], i)
    )
    highest = [values.index(max(values))] if values else []
    kept = highest + [i for i in peaks if i not in highest]
    return [places[i] for i in kept[:MAX_PEAKS]]


def _prominence(values: Sequence[float], i: int) -> float:
    """Height over the higher of the two valleys beside it; of a plateau only the first value stands out."""
    before = itertools.takewhile(lambda value: value < values[i], reversed(values[:i]))
    after = itertools.takewhile(lambda value: value <= values[i], values[i + 1 :])
    valleys = []
    if i > 0:
        valleys.append(min(before, default=values[i]))
    if i < len(values) - 1:
        valleys.append(min(after, default=values[i]))
    return values[i] - max(valleys, default=values[i])


def _known(probabilities: Sequence[float | None]) -> dict[int, float]:
    """By position, rounded, so that noise below the report's decimals never changes which frame is shown."""
    return {at: round(p, DIGITS) for at, p in enumerate(probabilities) if p is not None}

"""What makes a result unreliable: rules over a detection, each with its threshold and the reason for it.

Only what the service's answers show is judged. What no answer can show stands in `LIMITS`.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median, pstdev

from deepfake_client.evidence.document import BandsOrigin, Finding, FindingCode, Severity
from deepfake_client.evidence.key_frames import SMALL_FACE_PX, shorter_side_px
from deepfake_client.media import MediaType
from deepfake_client.release import ReleaseBands, VerdictBands
from deepfake_client.result import DetectionOutput
from deepfake_client.scorer import OK

FEW_FACES_SHARE = 0.5
"""With a face in less than half of the frames, most of the mean is about whole scenes and not about a face."""

LOW_RESOLUTION_PX = 360
"""Shorter side of the frame. Smaller pictures have mostly been reduced and compressed again on their way, which removes
the fine traces that a detector looks for."""

FEW_FRAMES = 11
"""With fewer values their 90th percentile, `video_score`, lies above the second highest: a single frame moves it."""

SHORT_VIDEO_S = 2.0
"""Frames of a shorter video show nearly the same picture: they are hardly more than one observation."""

DISAGREEING_SHARE = 0.1
"""Share of the frames that must lie in the fake band, and in the real band, to call the scores split: 3 of 30, so that
a single odd frame does not."""

DISAGREEING_DEVIATION = 0.2
"""Standard deviation of the frames' probabilities; from it on `temporal_consistency` is 60 or less."""

ISOLATED_PEAK_POINTS = 10.0
"""Points of 100 that the highest frame lies above `video_score` when the risk score begins to count it by itself."""

NEAR_EDGE = 0.05
"""Distance to a band's edge, in fake probability: saving the same picture again with another decoder or resize moved
scores by 0.01 to 0.06."""

LIMITS = (
    "A score is a model's estimate, not proof. It says how much a picture resembles what the model learned as fake.",
    "A fake probability is not the probability that the file is fake, unless the bands and scores were calibrated on "
    "material like it.",
    "Manipulations of a kind that the model has not learned can go unnoticed; retouching, filters, strong compression "
    "and screen recordings of real footage can look fake.",
    "Only the largest face of a frame is judged. Other faces, the background and any sound are not.",
    "Of a video a sample of at most 30 frames is judged: a manipulation between them is not seen.",
    "The SHA-256 ties this report to one file, not to the file's origin: it does not say who made it or when.",
)


@dataclass(frozen=True)
class Subject:
    """What the rules look at.

    Attributes:
        output: The detection.
        frame_size_px: Width and height of the frames as displayed; None if not known.
        bands: Those of the verdict.
        origin: Where they come from.
    """

    output: DetectionOutput
    frame_size_px: tuple[int, int] | None
    bands: VerdictBands
    origin: BandsOrigin

    @property
    def is_video(self) -> bool:
        """Whether it is no single image."""
        return self.output.details.input_type is MediaType.VIDEO

    @property
    def probabilities(self) -> list[float]:
        """Of the scored frames."""
        scores = (frame.score.fake_probability for frame in self.output.frames)
        return [p for p in scores if p is not None]

    @property
    def face_sides_px(self) -> list[float]:
        """Shorter side of the face in each scored frame that has one."""
        scored = (frame.score for frame in self.output.frames if frame.score.status == OK)
        return [shorter_side_px(score.face_box_px) for score in scored if score.face_box_px is not None]


def find_weaknesses(subject: Subject) -> list[Finding]:
    """All findings, the worst first; within a severity in the order of `FindingCode`."""
    found = []
    for code, severity, rule in _RULES:
        message = rule(subject)
        if message:
            found.append(Finding(code=code, severity=severity, message=message))
    order = list(Severity)
    return sorted(found, key=lambda finding: order.index(finding.severity))


def bands_of(output: DetectionOutput) -> tuple[VerdictBands, BandsOrigin]:
    """The bands that decided a verdict, and where they come from.

    A release without a calibration does not say who chose its bands: those equal to the defaults count as the defaults.
    """
    media_type = output.details.input_type
    bands = output.model.verdict_bands.of(media_type)
    chosen = output.model.calibration is not None or bands != ReleaseBands().of(media_type)
    return bands, BandsOrigin.CHECKPOINT if chosen else BandsOrigin.DEFAULT


def _untrained_model(subject: Subject) -> str:
    if subject.output.model.trained:
        return ""
    return "The model's weights were never trained: its scores are arbitrary and mean nothing."


def _no_face(subject: Subject) -> str:
    if not subject.output.model.preprocess.face_detection or subject.face_sides_px:
        return ""
    where = "any of the scored frames" if subject.is_video else "the image"
    return f"No face was found in {where}: the model judged the whole picture, for which it may not be meant."


def _few_faces(subject: Subject) -> str:
    faces, frames = len(subject.face_sides_px), len(subject.probabilities)
    if not subject.output.model.preprocess.face_detection or not 0 < faces < FEW_FACES_SHARE * frames:
        return ""
    return (
        f"A face was found in only {faces} of {frames} scored frames, less than half: the other frames count as much, "
        "and of them the whole picture was judged."
    )


def _small_face(subject: Subject) -> str:
    sides = subject.face_sides_px
    if not sides or median(sides) >= SMALL_FACE_PX:
        return ""
    what = "The face is" if len(sides) == 1 else "Half of the faces found, or more, are at most"
    return f"{what} {median(sides):.0f} px on its shorter side; below {SMALL_FACE_PX} px scores are unreliable."


def _face_detection_off(subject: Subject) -> str:
    if subject.output.model.preprocess.face_detection:
        return ""
    return "This release does not look for faces: the model judged the whole picture."


def _low_resolution(subject: Subject) -> str:
    if subject.frame_size_px is None or min(subject.frame_size_px) >= LOW_RESOLUTION_PX:
        return ""
    width, height = subject.frame_size_px
    return (
        f"The picture is {width} x {height} px, its shorter side under {LOW_RESOLUTION_PX} px: fine traces of a "
        "manipulation may be lost."
    )


def _frames_failed(subject: Subject) -> str:
    frames = subject.output.frames
    failed = Counter(frame.score.status for frame in frames if frame.score.status != OK)
    if not failed:
        return ""
    reasons = "; ".join(
        f"{status} ({count}): {subject.output.model.status_meaning(status)}".removesuffix(": ")
        for status, count in sorted(failed.items())
    )
    return f"The result leaves out {sum(failed.values())} of {len(frames)} frames that could not be scored. {reasons}"


def _few_frames(subject: Subject) -> str:
    frames = len(subject.probabilities)
    if not subject.is_video or frames >= FEW_FRAMES:
        return ""
    return f"Only {_frames(frames)} scored, fewer than {FEW_FRAMES}: a single frame moves the scores."


def _short_video(subject: Subject) -> str:
    duration_s = duration_of(subject.output)
    if duration_s is None or duration_s >= SHORT_VIDEO_S:
        return ""
    return (
        f"The video lasts {duration_s:.2f} s, under {SHORT_VIDEO_S:g} s: its frames show nearly the same picture and "
        "confirm each other little."
    )


def _scores_disagree(subject: Subject) -> str:
    p, bands = subject.probabilities, subject.bands
    fake, real = sum(v > bands.fake_above for v in p), sum(v < bands.real_below for v in p)
    if min(fake, real) >= max(DISAGREEING_SHARE * len(p), 1):
        return f"The frames contradict each other: {fake} lie in the fake band and {real} in the real band."
    if pstdev(p) >= DISAGREEING_DEVIATION:
        return (
            f"The frames' scores vary widely, with a standard deviation of {pstdev(p):.2f} "
            f"({DISAGREEING_DEVIATION} or more): their mean describes few of them."
        )
    return ""


def _isolated_peak(subject: Subject) -> str:
    scores = subject.output.scores
    if not scores.peak_risk > scores.video_score + ISOLATED_PEAK_POINTS:
        return ""
    return (
        f"The highest frame ({scores.peak_risk:.2f}) lies more than {ISOLATED_PEAK_POINTS:g} points above the 90th "
        f"percentile ({scores.video_score:.2f}): a single frame raises the risk score. Look at that frame."
    )


def _near_band_edge(subject: Subject) -> str:
    p, bands = subject.output.confidence_score, subject.bands
    name, edge = min(
        (("real", bands.real_below), ("fake", bands.fake_above)), key=lambda named: (abs(p - named[1]), named[0])
    )
    if abs(p - edge) >= NEAR_EDGE:
        return ""
    return (
        f"The fake probability {p:.4f} is less than {NEAR_EDGE} from the edge of the {name} band ({edge:g}): saving "
        "the same picture again could change the verdict."
    )


def _default_bands(subject: Subject) -> str:
    if subject.origin is not BandsOrigin.DEFAULT:
        return ""
    return (
        "The verdict bands are this project's defaults, the same for every model, and not calibrated for this one: "
        "how often it is right at such a score is not known."
    )


def _reduced_precision(subject: Subject) -> str:
    precision = subject.output.model.precision
    if precision == "fp32":
        return ""
    return f"The model runs in {precision}: its scores may differ slightly from those of the checkpoint in fp32."


def duration_of(output: DetectionOutput) -> float | None:
    """Seconds from a video's first to its last sampled frame; None for an image."""
    if output.details.input_type is not MediaType.VIDEO:
        return None
    return max((frame.timestamp_s for frame in output.frames), default=0.0)


def _frames(count: int) -> str:
    return f"{count} frame was" if count == 1 else f"{count} frames were"


_RULES: Sequence[tuple[FindingCode, Severity, Callable[[Subject], str]]] = (
    (FindingCode.UNTRAINED_MODEL, Severity.CRITICAL, _untrained_model),
    (FindingCode.NO_FACE, Severity.WARNING, _no_face),
    (FindingCode.FEW_FACES, Severity.WARNING, _few_faces),
    (FindingCode.SMALL_FACE, Severity.WARNING, _small_face),
    (FindingCode.FACE_DETECTION_OFF, Severity.NOTE, _face_detection_off),
    (FindingCode.LOW_RESOLUTION, Severity.WARNING, _low_resolution),
    (FindingCode.FRAMES_FAILED, Severity.WARNING, _frames_failed),
    (FindingCode.FEW_FRAMES, Severity.WARNING, _few_frames),
    (FindingCode.SHORT_VIDEO, Severity.WARNING, _short_video),
    (FindingCode.SCORES_DISAGREE, Severity.WARNING, _scores_disagree),
    (FindingCode.ISOLATED_PEAK, Severity.NOTE, _isolated_peak),
    (FindingCode.NEAR_BAND_EDGE, Severity.WARNING, _near_band_edge),
    (FindingCode.DEFAULT_BANDS, Severity.NOTE, _default_bands),
    (FindingCode.REDUCED_PRECISION, Severity.NOTE, _reduced_precision),
)

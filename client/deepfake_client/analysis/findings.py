"""What makes a result unreliable: rules over a detection, each with its threshold and the reason for it.

Only what the service's answers show is judged. What no answer can show stands in `LIMITS`.
"""

from collections import Counter
from collections.abc import Iterator
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


_Found = Iterator[tuple[FindingCode, str]]
"""Findings with their messages."""


def find_weaknesses(
    output: DetectionOutput, frame_size_px: tuple[int, int] | None, *, is_transparent: bool = False
) -> list[Finding]:
    """All findings, the worst first; within a severity in the order of `FindingCode`.

    Args:
        output: The detection.
        frame_size_px: Width and height of the frames as displayed; None if not known.
        is_transparent: Whether a background shows through the image.
    """
    messages = {**dict(_of_model(output)), **dict(_of_faces(output)), **dict(_of_frames(output, frame_size_px))}
    messages |= {**dict(_of_picture(output, is_transparent)), **dict(_of_scores(output))}
    found = [Finding(code=c, severity=c.severity, message=messages[c]) for c in FindingCode if c in messages]
    return sorted(found, key=lambda finding: list(Severity).index(finding.severity))


def bands_of(output: DetectionOutput) -> tuple[VerdictBands, BandsOrigin]:
    """The bands that decided a verdict, and where they come from.

    A release without a calibration does not say who chose its bands: those equal to the defaults count as the defaults.
    """
    media_type = output.details.input_type
    bands = output.model.verdict_bands.of(media_type)
    chosen = output.model.calibration is not None or bands != ReleaseBands().of(media_type)
    return bands, BandsOrigin.CHECKPOINT if chosen else BandsOrigin.DEFAULT


def duration_of(output: DetectionOutput) -> float | None:
    """Seconds from a video's first to its last sampled frame; None for an image."""
    if not _is_video(output):
        return None
    return max((frame.timestamp_s for frame in output.frames), default=0.0)


def _is_video(output: DetectionOutput) -> bool:
    return output.details.input_type is MediaType.VIDEO


def _of_model(output: DetectionOutput) -> _Found:
    model = output.model
    if not model.trained:
        yield (
            FindingCode.UNTRAINED_MODEL,
            "The model's weights were never trained: its scores are arbitrary and mean nothing.",
        )
    if not model.preprocess.face_detection:
        yield (
            FindingCode.FACE_DETECTION_OFF,
            "This release does not look for faces: the model judged the whole picture.",
        )
    if bands_of(output)[1] is BandsOrigin.DEFAULT:
        yield (
            FindingCode.DEFAULT_BANDS,
            "The verdict bands are this project's defaults, the same for every model, and not calibrated for this one: "
            "how often it is right at such a score is not known.",
        )
    if model.precision != "fp32":
        yield (
            FindingCode.REDUCED_PRECISION,
            f"The model runs in {model.precision}: its scores may differ slightly from those of the checkpoint in "
            "fp32.",
        )


def _of_faces(output: DetectionOutput) -> _Found:
    scored = [frame.score for frame in output.frames if frame.score.status == OK]
    sides = [shorter_side_px(score.face_box_px) for score in scored if score.face_box_px is not None]
    if sides and median(sides) < SMALL_FACE_PX:
        what = "The face is" if len(sides) == 1 else "Half of the faces found, or more, are at most"
        yield (
            FindingCode.SMALL_FACE,
            f"{what} {median(sides):.0f} px on its shorter side; below {SMALL_FACE_PX} px scores are unreliable.",
        )
    if not output.model.preprocess.face_detection:
        return
    if not sides:
        where = "any of the scored frames" if _is_video(output) else "the image"
        yield (
            FindingCode.NO_FACE,
            f"No face was found in {where}: the model judged the whole picture, for which it may not be meant.",
        )
    elif len(sides) < FEW_FACES_SHARE * len(scored):
        yield (
            FindingCode.FEW_FACES,
            f"A face was found in only {len(sides)} of {len(scored)} scored frames, less than half: the other frames "
            "count as much, and of them the whole picture was judged.",
        )


def _of_frames(output: DetectionOutput, frame_size_px: tuple[int, int] | None) -> _Found:
    frames, scored, duration_s = output.frames, output.details.frames_analyzed, duration_of(output)
    if frame_size_px is not None and min(frame_size_px) < LOW_RESOLUTION_PX:
        width, height = frame_size_px
        yield (
            FindingCode.LOW_RESOLUTION,
            f"The picture is {width} x {height} px, its shorter side under {LOW_RESOLUTION_PX} px: fine traces of a "
            "manipulation may be lost.",
        )
    if (track := output.details.video_track) is not None:
        yield (
            FindingCode.MULTIPLE_VIDEO_TRACKS,
            f"The file holds {track.of} video tracks. Number {track.number} was judged, which players show; another "
            "one may show something else.",
        )
    if failed := Counter(frame.score.status for frame in frames if frame.score.status != OK):
        reasons = "; ".join(
            f"{status} ({count}): {output.model.status_meaning(status)}".removesuffix(": ")
            for status, count in sorted(failed.items())
        )
        yield (
            FindingCode.FRAMES_FAILED,
            f"The result leaves out {sum(failed.values())} of {len(frames)} frames that could not be scored. {reasons}",
        )
    if duration_s is not None and scored < FEW_FRAMES:
        were = "1 frame was" if scored == 1 else f"{scored} frames were"
        yield (
            FindingCode.FEW_FRAMES,
            f"Only {were} scored, fewer than {FEW_FRAMES}: a single frame moves the scores.",
        )
    if duration_s is not None and duration_s < SHORT_VIDEO_S:
        yield (
            FindingCode.SHORT_VIDEO,
            f"The video lasts {duration_s:.2f} s, under {SHORT_VIDEO_S:g} s: its frames show nearly the same picture "
            "and confirm each other little.",
        )


def _of_picture(output: DetectionOutput, is_transparent: bool) -> _Found:
    if is_transparent:
        yield (
            FindingCode.TRANSPARENT,
            "The image is transparent in places: it was judged on white, as most programs show it. On another "
            "background it looks different.",
        )
    if _is_video(output) and output.details.format in ("png", "webp"):
        yield (
            FindingCode.ANIMATED_IMAGE,
            "The file is an animated picture: it was judged as a video, by what it shows at moments spread over its "
            "duration. Its last picture may stay on the screen, and programs that know no animations show another.",
        )


def _of_scores(output: DetectionOutput) -> _Found:
    scores, bands = output.scores, bands_of(output)[0]
    p = [frame.score.fake_probability for frame in output.frames if frame.score.fake_probability is not None]
    fake, real = sum(v > bands.fake_above for v in p), sum(v < bands.real_below for v in p)
    if min(fake, real) >= max(DISAGREEING_SHARE * len(p), 1):
        yield (
            FindingCode.SCORES_DISAGREE,
            f"The frames contradict each other: {fake} lie in the fake band and {real} in the real band.",
        )
    elif pstdev(p) >= DISAGREEING_DEVIATION:
        yield (
            FindingCode.SCORES_DISAGREE,
            f"The frames' scores vary widely, with a standard deviation of {pstdev(p):.2f} "
            f"({DISAGREEING_DEVIATION} or more): their mean describes few of them.",
        )
    if scores.peak_risk > scores.video_score + ISOLATED_PEAK_POINTS:
        yield (
            FindingCode.ISOLATED_PEAK,
            f"The highest frame ({scores.peak_risk:.2f}) lies more than {ISOLATED_PEAK_POINTS:g} points above the 90th "
            f"percentile ({scores.video_score:.2f}): a single frame raises the risk score. Look at that frame.",
        )
    mean, edges = output.confidence_score, (("fake", bands.fake_above), ("real", bands.real_below))
    name, edge = min(edges, key=lambda named: abs(mean - named[1]))
    if abs(mean - edge) < NEAR_EDGE:
        yield (
            FindingCode.NEAR_BAND_EDGE,
            f"The fake probability {mean:.4f} is less than {NEAR_EDGE} from the edge of the {name} band ({edge:g}): "
            "saving the same picture again could change the verdict.",
        )

"""Detections with made-up scores over real pictures: the astronaut, panned, with her face box where it really is."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import zip_longest
from math import isnan

from deepfake_client.analysis.faces import FaceChoice, FaceRules
from deepfake_client.media import Frame, MediaFormat, VideoLength, VideoTrack, sniff
from deepfake_client.provenance.model import Provenance
from deepfake_client.release import ModelInfo
from deepfake_client.result import DetectionOutput, detection_output
from deepfake_client.scorer import OK, Face, FrameScore, Scoring
from tests.inference_server import DESCRIPTION, EXPORT_ID, FUSED
from tests.media import encode_image, photo_pixels

FACE_PX = (173.0, 67.0, 276.0, 170.0)
SIZE_PX = (480, 384)
PAN_PX = 32
SHA256 = "0123456789abcdef" * 4
MODEL = ModelInfo.model_validate(DESCRIPTION)
"""Trained, of fp32 and with the default bands: nothing about it is a finding but the bands."""
TWO_MODELS = ModelInfo.model_validate(FUSED)
"""The same, of two models."""

VIDEO = sniff(b"\0\0\0\x1cftypisom" + b"\0" * 40)
IMAGE = sniff(b"\xff\xd8\xff\xe0")

Score = float | str | None
"""Of a frame: its fake probability, or the name of the status with which it failed."""


def made_output(
    scores: Sequence[Score],
    *,
    model: ModelInfo = MODEL,
    is_video: bool = True,
    interval_s: float = 0.5,
    without_face: Sequence[int] = (),
    face_side_px: float | None = None,
    elapsed_s: float = 1.25,
    keep_frames: bool = True,
    video_track: VideoTrack | None = None,
    video_length: VideoLength | None = None,
    format_: MediaFormat | None = None,
    picture: bytes | None = None,
    others: Sequence[Sequence[float | None]] = (),
    choice: FaceChoice = FaceChoice.EVERY,
    provenance: Provenance | None = None,
    members: Sequence[tuple[float, ...]] = (),
) -> DetectionOutput:
    """A detection as the detector would give it for these scores.

    Args:
        scores: Of each frame.
        model: The release.
        is_video: Or a single image.
        interval_s: Between frames.
        without_face: Frames without a face.
        face_side_px: Side of every face box; its real size if None.
        elapsed_s: Processing time.
        keep_frames: Whether the frames are kept.
        video_track: That the frames are of, in a file with several.
        video_length: As the file says, and as it is.
        format_: Of the file.
        picture: Every frame; the astronaut if None.
        others: Of each further person the fake probabilities of the smaller face, from the first frame on; NaN where
            it was found and not scored, None where there is none.
        choice: Which faces decide.
        provenance: What the file says of itself.
        members: Of each frame, what each of the release's models says.
    """
    frames = [
        Frame(i, i * interval_s, picture or _picture(_offset(i)), video_track, video_length=video_length)
        for i in range(len(scores))
    ]
    answers = [_answer(score, i, i not in without_face, face_side_px) for i, score in enumerate(scores)]
    answers = [_with_members(answer, own) for answer, own in zip_longest(answers, members, fillvalue=())]
    for number, other in enumerate(others, 1):
        answers = [_with_other(answer, number, p) for answer, p in zip_longest(answers, other)]
    format_ = format_ or (VIDEO if is_video else IMAGE)
    assert format_ is not None
    return detection_output(
        frames, Scoring(model, answers), format_, name="made", sha256=SHA256, size_bytes=1_234_567,
        elapsed_s=elapsed_s, provenance=provenance, keep_frames=keep_frames, rules=FaceRules(choice),
    )  # fmt: skip


def _answer(score: Score, index: int, has_face: bool, face_side_px: float | None) -> FrameScore:
    if not isinstance(score, float):
        return FrameScore(str(score))
    x0, y0, x1, _ = FACE_PX
    left = x0 - _offset(index)
    side = face_side_px or x1 - x0
    return FrameScore(
        status=OK,
        fake_probability=score,
        probabilities=(score, 1 - score),
        faces=(Face((left, y0, left + side, y0 + side), 0.9, score),) if has_face else (),
        export_id=EXPORT_ID,
    )


def _with_other(answer: FrameScore, number: int, p: float | None) -> FrameScore:
    """The answer with another face, to the right of the others."""
    if p is None:
        return answer
    left = 280.0 + 90 * (number - 1)
    face = Face((left, 80.0, left + 80 - number, 160.0), 0.8, None if isnan(p) else p)
    return replace(answer, faces=(*answer.faces, face))


def _with_members(answer: FrameScore, members: tuple[float, ...]) -> FrameScore:
    """The answer with what each model says of the frame and of its face."""
    return replace(answer, members=members, faces=tuple(replace(face, members=members) for face in answer.faces))


def _offset(index: int) -> int:
    """Columns that a frame is panned by: to the right and back."""
    at = index * 4 % (2 * PAN_PX)
    return min(at, 2 * PAN_PX - at)


@cache
def _picture(left: int) -> bytes:
    width, height = SIZE_PX
    return encode_image(photo_pixels("astronaut.png")[:height, left : left + width], "JPEG", quality=90)

"""Whether a verdict stands when the picture changes in ways that mean nothing: the crop is scored in five variants."""

import io
import math
from collections.abc import Sequence

from PIL import Image, ImageEnhance, ImageOps

from deepfake_client.analysis.crops import Part, Skippable, Subject, png, score_crops
from deepfake_client.media import TextEnum
from deepfake_client.pictures import Box
from deepfake_client.release import ModelInfo, VerdictBands
from deepfake_client.scorer import Deadline, FrameScorer
from deepfake_client.scores import DetectionResult, verdict

MOST_PIXELS = 4_000_000
"""A larger crop is reduced to so many before it is changed: variants of 64 megapixels would take a gigabyte."""


class Change(TextEnum):
    """What is done to the crop."""

    MIRROR = "mirror"
    """Left and right change places."""
    JPEG = "jpeg_75"
    """Saved as JPEG of quality 75."""
    SMALLER = "size_0.75"
    """Reduced to three quarters of its size (Lanczos)."""
    DARKER = "brightness_0.8"
    """Every value x 0.8."""
    WIDER = "margin_1.2"
    """A crop with a side x 1.2. Left out where the picture has no room for it."""

    @property
    def text(self) -> str:
        """For people."""
        return _TEXTS[self]


_TEXTS = {
    Change.MIRROR: "mirrored",
    Change.JPEG: "saved as JPEG of quality 75",
    Change.SMALLER: "at three quarters of the size",
    Change.DARKER: "at 0.8 of the brightness",
    Change.WIDER: "with a crop 1.2 times as wide",
}


class Variant(Part):
    """A changed crop."""

    change: Change
    fake_probability: float
    """0-1."""
    result: DetectionResult
    """The band in which it lies."""


class FaceStability(Part):
    """A face in one frame, scored in variants."""

    index: int
    """Of the frame among the sampled ones."""
    timestamp_s: float
    person: int | None
    """Whose face, by its number in `people`; null where no person decides."""
    face_box: Box | None
    """x0, y0, x1, y1 in pixels; null where the whole picture was scored."""
    fake_probability: float
    """Unchanged, 0-1, as in `frame_predictions`."""
    result: DetectionResult
    """The band in which it lies."""
    variants: tuple[Variant, ...]
    lowest: float
    """Of the unchanged crop and the variants."""
    highest: float

    @property
    def flips(self) -> bool:
        """Whether a variant lies in another band than the unchanged crop."""
        return any(variant.result is not self.result for variant in self.variants)


class Stability(Skippable):
    """How much the fake probability of the deciding face moves when its crop is changed a little."""

    faces: tuple[FaceStability, ...] = ()
    """Of an image the deciding face. Of a video that face in its most suspicious frame and in its median one."""


def measure_stability(
    scorer: FrameScorer,
    subjects: Sequence[Subject],
    model: ModelInfo,
    bands: VerdictBands,
    deadline: Deadline,
    request_id: str = "",
) -> Stability:
    """Scores the variants of all subjects in one call.

    Args:
        scorer: Any backend.
        subjects: As the model scored them.
        model: That model.
        bands: Of the verdict.
        deadline: Of the whole detection.
        request_id: See `FrameScorer.score`.

    Raises:
        InputError: A frame cannot be decoded on this side.
        ServiceError: The variants cannot be scored.
    """
    variants = [_variants(subject, model.preprocess.crop_factor, subject.picture(model)) for subject in subjects]
    images = [image for changed in variants for image in changed.values()]
    p = iter(score_crops(scorer, images, model, deadline, request_id))
    scores = [{change: next(p) for change in changed} for changed in variants]
    return Stability(faces=tuple(_face(*pair, bands) for pair in zip(subjects, scores, strict=True)))


def _face(subject: Subject, scores: dict[Change, float], bands: VerdictBands) -> FaceStability:
    every = [subject.fake_probability, *scores.values()]
    return FaceStability(
        index=subject.index,
        timestamp_s=subject.timestamp_s,
        person=subject.person,
        face_box=subject.face_box_px,
        fake_probability=subject.fake_probability,
        result=verdict(subject.fake_probability, bands),
        variants=tuple(
            Variant(change=change, fake_probability=p, result=verdict(p, bands)) for change, p in scores.items()
        ),
        lowest=min(every),
        highest=max(every),
    )


def _variants(subject: Subject, crop_factor: float, picture: Image.Image) -> dict[Change, bytes]:
    """The changed crops as image files."""
    square, wider = (subject.square_px(picture, factor) for factor in (crop_factor, 1.2 * crop_factor))
    crop = _bounded(picture.crop(square))
    smaller = max(round(0.75 * crop.width), 1), max(round(0.75 * crop.height), 1)
    made = {
        Change.MIRROR: png(ImageOps.mirror(crop)),
        Change.JPEG: _jpeg(crop),
        Change.SMALLER: png(crop.resize(smaller, Image.Resampling.LANCZOS)),
        Change.DARKER: png(ImageEnhance.Brightness(crop).enhance(0.8)),
    }
    return made | ({Change.WIDER: png(_bounded(picture.crop(wider)))} if wider != square else {})


def _bounded(crop: Image.Image) -> Image.Image:
    scale = math.sqrt(MOST_PIXELS / (crop.width * crop.height))
    if scale >= 1:
        return crop
    return crop.resize((max(int(scale * crop.width), 1), max(int(scale * crop.height), 1)), Image.Resampling.LANCZOS)


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=75)
    return buffer.getvalue()

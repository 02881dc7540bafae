"""A scorer whose scores are a function of the pixels that a classifier would see, through the service's own resize."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from deepfake_client.pictures import Box
from deepfake_client.release import ModelInfo
from deepfake_client.scorer import OK, WHOLE_PICTURE, Deadline, Face, FrameScore, Scoring
from preprocessing import Box as PixelBox
from preprocessing.crop import crop_square
from preprocessing.params import ResizeMode, ResizeSpec
from preprocessing.resize import resize_to_square
from tests.inference_server import DESCRIPTION, EXPORT_ID

MODEL = ModelInfo.model_validate(DESCRIPTION)


@dataclass
class PixelScorer:
    """Scores whole pictures as they come, and frames around one face.

    Attributes:
        judge: The fake probability of (S, S, 3) uint8 pixels.
        face_box_px: Of every frame; None: none has a face.
        model: What it says that it is.
        sent: The pictures that were scored whole.
        failure: Raised where pictures are to be scored whole.
    """

    judge: Callable[[np.ndarray], float]
    face_box_px: Box | None = None
    model: ModelInfo = MODEL
    sent: list[Image.Image] = field(default_factory=list)
    failure: Exception | None = None

    def info(self, _deadline: Deadline) -> ModelInfo:
        return self.model

    def score(
        self,
        images: Sequence[bytes],
        deadline: Deadline,
        request_id: str = "",
        face_boxes_px: Sequence[Box | None] | None = None,
    ) -> Scoring:
        pictures = [Image.open(io.BytesIO(image)) for image in images]
        if face_boxes_px is None:
            return Scoring(self.model, [self._score(self._crop(picture), self.face_box_px) for picture in pictures])
        assert list(face_boxes_px) == [WHOLE_PICTURE] * len(images)
        if self.failure is not None:
            raise self.failure
        self.sent += pictures
        return Scoring(self.model, [self._score(picture, None) for picture in pictures])

    def server_id(self, _deadline: Deadline) -> str:
        return ""

    def close(self) -> None: ...

    def _crop(self, picture: Image.Image) -> Image.Image:
        if self.face_box_px is None:
            return picture
        square = crop_square(PixelBox(*self.face_box_px), *picture.size, self.model.preprocess.crop_factor)
        return picture.crop((square.x0, square.y0, square.x0 + square.side, square.y0 + square.side))

    def _score(self, picture: Image.Image, box: Box | None) -> FrameScore:
        resize = self.model.preprocess.resize
        spec = ResizeSpec(resize.size_px, resize.resample, ResizeMode(resize.mode), resize.edge_px, resize.rounded_crop)
        p = self.judge(resize_to_square(np.asarray(picture.convert("RGB")), spec))
        members = (p,) * len(self.model.members)
        faces = () if box is None else (Face(box, 0.9, p, members),)
        return FrameScore(OK, p, (p, 1 - p), faces, members, EXPORT_ID)

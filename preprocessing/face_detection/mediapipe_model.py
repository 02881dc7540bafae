"""A face model as MediaPipe runs it: the reference that the direct form is compared with."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from preprocessing.crop import Box
from preprocessing.face_detection.model import Face
from preprocessing.icc import ToSrgb
from preprocessing.quiet import quiet_native_code


class MediaPipeModel:
    """See `FaceModel`. A grey or empty picture would ruin it for all later ones: `FaceFinder` lets none through."""

    def __init__(self, model: Path, min_score: float) -> None:
        """Loads it.

        Raises:
            FileNotFoundError: The model is missing.
        """
        content = model.read_bytes()
        with quiet_native_code():
            import mediapipe as mp

            self._mp = mp
            options = mp.tasks.vision.FaceDetectorOptions(
                base_options=mp.tasks.BaseOptions(model_asset_buffer=content), min_detection_confidence=min_score
            )
            self._detector = mp.tasks.vision.FaceDetector.create_from_options(options)
            self.faces(np.zeros((64, 64, 3), np.uint8))  # the first search writes lines too

    def faces(self, pixels: NDArray[np.uint8], profile: ToSrgb | None = None) -> list[Face]:
        """See `FaceModel.faces`."""
        if profile is not None:
            pixels = profile.converted(pixels)
        image = self._mp.Image(image_format=self._mp.ImageFormat.SRGB, data=pixels)
        found = []
        for detection in self._detector.detect(image).detections:
            box = detection.bounding_box
            corners = (box.origin_x, box.origin_y, box.origin_x + box.width, box.origin_y + box.height)
            found.append(Face(Box(*map(float, corners)), float(detection.categories[0].score)))
        return found

    def close(self) -> None:
        """See `FaceModel.close`."""
        with quiet_native_code():
            self._detector.close()

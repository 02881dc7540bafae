"""Golden images in the gate: the checkpoint, and then each exported variant, must score them as recorded."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.checkpoint.load import Checkpoint
from export.checkpoint.torch_scores import fake_probabilities, open_preparer
from export.errors import GoldenError
from export.gate.parity import Tolerance
from export.golden import GoldenSet, read_golden
from preprocessing import FaceDetector, ImageRejectedError
from runtime import Classifier


@dataclass(frozen=True)
class PreparedGolden:
    """Golden images as the classifier gets them.

    Attributes:
        golden: The checkpoint's own set.
        squares: (N, S, S, 3) uint8, RGB.
        face_detection: Whether they were cropped to their faces.
    """

    golden: GoldenSet
    squares: NDArray[np.uint8]
    face_detection: bool

    def for_precision(self, limits: Tolerance) -> GoldenSet:
        """What a release of such a precision must score."""
        return self.golden.for_release(face_detection=self.face_detection, precision_tolerance=limits.max_dp)

    def check(self, classifier: Classifier, limits: Tolerance) -> None:
        """Checks an exported classifier.

        Raises:
            GoldenError: It does not score them as recorded.
        """
        answer = classifier.run(self.squares, np.zeros((len(self.squares), 1), np.int32))
        if reason := self.for_precision(limits).mismatch(answer.fake_probability[:, 0].tolist()):
            raise GoldenError(reason)


def prepare_golden(
    checkpoint: Checkpoint,
    *,
    face_detection: bool,
    face_detector: FaceDetector = FaceDetector.DIRECT,
    cache_dir: Path | None = None,
) -> PreparedGolden | None:
    """The checkpoint's golden images, once it has scored them as recorded; None if it has none.

    Args:
        checkpoint: The loaded checkpoint.
        face_detection: Whether the release crops frames to their largest face.
        face_detector: What runs its face models.
        cache_dir: Where the face models are kept; the assets' own default if None.

    Raises:
        GoldenError: They are damaged, or it scores them otherwise.
        AssetError: The face models cannot be fetched.
    """
    golden = read_golden(checkpoint.located.path)
    if golden is None:
        return None
    squares = golden_squares(
        golden, checkpoint, face_detection=face_detection, face_detector=face_detector, cache_dir=cache_dir
    )
    p = fake_probabilities(checkpoint, squares)
    expected = golden.for_release(face_detection=face_detection, precision_tolerance=0.0)
    if reason := expected.mismatch(p.tolist()):
        raise GoldenError(f"the checkpoint contradicts its own golden images: {reason}")
    return PreparedGolden(golden, squares, face_detection)


def golden_squares(
    golden: GoldenSet,
    checkpoint: Checkpoint,
    *,
    face_detection: bool,
    face_detector: FaceDetector,
    cache_dir: Path | None,
) -> NDArray[np.uint8]:
    """(N, S, S, 3) uint8, RGB: golden images as a checkpoint's classifier gets them; see `prepare_golden`."""
    squares = []
    with open_preparer(
        checkpoint, face_detection=face_detection, face_detector=face_detector, cache_dir=cache_dir
    ) as preparer:
        for entry, image in zip(golden.manifest.images, golden.images, strict=True):
            try:
                squares.append(preparer.prepare(image).pixels)
            except ImageRejectedError as error:
                raise GoldenError(f"golden image {entry.file} cannot be decoded: {error}") from error
    return np.stack(squares)

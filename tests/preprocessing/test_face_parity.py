"""The direct face detector finds what MediaPipe finds."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from assets import FACE_MODELS, fetch_assets
from export.checkpoint.hub import locate_checkpoint
from export.checkpoint.load import load_checkpoint
from export.checkpoint.torch_scores import fake_probabilities, open_preparer
from export.gate.faces import face_parity
from preprocessing import FaceDetector, FaceFinder
from tests.face_pictures import face_pictures
from tests.media import encode_image

EMBEDDED = Path(__file__).parent.parent.parent / "deploy" / "embedded_checkpoint"
MODELS_DIR = next(iter(fetch_assets(FACE_MODELS).values())).parent


@pytest.fixture(scope="module")
def finders() -> Iterator[tuple[FaceFinder, FaceFinder]]:
    direct, reference = (FaceFinder(MODELS_DIR, detector=detector) for detector in FaceDetector)
    yield direct, reference
    direct.close()
    reference.close()


@pytest.mark.parametrize(
    ("count", "more_people"), [(150, False), pytest.param(750, True, marks=pytest.mark.long)], ids=["short", "long"]
)
def test_decisions_and_boxes_are_those_of_mediapipe(
    count: int, more_people: bool, finders: tuple[FaceFinder, FaceFinder]
) -> None:
    direct, reference = finders
    found = [(direct.faces(p), reference.faces(p)) for p in face_pictures(count, more_people)]
    faces = [len(theirs) for _, theirs in found]
    assert min(faces.count(0), faces.count(1), sum(n > 1 for n in faces)) > count / 10, "of each kind"

    parity = face_parity(found)
    print(parity)  # `pytest -s` shows it
    parity.check()
    assert parity.equal >= 0.99 * count, "to the pixel; a processor may round one at an edge otherwise"
    assert parity.max_score_difference < 1e-4


@pytest.mark.long
def test_what_the_embedded_checkpoint_scores_is_the_same() -> None:
    checkpoint = load_checkpoint(locate_checkpoint(str(EMBEDDED)))
    pictures = [encode_image(picture, "PNG") for picture in face_pictures(200)]
    p = []
    for detector in FaceDetector:
        with open_preparer(checkpoint, face_detector=detector) as preparer:
            squares = np.stack([preparer.prepare(picture).pixels for picture in pictures])
        p.append(fake_probabilities(checkpoint, squares))
    differences = np.abs(p[0] - p[1])
    print(f"|dp| at most {differences.max():.2g}, {(differences > 0).sum()} of {len(pictures)} differ")
    assert differences.max() < 0.005

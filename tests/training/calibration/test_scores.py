from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from deepfake_client.analysis.faces import FaceChoice, FaceRules
from deepfake_client.release import Scope
from evaluation.dataset import find_dataset
from export.checkpoint.hub import locate_checkpoint
from export.checkpoint.load import load_checkpoint
from tests.media import photo_pixels
from training.calibration.scores import UnscoredMedia, score_media
from training.calibration.units import ScoredMedia


def test_each_face_of_a_real_picture_is_scored_and_of_fakes_a_face_alone(tiny_checkpoint: Path, tmp_path: Path) -> None:
    pair = Image.fromarray(np.hstack([photo_pixels("astronaut.png"), photo_pixels("camera.png")]))
    for label in ("real", "fake"):
        (tmp_path / label).mkdir()
        pair.save(tmp_path / label / "both.png", compress_level=1)
        pair.resize((512, 256)).save(tmp_path / label / "small.png", compress_level=1)  # one face is under 40 px
    checkpoint, dataset = load_checkpoint(locate_checkpoint(str(tiny_checkpoint))), find_dataset(tmp_path)
    every = {item.name: item for item in score_media(checkpoint, dataset, {})}
    ambiguous = every.pop("fake/both.png")
    assert isinstance(ambiguous, UnscoredMedia)
    assert "several faces" in ambiguous.reason
    scored = {name: item for name, item in every.items() if isinstance(item, ScoredMedia)}
    assert {name: [len(boxes) for boxes in item.boxes_px or ()] for name, item in scored.items()} == {
        "real/both.png": [2], "real/small.png": [1], "fake/small.png": [1],
    }  # fmt: skip
    assert [len(item.logits) for item in scored.values()] == [2, 1, 1]
    largest = list(score_media(checkpoint, dataset, {}, rules=FaceRules(FaceChoice.LARGEST)))
    assert [isinstance(item, ScoredMedia) and len(item.logits) for item in largest] == [1] * 4
    whole = list(score_media(checkpoint, dataset, {}, face_detection=False))
    assert [isinstance(item, ScoredMedia) and item.boxes_px for item in whole] == [((),)] * 4
    first = next(item for item in largest if item.name == "real/both.png")
    assert isinstance(first, ScoredMedia)
    np.testing.assert_allclose(first.logits[0], scored["real/both.png"].logits[0], atol=1e-5)  # the largest is first


def test_a_model_for_faces_cannot_judge_a_picture_without_one(tiny_checkpoint: Path, tmp_path: Path) -> None:
    for label, photo in (("real", "astronaut.png"), ("fake", "coffee.png")):
        (tmp_path / label).mkdir()
        Image.fromarray(photo_pixels(photo)).save(tmp_path / label / "0.png", compress_level=1)
    dataset = find_dataset(tmp_path)
    of_any = load_checkpoint(locate_checkpoint(str(tiny_checkpoint)))
    for scope, expected in ((Scope.FACE, [True, False]), (Scope.ANY, [True, True])):
        checkpoint = replace(of_any, sidecar=of_any.sidecar.model_copy(update={"scope": scope}))
        judged = {item.name: item for item in score_media(checkpoint, dataset, {})}
        found = [judged[name] for name in ("real/0.png", "fake/0.png")]
        assert [isinstance(item, ScoredMedia) and item.assessable for item in found] == expected

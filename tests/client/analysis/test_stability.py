"""What is done to the crop, what is said of it, and what becomes of the answer where it cannot be done."""

import io
import re

import numpy as np
import pytest
from PIL import Image, ImageCms

from deepfake_client import (
    ClientSettings,
    ConfigurationError,
    DeadlineExceededError,
    DetectionOutput,
    DetectionResult,
    Detector,
    OverloadedError,
    create_detector,
    evidence_html,
)
from deepfake_client.analysis.closer_look import deciding_faces
from deepfake_client.analysis.stability import Change
from deepfake_client.evidence.builder import build_evidence
from deepfake_client.media import Frame
from deepfake_client.pictures import Box
from deepfake_client.release import ModelInfo, Resize, Scope
from deepfake_client.scorer import Deadline
from tests.client.analysis.pixel_scorer import MODEL, PixelScorer
from tests.client.evidence.cases import TWO_MODELS
from tests.inference_server import InferenceServer, face_box_px, jpeg
from tests.media import encode_image, photo_pixels

FACE_PX = (173.0, 67.0, 276.0, 170.0)
"""The astronaut's."""


def brightness(pixels: np.ndarray) -> float:
    return float(pixels.mean() / 255)


def detect(scorer: PixelScorer, encoded: bytes, **options: object) -> DetectionOutput:
    with Detector(scorer) as detector:
        return detector.detect(encoded, include=["stability"], **options)


@pytest.fixture
def astronaut() -> bytes:
    return encode_image(photo_pixels("astronaut.png"), "PNG", compress_level=1)


def test_the_crop_is_changed_in_five_ways(astronaut: bytes) -> None:
    scorer = PixelScorer(brightness, FACE_PX)
    output = detect(scorer, astronaut)
    (face,) = output.details.stability.faces
    assert [variant.change for variant in face.variants] == list(Change)
    crop = photo_pixels("astronaut.png")[52:186, 158:292]
    sent = dict(zip(Change, scorer.sent, strict=True))
    assert np.array_equal(np.asarray(sent[Change.MIRROR]), crop[:, ::-1])
    assert np.array_equal(np.asarray(sent[Change.DARKER]), (crop * 0.8).astype(np.uint8))
    assert sent[Change.JPEG].format == "JPEG"
    assert 0 < np.abs(np.asarray(sent[Change.JPEG], np.int16) - crop).mean() < 5
    assert sent[Change.SMALLER].size == (100, 100)
    side = sent[Change.WIDER].width
    assert sent[Change.WIDER].size == (side, side) == (161, 161)
    inner = np.asarray(sent[Change.WIDER])[14 : 14 + 134, 14 : 14 + 134]
    assert np.array_equal(inner, crop), "its middle is the crop"


def test_the_spread_and_the_bands_of_all_of_them(astronaut: bytes) -> None:
    output = detect(PixelScorer(lambda pixels: 1.5 * brightness(pixels), FACE_PX), astronaut)
    (face,) = output.metadata["stability"]["faces"]
    p = {variant["change"]: variant["fake_probability"] for variant in face["variants"]}
    assert face["fake_probability"] == output.confidence_score
    assert p["brightness_0.8"] == pytest.approx(0.8 * output.confidence_score, abs=0.01)
    assert face["lowest"] == p["brightness_0.8"] == min(p.values())
    assert face["highest"] == max([*p.values(), face["fake_probability"]])
    assert (face["result"], face["face_box"]) == ("fake", list(FACE_PX))
    assert {v["change"] for v in face["variants"] if v["result"] != "fake"} == {"brightness_0.8"}


def test_a_verdict_that_flips_is_a_finding_on_the_report_too(astronaut: bytes) -> None:
    output = detect(PixelScorer(lambda pixels: 1.5 * brightness(pixels), FACE_PX), astronaut)
    (finding,) = [found for found in output.findings if found.code == "UNSTABLE"]
    assert finding.severity == "warning"
    assert "(signs) into another band: 62.8 %" in finding.message
    assert "(inconclusive) at 0.8 of the brightness." in finding.message
    report = evidence_html(build_evidence(output, "astronaut.png"))
    assert "UNSTABLE" in report
    assert "at 0.8 of the brightness</th>" in report
    steady = detect(PixelScorer(brightness, FACE_PX), astronaut)
    assert "UNSTABLE" not in [found.code for found in steady.findings]


def test_without_a_face_the_whole_picture_is_changed_and_no_margin_is_left(astronaut: bytes) -> None:
    scorer = PixelScorer(brightness)
    (face,) = detect(scorer, astronaut).details.stability.faces
    assert face.face_box is None
    assert [variant.change for variant in face.variants] == [change for change in Change if change is not Change.WIDER]
    assert scorer.sent[0].size == (512, 512)


def test_variants_of_a_large_picture_are_bounded() -> None:
    scorer = PixelScorer(brightness)
    detect(scorer, encode_image(np.zeros((1500, 6000, 3), np.uint8), "PNG", compress_level=1))
    assert [picture.size for picture in scorer.sent] == [(4000, 1000), (4000, 1000), (3000, 750), (4000, 1000)]


def test_of_a_video_the_most_suspicious_frame_and_the_median_one(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [encode_image(np.full((64, 64, 3), grey, np.uint8), "BMP") for grey in (20, 200, 100, 110, 30)]
    frames = [Frame(i, i / 2, picture) for i, picture in enumerate(pictures)]
    monkeypatch.setattr("deepfake_client.detector.read_frames", lambda *_, **__: frames)
    faces = detect(PixelScorer(brightness), b"\0\0\0\x1cftypisom" + b"\0" * 40).details.stability.faces
    assert [(face.index, face.timestamp_s) for face in faces] == [(1, 0.5), (2, 1.0)]


def test_it_is_about_the_person_who_decides(server: InferenceServer, monkeypatch: pytest.MonkeyPatch) -> None:
    says = ["faces=0.2/0.9", "faces=0.99/0.8", "p=0.999", "faces=0.3/0.7"]
    frames = [Frame(i, i / 2, jpeg(said)) for i, said in enumerate(says)]
    monkeypatch.setattr("deepfake_client.detector.read_frames", lambda *_, **__: frames)
    with create_detector(server.url) as detector:
        output = detector.detect(b"\0\0\0\x1cftypisom" + b"\0" * 40)
    subjects = deciding_faces(output, frames)
    assert [(subject.index, subject.person) for subject in subjects] == [(0, 2), (1, 2)]
    assert {subject.face_box_px for subject in subjects} == {face_box_px(1)}
    settings = ClientSettings(faces="largest")
    with create_detector(server.url, settings) as detector:
        output = detector.detect(b"\0\0\0\x1cftypisom" + b"\0" * 40)
    subjects = deciding_faces(output, frames)
    assert [(subject.index, subject.person, subject.face_box_px) for subject in subjects] == [
        (2, None, None),
        (3, None, face_box_px(0)),
    ]


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (DeadlineExceededError("no answer within 5 s"), "No time was left"),
        (OverloadedError("busy"), r"did not score the changed pictures \(OVERLOADED\)"),
    ],
)
def test_what_keeps_it_from_being_scored_does_not_cost_the_answer(
    astronaut: bytes, failure: Exception, says: str
) -> None:
    output = detect(PixelScorer(brightness, FACE_PX, failure=failure), astronaut)
    assert output.confidence_score == pytest.approx(0.525, abs=0.01)
    assert output.details.stability.faces == ()
    assert re.search(says, output.metadata["stability"]["skipped"])
    assert re.search(says, evidence_html(build_evidence(output, "astronaut.png")))


def test_a_cancelled_detection_gives_no_answer(astronaut: bytes) -> None:
    deadline = Deadline(5)

    class Cancelling(PixelScorer):
        def score(self, *arguments: object, **options: object) -> object:
            scoring = super().score(*arguments, **options)
            deadline.cancel()
            return scoring

    scorer = Cancelling(brightness, FACE_PX, failure=DeadlineExceededError("the request was cancelled"))
    with pytest.raises(DeadlineExceededError):
        detect(scorer, astronaut, timeout_s=deadline)


def test_scores_of_another_release_are_not_compared(astronaut: bytes) -> None:
    class Replaced(PixelScorer):
        def score(self, *arguments: object, **options: object) -> object:
            scoring = super().score(*arguments, **options)
            self.model = MODEL.model_copy(update={"release_id": "fedcba987654"})
            return scoring

    assert "MODEL_FAULT" in detect(Replaced(brightness, FACE_PX), astronaut).metadata["stability"]["skipped"]


def test_a_frame_that_only_the_service_can_decode(server: InferenceServer) -> None:
    with create_detector(server.url) as detector:
        output = detector.detect(jpeg("p=0.9 face"), include=["stability"])
    assert output.result is DetectionResult.FAKE
    assert "cannot be decoded once more" in output.metadata["stability"]["skipped"]


def test_a_model_for_faces_is_not_asked_about_something_else(astronaut: bytes) -> None:
    scorer = PixelScorer(brightness, model=MODEL.model_copy(update={"scope": Scope.FACE}))
    assert "no face that the model can judge" in detect(scorer, astronaut).metadata["stability"]["skipped"]
    assert scorer.sent == []


def test_a_colour_profile_is_not_sent_with_the_crop() -> None:
    """The service would apply it a second time."""
    buffer = io.BytesIO()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(photo_pixels("astronaut.png")).save(buffer, "PNG", icc_profile=profile, compress_level=1)
    scorer = PixelScorer(brightness, FACE_PX)
    detect(scorer, buffer.getvalue())
    assert not any("icc_profile" in picture.info for picture in scorer.sent)


def with_view(**changed: object) -> ModelInfo:
    """Two models for faces, the second of which is given something else."""
    (view,) = TWO_MODELS.preprocess.further_views
    view = view.model_copy(update={"whole_image": False, **changed})
    return TWO_MODELS.model_copy(
        update={"preprocess": TWO_MODELS.preprocess.model_copy(update={"further_views": (view,)})}
    )


@pytest.mark.parametrize(
    ("changed", "is_examined"),
    [({"whole_image": True}, False), ({"crop_factor": 1.6}, False), ({}, True)],
    ids=["whole image", "another crop", "the same crop"],
)
def test_models_that_see_different_parts_are_not_examined(
    astronaut: bytes, changed: dict[str, object], is_examined: bool
) -> None:
    model = with_view(**changed)
    stability = detect(PixelScorer(brightness, FACE_PX, model), astronaut).details.stability
    assert stability is not None
    assert bool(stability.faces) is is_examined
    assert stability.skipped == (
        None if is_examined else "The models that are fused see different parts of the picture."
    )
    of_whole_picture = detect(PixelScorer(brightness, None, model), astronaut).details.stability
    assert of_whole_picture is not None
    assert of_whole_picture.faces, "without a face all see the same"


@pytest.mark.parametrize("box_px", [FACE_PX, None], ids=["face", "whole picture"])
def test_models_that_resize_differently_have_no_map(astronaut: bytes, box_px: Box | None) -> None:
    """A map's pictures have the size of one model: another would cut into them."""
    cut = Resize(size_px=224, mode="shortest_edge_center_crop", edge_px=256)
    for model, skipped in ((with_view(resize=cut), True), (with_view(), False)):
        scorer = PixelScorer(brightness, box_px, model)
        with Detector(scorer) as detector:
            details = detector.detect(astronaut, include=["stability", "sensitivity"]).details
        assert details.stability is not None
        assert details.stability.faces, "its pictures are resized by each model"
        assert details.sensitivity is not None
        assert (details.sensitivity.map is None) is skipped
        assert details.sensitivity.skipped == (
            "The models that are fused resize the picture in different ways." if skipped else None
        )


def test_something_else_cannot_be_asked_for(astronaut: bytes) -> None:
    with Detector(PixelScorer(brightness)) as detector, pytest.raises(ConfigurationError, match="holds scores"):
        detector.detect(astronaut, include=["scores"])
    assert "stability" not in Detector(PixelScorer(brightness)).detect(astronaut).metadata

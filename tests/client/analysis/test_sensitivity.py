"""The map points at the cell that makes the score, in the pixels of the frame, whatever the model's resize."""

import base64

import numpy as np
import pytest
from PIL import Image, ImageFilter

from deepfake_client import Detector, OverloadedError, evidence_html
from deepfake_client.analysis.sensitivity import GRID, SensitivityMap
from deepfake_client.evidence.builder import build_evidence
from deepfake_client.pictures import Box
from deepfake_client.release import Resize
from tests.client.analysis.pixel_scorer import MODEL, PixelScorer
from tests.media import encode_image, pixels_of

RESIZES = (
    Resize(size_px=224),
    Resize(size_px=64, resample=3, mode="shortest_edge_center_crop", edge_px=80),
)


def roughness(pixels: np.ndarray) -> float:
    """How much neighbours differ, 0-1: noise is rough, and what is blurred is not."""
    return min(float(np.abs(np.diff(pixels.astype(np.float64), axis=0)).mean() / 8), 1.0)


def scorer_with(resize: Resize, face_box_px: Box | None = None) -> PixelScorer:
    preprocess = MODEL.preprocess.model_copy(update={"resize": resize})
    return PixelScorer(roughness, face_box_px, MODEL.model_copy(update={"preprocess": preprocess}))


def marked(size: tuple[int, int], box: tuple[int, int, int, int]) -> np.ndarray:
    """A grey picture with black and white noise in one place."""
    noise = np.random.default_rng(0).integers(0, 2, (9, 9), np.uint8) * 255
    picture = Image.new("L", size, "gray")
    picture.paste(Image.fromarray(noise).resize((box[2] - box[0], box[3] - box[1]), 0), box)
    return np.asarray(picture.convert("RGB"))


@pytest.mark.parametrize("resize", RESIZES, ids=["exact", "centre"])
@pytest.mark.parametrize(
    ("size", "face", "mark"),
    [
        ((224, 224), None, (130, 66, 155, 91)),
        ((300, 200), None, (180, 60, 200, 80)),
        ((400, 300), (60.0, 40.0, 160.0, 150.0), (130, 60, 145, 75)),
    ],
    ids=["square", "wide", "face"],
)
def test_the_largest_change_is_where_the_mark_is(
    resize: Resize, size: tuple[int, int], face: Box | None, mark: tuple[int, int, int, int]
) -> None:
    scorer = scorer_with(resize, face)
    with Detector(scorer) as detector:
        output = detector.detect(encode_image(marked(size, mark), "PNG"), include=["sensitivity"])
    found = output.details.sensitivity.map
    assert found.fake_probability == pytest.approx(output.confidence_score, abs=6e-5), "the unchanged crop"
    assert len(scorer.sent) == 1 + GRID * GRID
    x0, y0, x1, y1 = found.grid_px
    centre = (mark[0] + mark[2]) / 2, (mark[1] + mark[3]) / 2
    column = int((centre[0] - x0) / (x1 - x0) * GRID)
    row = int((centre[1] - y0) / (y1 - y0) * GRID)
    assert np.unravel_index(np.argmax(found.changes), (GRID, GRID)) == (row, column)
    assert found.changes[row][column] > 0.02


def test_a_cell_is_replaced_by_its_blurred_self_and_nothing_else() -> None:
    scorer = scorer_with(RESIZES[0])
    pixels = np.random.default_rng(1).integers(100, 104, (224, 224, 3), np.uint8)
    with Detector(scorer) as detector:
        detector.detect(encode_image(pixels, "PNG"), include=["sensitivity"])
    whole, *changed = (np.asarray(picture) for picture in scorer.sent)
    blurred = np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(16)))
    assert np.array_equal(whole, pixels)
    cell = np.zeros((224, 224, 1), bool)
    cell[2 * 32 : 3 * 32, 5 * 32 : 6 * 32] = True
    assert np.array_equal(changed[2 * GRID + 5], np.where(cell, blurred, pixels))


def test_the_map_is_drawn_in_the_report() -> None:
    picture = marked((224, 224), (130, 66, 155, 91))
    with Detector(scorer_with(RESIZES[0])) as detector:
        output = detector.detect(encode_image(picture, "PNG"), include=["sensitivity"], keep_frames=True)
        without = detector.detect(encode_image(picture, "PNG"), keep_frames=True)
    evidence = build_evidence(output, "marked.png")
    drawn = pixels_of(base64.b64decode(evidence.sensitivity_picture.jpeg_base64)).astype(int)
    assert drawn.shape == (448, 448, 3)
    red, _, blue = drawn[2 * 64 + 8 : 2 * 64 + 16, 4 * 64 + 8 : 5 * 64 - 8].mean(axis=(0, 1))
    assert red > blue + 60, "the marked cell is orange"
    assert np.ptp(drawn[300:310, 100:110].mean(axis=(0, 1))) < 6, "others are not"
    assert "Sensitivity, not proof" in evidence_html(evidence)
    assert evidence.sensitivity.map == output.details.sensitivity.map
    bare = build_evidence(without, "marked.png")
    assert bare.sensitivity_picture is bare.sensitivity is None
    assert "Sensitivity, not proof" not in evidence_html(bare)


def test_a_map_that_cannot_be_made_is_said_to_be_missing() -> None:
    scorer = scorer_with(RESIZES[0])
    scorer.failure = OverloadedError("busy")
    with Detector(scorer) as detector:
        output = detector.detect(encode_image(marked((64, 64), (0, 0, 9, 9)), "PNG"), include=["sensitivity"])
    assert output.metadata["sensitivity"]["map"] is None
    report = evidence_html(build_evidence(output, "marked.png"))
    assert "Not examined. The service did not score the changed pictures (OVERLOADED)." in report


def test_changes_for_real_and_for_fake_have_different_signs() -> None:
    picture = marked((224, 224), (130, 66, 155, 91))

    def smoothness(pixels: np.ndarray) -> float:
        return 1 - roughness(pixels)

    def changes(judge: object) -> SensitivityMap:
        scorer = scorer_with(RESIZES[0])
        scorer.judge = judge
        with Detector(scorer) as detector:
            return detector.detect(encode_image(picture, "PNG"), include=["sensitivity"]).details.sensitivity.map

    assert np.allclose(changes(roughness).changes, -np.array(changes(smoothness).changes), atol=2e-4)

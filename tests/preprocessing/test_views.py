"""Several classifiers are given different squares of one image: each is what a release of that model alone prepares."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assets import FACE_MODELS, fetch_assets
from preprocessing import (
    FaceDetector,
    Preparer,
    PreprocessParams,
    ResizeMode,
    ResizeSpec,
    View,
)
from tests.media import encode_image, photo_pixels
from tests.preprocessing.test_icc import display_p3

CLOSE = View(ResizeSpec(64), 1.1)
WIDE = View(ResizeSpec(96, 3, ResizeMode.SHORTEST_EDGE_CENTER_CROP, 110), 2.0)
WHOLE = View(ResizeSpec(80), whole_image=True)


@pytest.fixture(scope="module")
def models_dir() -> Path:
    return next(iter(fetch_assets(FACE_MODELS).values())).parent


def picture(name: str, profile: bytes | None) -> bytes:
    pixels = photo_pixels(name)[:400, :400]  # a square, of which a crop may be all
    return encode_image(pixels, "PNG", icc_profile=profile)


@pytest.mark.parametrize("detector", FaceDetector)
@pytest.mark.parametrize("profile", [None, display_p3()])
@pytest.mark.parametrize("name", ["astronaut.png", "coffee.png"])
def test_each_view_is_that_of_its_model_alone(
    name: str, profile: bytes | None, detector: FaceDetector, models_dir: Path
) -> None:
    params = PreprocessParams(CLOSE.resize, crop_factor=CLOSE.crop_factor, face_detector=detector)
    together = Preparer(replace(params, further_views=(WIDE, WHOLE)), models_dir)
    encoded = picture(name, profile)
    prepared = together.prepare(encoded)
    together.close()
    for view, square in zip((CLOSE, WIDE, WHOLE), (prepared.pixels, *prepared.further), strict=True):
        alone = replace(params, resize=view.resize, crop_factor=view.crop_factor, face_detection=not view.whole_image)
        preparer = Preparer(alone, models_dir)
        expected = preparer.prepare(encoded)
        preparer.close()
        np.testing.assert_array_equal(square, expected.pixels)
        assert view.whole_image or expected.faces == prepared.faces
    assert bool(prepared.faces) == (name == "astronaut.png")


def test_they_are_stored_with_a_release_and_one_view_as_before(tmp_path: Path) -> None:
    several = PreprocessParams(further_views=(WIDE, WHOLE))
    (tmp_path / "preprocess.json").write_text(json.dumps(several.to_dict()))
    assert PreprocessParams.load(tmp_path / "preprocess.json") == several
    assert "further_views" not in PreprocessParams().to_dict()

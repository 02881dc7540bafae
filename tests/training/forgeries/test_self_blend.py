from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from training.data.faces import FaceImage
from training.forgeries.self_blend import STRONG, ForgeryRecipe, SelfBlender


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs(a.astype(int) - b.astype(int)).max(axis=2)


def test_a_forgery_is_a_picture_of_the_same_size_with_its_mask(face: FaceImage) -> None:
    forgery = SelfBlender().forge(face, rng())
    assert forgery.pixels.shape == face.pixels.shape
    assert forgery.pixels.dtype == np.uint8
    assert forgery.mask.shape == face.pixels.shape[:2]
    assert forgery.mask.dtype == np.float32
    assert forgery.mask.min() == 0
    assert 0.3 < forgery.mask.max() <= 1


def test_the_same_seed_gives_the_same_forgery_and_another_one_another(face: FaceImage) -> None:
    first, again, other = (SelfBlender().forge(face, rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(first.pixels, again.pixels)
    assert np.array_equal(first.mask, again.mask)
    assert not np.array_equal(first.pixels, other.pixels)


def test_the_face_given_is_never_changed(face: FaceImage) -> None:
    before = face.pixels.copy()
    for seed in range(20):
        SelfBlender().forge(face, rng(seed))
        SelfBlender().real(face, rng(seed))
    assert np.array_equal(face.pixels, before)


def test_an_alpha_blend_of_the_inside_leaves_all_outside_the_mask_as_it_was(face: FaceImage) -> None:
    blender = SelfBlender(ForgeryRecipe(outside=0, multiband=0))
    for seed in range(10):
        forgery = blender.forge(face, rng(seed))
        assert difference(forgery.pixels, face.pixels)[forgery.mask == 0].max() == 0


def test_an_alpha_blend_of_the_outside_leaves_the_middle_of_an_opaque_mask_as_it_was(face: FaceImage) -> None:
    blender = SelfBlender(ForgeryRecipe(outside=1, multiband=0, min_opacity=1))
    for seed in range(10):
        forgery = blender.forge(face, rng(seed))
        assert difference(forgery.pixels, face.pixels)[forgery.mask == 1].max(initial=0) == 0
        assert difference(forgery.pixels, face.pixels)[forgery.mask < 0.5].max() > 0


def test_every_forgery_differs_from_its_original(face: FaceImage) -> None:
    for seed in range(40):
        forgery = SelfBlender().forge(face, rng(seed))
        assert difference(forgery.pixels, face.pixels).max() > 3, seed


def test_all_methods_occur_and_are_named(face: FaceImage) -> None:
    seen = Counter(SelfBlender().forge(face, rng(seed)).method for seed in range(60))
    assert set(seen) == {
        f"{kind}/{blend}" for kind in ("colour", "frequency", "colour+frequency") for blend in ("alpha", "multiband")
    }


@pytest.mark.parametrize(
    ("colour", "frequency", "kind"), [(1, 0, "colour"), (0, 1, "frequency"), (1, 1, "colour+frequency")]
)
def test_a_recipe_decides_what_differs(face: FaceImage, colour: float, frequency: float, kind: str) -> None:
    blender = SelfBlender(ForgeryRecipe(colour=colour, frequency=frequency))
    assert {blender.forge(face, rng(seed)).method.split("/")[0] for seed in range(8)} == {kind}


def test_strong_forgeries_differ_more(face: FaceImage) -> None:
    def mean_difference(recipe: ForgeryRecipe) -> float:
        forgeries = [SelfBlender(replace(recipe, outside=1)).forge(face, rng(seed)) for seed in range(30)]
        return float(np.mean([difference(forgery.pixels, face.pixels).mean() for forgery in forgeries]))

    assert mean_difference(STRONG) > 1.3 * mean_difference(ForgeryRecipe())


def test_a_real_picture_is_left_alone_or_changed_everywhere(face: FaceImage) -> None:
    untouched = SelfBlender(ForgeryRecipe(global_change=0))
    assert np.array_equal(untouched.real(face, rng()), face.pixels)
    changed = SelfBlender(ForgeryRecipe(global_change=1, colour=1, frequency=0)).real(face, rng(1))
    corners = [np.s_[:60, :60], np.s_[:60, -60:], np.s_[-60:, :60], np.s_[-60:, -60:]]
    assert all(difference(changed, face.pixels)[corner].mean() > 1 for corner in corners)

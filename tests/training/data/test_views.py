import pickle

import cv2
import numpy as np
import pytest

from evaluation.dataset import Label
from preprocessing import Box, ResizeSpec
from tests.training.samples import made_faces, paint_patch
from training.data.augmentation import Placement, degrade, draw_placement, patch_shares
from training.data.faces import FaceImage
from training.data.sets import FaceSet
from training.data.views import TrainingViews, ViewParams, collate

PARAMS = ViewParams(crop_factor=1.3, resize=ResizeSpec(48), grid=3, augment=1.0, seed=7)


def views_of(params: ViewParams = PARAMS, blend: bool = True) -> TrainingViews:
    faces = made_faces(6)
    labels = [Label.REAL] * 4 + [Label.FAKE] * 2
    return TrainingViews(FaceSet(faces, labels), params, paint_patch if blend else None)


def test_a_real_face_comes_with_its_forgery_and_a_fake_alone() -> None:
    views = views_of()
    assert [[view.label for view in views[index]] for index in (0, 5)] == [[1, 0], [0]]
    assert views.class_counts() == {Label.REAL: 4, Label.FAKE: 6}
    assert [view.label for view in views_of(blend=False)[0]] == [1]


def test_a_pair_differs_where_the_mask_says_and_nowhere_else() -> None:
    """Same crop, turn, mirror and degradations for both."""
    plain = ViewParams(1.3, ResizeSpec(48), 48, 0.0, 7)
    for index in range(4):
        real, fake = views_of(plain)[index]
        difference = np.abs(real.pixels.astype(int) - fake.pixels).max(axis=2).ravel()
        assert real.patches is not None
        assert fake.patches is not None
        assert real.patches.max() == 0
        assert difference[fake.patches > 0.9].mean() > 20
        assert difference[fake.patches == 0].mean() < 1


def test_degradations_of_a_pair_are_the_same() -> None:
    face = made_faces(1)[0]
    for seed in range(30):
        once, again = (degrade(face.pixels, 1.0, np.random.default_rng(seed)) for _ in range(2))
        assert np.array_equal(once, again)
        assert once.shape == face.pixels.shape
        assert once.dtype == np.uint8


def test_degradations_happen_as_strength_says() -> None:
    pixels = made_faces(1)[0].pixels
    changed = [
        sum(not np.array_equal(degrade(pixels, strength, np.random.default_rng(seed)), pixels) for seed in range(100))
        for strength in (0.0, 0.3, 1.0)
    ]
    assert changed[0] == 0
    assert 20 < changed[1] < changed[2]
    assert changed[2] > 80


def test_views_depend_on_seed_epoch_and_index_only() -> None:
    views = views_of()
    views.set_epoch(3)
    again = pickle.loads(pickle.dumps(views))  # what a worker process gets
    views[0], again[5]
    assert np.array_equal(views[2][1].pixels, again[2][1].pixels)
    views.set_epoch(4)
    assert not np.array_equal(views[2][1].pixels, again[2][1].pixels)
    other = views_of(ViewParams(1.3, ResizeSpec(48), 3, 1.0, seed=8))
    other.set_epoch(3)
    assert not np.array_equal(other[2][1].pixels, again[2][1].pixels)


def test_crops_jitter_around_the_served_one() -> None:
    box, rng = Box(60, 50, 140, 150), np.random.default_rng(0)
    placed = [draw_placement(box, 200, 200, 1.3, rng) for _ in range(300)]
    sides = [placement.width for placement in placed]
    assert 130 * 0.89 < min(sides) < 122
    assert 144 < max(sides) < 130 * 1.16
    centres = [placement.x0 + placement.width / 2 for placement in placed]
    assert abs(np.mean(centres) - 100) < 1.5
    assert {placement.mirrored for placement in placed} == {True, False}
    assert all(p.x0 >= 0 and p.x0 + p.width <= 200 and p.y0 >= 0 and p.y0 + p.height <= 200 for p in placed)


def test_a_picture_without_a_face_is_shown_almost_whole() -> None:
    placement = draw_placement(Box(0, 0, 300, 200), 300, 200, 1.3, np.random.default_rng(0))
    assert placement.width >= 0.87 * 300
    assert placement.height >= 0.87 * 200


def test_a_turn_keeps_the_centre_and_a_mirror_swaps_sides() -> None:
    picture = np.zeros((101, 101, 3), np.uint8)
    picture[48:53, 80:85] = 255
    turned = Placement(0, 0, 101, 101, 90.0, False).cut(picture)
    assert turned[16:21, 48:53].mean() > 200
    mirrored = Placement(0, 0, 101, 101, 0.0, True).cut(picture)
    assert mirrored[48:53, 16:21].mean() == 255


def test_patch_shares_are_means() -> None:
    mask = np.zeros((64, 64), np.float32)
    mask[:32, :16] = 1
    assert patch_shares(mask, 2).tolist() == [0.5, 0, 0, 0]
    odd = patch_shares(np.pad(np.ones((50, 25), np.float32), ((0, 0), (0, 25))), 2)
    assert odd == pytest.approx([1, 0, 1, 0], abs=0.05)


def test_a_batch_holds_all_views_and_marks_unknown_patches() -> None:
    views = views_of()
    batch = collate([views[0], views[5]])
    assert batch["pixels"].shape == (3, 48, 48, 3)
    assert batch["pixels"].dtype.is_floating_point is False
    assert batch["labels"].tolist() == [1, 0, 0]
    assert batch["patches"].isnan().all(dim=1).tolist() == [False, False, True]
    assert "patches" not in collate([views[5]])


def test_a_forger_may_change_the_real_one_too() -> None:
    faces = FaceSet(made_faces(1), [Label.REAL])

    def darker(face: FaceImage, rng: np.random.Generator) -> np.ndarray:
        return face.pixels // 2

    plain = ViewParams(1.3, ResizeSpec(48), 0, 0.0, 7)
    changed = TrainingViews(faces, plain, paint_patch, darker)[0]
    kept = TrainingViews(faces, plain, paint_patch)[0]
    assert changed[0].pixels.mean() < 0.6 * kept[0].pixels.mean()
    assert np.array_equal(changed[1].pixels, kept[1].pixels)


def test_a_share_of_the_pictures_is_coded_as_video_and_a_pair_alike() -> None:
    rng = np.random.default_rng(0)
    pixels = cv2.GaussianBlur(rng.integers(0, 256, (96, 96, 3), np.uint8), (0, 0), 2)
    other = pixels[::-1].copy()
    coded = 0
    for seed in range(60):
        out, twin = (degrade(p, 0.0, np.random.default_rng(seed), video_coding=0.5) for p in (pixels, other))
        assert (out.shape, out.dtype) == (pixels.shape, np.uint8)
        changed = not np.array_equal(out, pixels)
        assert changed == (not np.array_equal(twin, other)), "both of a pair"
        coded += changed
        assert np.abs(out.astype(float) - pixels).mean() < 12
    assert 18 <= coded <= 42
    assert np.array_equal(degrade(pixels, 0.0, np.random.default_rng(0)), pixels)

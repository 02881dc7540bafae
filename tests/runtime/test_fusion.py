"""The formula that fuses several models."""

import math
from pathlib import Path

import numpy as np
import pytest

from runtime import ClassifierLoadError, ClassifierRunError, Fusion, FusionSpec

SPEC = FusionSpec((0.5, 0.5), 0.0, 7, (1, 2), (0, 1))


def test_the_mean_is_that_of_log_odds() -> None:
    assert Fusion.mean(2).fake_probability(np.array([[0.9, 0.5], [0.2, 0.8]])) == pytest.approx([0.75, 0.5])


def test_fitted_weights_and_an_intercept_count() -> None:
    p = Fusion((2.0, 0.0), -1.0).fake_probability(np.array([[0.6, 0.99]]))
    assert p[0] == pytest.approx(1 / (1 + math.exp(1 - 2 * math.log(0.6 / 0.4))))


def test_saturated_members_leave_a_finite_score_and_unscored_images_none() -> None:
    members = np.array([[1.0, 1.0], [1.0, 0.0], [np.nan, 0.5]], np.float32)
    p = SPEC.fused(members, np.full((3, 2), (1, 2), np.int32)).fake_probability[:, 0]
    assert 0.999 < p[0] <= 1
    assert p[1] == pytest.approx(0.5, abs=1e-6)
    assert np.isnan(p[2])


def test_the_answer_carries_the_id_of_the_fusion_and_refuses_other_members() -> None:
    answer = SPEC.fused(np.array([[0.9, 0.5]], np.float32), np.array([[1, 2]], np.int32))
    assert answer.export_id.tolist() == [[7]]
    assert answer.probabilities[0] == pytest.approx([0.75, 0.25])
    with pytest.raises(ClassifierRunError, match="export again"):
        SPEC.fused(np.array([[0.9, 0.5]], np.float32), np.array([[1, 3]], np.int32))


def test_it_is_read_as_it_was_written_and_damage_is_named(tmp_path: Path) -> None:
    SPEC.save(tmp_path)
    assert FusionSpec.load(tmp_path) == SPEC
    (tmp_path / "fusion.json").write_text('{"weights": [1]}')
    with pytest.raises(ClassifierLoadError, match="export again"):
        FusionSpec.load(tmp_path)

"""What a score is worth as evidence, in words."""

import math

import pytest

from deepfake_client.media import MediaType
from deepfake_client.presentation.likelihood import Likelihood, likelihood_of
from deepfake_client.release import BandRecord, CalibrationRecord, LikelihoodRatios
from tests.client.evidence.test_report import DESCRIBED, MODEL


def said(p: float) -> Likelihood:
    found = likelihood_of(DESCRIBED, MediaType.IMAGE, p)
    assert found is not None
    return found


def test_the_ratio_is_the_calibrations_formula_in_words() -> None:
    fake, real = said(0.7), said(0.3)
    assert fake.log10_lr == pytest.approx(1.5 * math.log10(0.7 / 0.3) + 0.2, abs=0.005)
    assert fake.explanation == (
        "Such a score is 5.6 times likelier for a fake than for a real file (log10 likelihood ratio +0.75), as "
        "measured on 300 real and 280 fake images of 40 persons."
    )
    assert "2.2 times likelier for a real file than for a fake (log10 likelihood ratio -0.35)" in real.explanation
    assert "as likely for a fake as for a real file" in said(1 / (1 + 10 ** (0.2 / 1.5))).explanation


@pytest.mark.parametrize(("p", "log10_lr", "times"), [(1.0, 1.5, "32"), (0.0, -1.2, "16")])
def test_no_ratio_is_beyond_what_the_calibration_supports(p: float, log10_lr: float, times: str) -> None:
    found = said(p)
    assert (found.log10_lr, found.low, found.high) == (log10_lr, -1.2, 1.5)
    assert f"{times} times likelier" in found.explanation
    assert "the limit of what its calibration supports" in found.explanation


def test_videos_have_ratios_of_their_own() -> None:
    calibration = DESCRIBED.calibration
    assert calibration is not None
    assert likelihood_of(DESCRIBED, MediaType.VIDEO, 0.75) is None, "those of images say nothing of a mean of frames"
    ratios = LikelihoodRatios(slope=1.0, intercept=0.0, low=-1.0, high=1.0, cllr=0.5, cllr_min=0.5)
    video = calibration.image.model_copy(update={"unit": "videos", "likelihood_ratio": ratios})
    model = DESCRIBED.model_copy(update={"calibration": calibration.model_copy(update={"video": video})})
    found = likelihood_of(model, MediaType.VIDEO, 0.75)
    assert found is not None
    assert found.log10_lr == pytest.approx(math.log10(3), abs=0.005)
    assert "fake videos" in found.explanation


def test_nothing_is_said_without_a_calibration_that_has_them() -> None:
    calibration = DESCRIBED.calibration
    assert calibration is not None
    old: BandRecord = calibration.image.model_copy(update={"likelihood_ratio": None})
    record: CalibrationRecord = calibration.model_copy(update={"image": old})
    for model in (MODEL, DESCRIBED.model_copy(update={"calibration": record})):
        assert likelihood_of(model, MediaType.IMAGE, 0.9) is None
    assert likelihood_of(DESCRIBED.model_copy(update={"trained": False}), MediaType.IMAGE, 0.9) is None

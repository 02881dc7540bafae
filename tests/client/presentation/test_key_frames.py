"""Which frames a report shows, and where its bands come from."""

from typing import Any

import pytest

from deepfake_client.analysis.findings import ISOLATED_PEAK_POINTS, SMALL_FACE_PX
from deepfake_client.evidence.builder import build_evidence
from deepfake_client.evidence.document import BandsOrigin
from deepfake_client.presentation.key_frames import (
    MAX_PEAKS,
    PEAK_PROMINENCE,
    KeyFrameReason,
    choose_key_frames,
    find_peaks,
)
from deepfake_client.release import ReleaseBands, VerdictBands
from deepfake_client.result import DetectionOutput
from tests.client.evidence.cases import FACE_PX, MODEL, made_output

OWN_BANDS = MODEL.model_copy(
    update={
        "verdict_bands": ReleaseBands(
            image=VerdictBands(real_below=0.2, fake_above=0.8), video=VerdictBands(real_below=0.25, fake_above=0.75)
        )
    }
)


def output_of(scores: list[Any], **options: Any) -> DetectionOutput:
    return made_output(scores, keep_frames=False, **options)


def test_key_frames_of_a_video() -> None:
    scores = [0.5, 0.9, 0.1, "DECODE_FAILED", 0.52, 0.4]
    chosen = choose_key_frames(output_of(scores, without_face=[4, 5]))
    assert chosen == {
        0: [KeyFrameReason.TYPICAL],
        1: [KeyFrameReason.HIGHEST],
        2: [KeyFrameReason.LOWEST],
        4: [KeyFrameReason.FIRST_WITHOUT_FACE],
    }


def test_the_deciding_persons_frames_are_compared() -> None:
    output = output_of([0.1, 0.2, 0.3, 0.2], others=[[0.9, None, 0.8, 0.95]])
    assert output.details.deciding_person == 2
    assert output.deciding_probabilities == (0.9, None, 0.8, 0.95)
    assert choose_key_frames(output) == {
        0: [KeyFrameReason.TYPICAL],
        2: [KeyFrameReason.LOWEST],
        3: [KeyFrameReason.HIGHEST],
    }


def test_equal_frames_give_the_first_whatever_the_noise() -> None:
    for noise in (1e-7, -1e-7):
        chosen = choose_key_frames(output_of([0.5, 0.5 + noise, 0.5]))
        assert chosen == {0: [KeyFrameReason.HIGHEST, KeyFrameReason.LOWEST, KeyFrameReason.TYPICAL]}


def test_only_a_face_that_is_too_small_is_shown_for_its_size() -> None:
    def reasons(side: float) -> list[KeyFrameReason]:
        chosen = choose_key_frames(output_of([0.5, 0.6], face_side_px=side))
        return [reason for reasons in chosen.values() for reason in reasons]

    assert KeyFrameReason.SMALLEST_FACE not in reasons(64.0)
    assert KeyFrameReason.SMALLEST_FACE in reasons(63.9)


def test_an_image_is_its_own_key_frame() -> None:
    assert choose_key_frames(output_of([0.5], is_video=False)) == {0: [KeyFrameReason.ONLY_IMAGE]}


@pytest.mark.parametrize(
    ("scores", "peaks"),
    [
        ([0.5], [0]),
        ([0.1, 0.2, 0.3], [2]),
        ([0.3, 0.2, 0.1], [0]),
        ([0.1, 0.5, 0.1, 0.4, 0.1], [1, 3]),
        ([0.1, 0.5, 0.41, 0.5, 0.1], [1]),
        ([0.1, 0.5, 0.39, 0.5, 0.1], [1, 3]),
        ([0.1, 0.4, 0.4, 0.1, 0.5], [4, 1]),
        ([0.1, 0.9, 0.1, 0.8, 0.1, 0.7, 0.1, 0.6, 0.1], [1, 3, 5]),
        ([0.1, 0.4, "DECODE_FAILED", 0.5, 0.1], [3]),
        ([0.5, 0.45, 0.55, 0.5], [2]),
    ],
)
def test_peaks(scores: list[Any], peaks: list[int]) -> None:
    assert find_peaks(output_of(scores).deciding_probabilities) == peaks
    assert len(peaks) <= MAX_PEAKS


def test_a_peaks_prominence_is_where_a_frame_begins_to_count_by_itself() -> None:
    assert pytest.approx(ISOLATED_PEAK_POINTS) == 100 * PEAK_PROMINENCE
    assert FACE_PX[2] - FACE_PX[0] > SMALL_FACE_PX


@pytest.mark.parametrize("is_video", [True, False])
def test_where_bands_come_from(is_video: bool) -> None:
    for model, expected in ((MODEL, BandsOrigin.DEFAULT), (OWN_BANDS, BandsOrigin.CHECKPOINT)):
        shown = build_evidence(made_output([0.5], model=model, is_video=is_video), "x").verdict.bands
        bands = model.verdict_bands.video if is_video else model.verdict_bands.image
        assert shown.model_dump() == {**bands.model_dump(), "origin": expected}

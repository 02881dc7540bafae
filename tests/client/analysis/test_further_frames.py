"""The second round: which frames are looked at, what they sharpen, and what never comes of them."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from deepfake_client import ClientSettings, DetectionOutput, Detector
from deepfake_client.errors import DeadlineExceededError, MediaTooLargeError, OverloadedError
from deepfake_client.evidence.builder import build_evidence
from deepfake_client.evidence.html import evidence_html
from deepfake_client.media import Frame, Media
from deepfake_client.release import ModelInfo
from deepfake_client.scorer import OK, Deadline, Face, FrameScore, Scoring
from deepfake_client.video.sample import sample_video
from deepfake_client.video.sampling import Sampling
from tests.client.evidence.cases import MODEL
from tests.media import pixels_of, read_number

Clip = Callable[[str], Path]
FORGED = range(240, 262)
"""Frames of the clip, 25 a second: from 9.6 to 10.48 s, of 24 s. One of 30 even frames is among them."""


@dataclass
class Scripted:
    """Says of each frame of a numbered clip whether it is forged.

    Attributes:
        delay_s: Of each call.
        second: Raised by the second call, or the release that answers it.
        calls: Numbers of the frames that each call scored.
    """

    forged: Sequence[int] = FORGED
    delay_s: float = 0.0
    second: Exception | ModelInfo | None = None
    calls: list[list[int]] = field(default_factory=list)

    def score(self, images: Sequence[bytes], deadline: Deadline, request_id: str = "", *_: Any) -> Scoring:
        numbers = [read_number(pixels_of(image)) for image in images]
        self.calls.append(numbers)
        deadline.sleep(self.delay_s)
        second = self.second if len(self.calls) == 2 else None
        if isinstance(second, Exception):
            raise second
        return Scoring(second or MODEL, [FrameScore(OK, 0.95 if n in self.forged else 0.05) for n in numbers])

    def close(self) -> None: ...


def detected(scorer: Scripted, path: Path, decode: Any = sample_video, **options: Any) -> DetectionOutput:
    settings = ClientSettings(**options.pop("settings", {}))
    include = ["further_frames"] if options.pop("further_frames", True) else []
    return Detector(scorer, settings, decode).detect(path, include=include, **options)


def spans(output: DetectionOutput) -> list[tuple[float, float, int]]:
    return [(s.start_s, s.end_s, s.frames) for s in output.details.segments or ()]


def codes(output: DetectionOutput) -> set[str]:
    return {finding.code.value for finding in output.findings}


def test_a_short_stretch_that_one_frame_hits_is_found_and_timed(clip: Clip) -> None:
    path = clip("h264_gop12.mp4")
    before, after = (detected(Scripted(), path, further_frames=further) for further in (False, True))
    assert spans(before) == [(pytest.approx(9.5, abs=0.1), pytest.approx(10.34, abs=0.1), 1)]
    assert "SHORT_SUSPICIOUS_STRETCH" not in codes(before), "one frame may err"
    [(start_s, end_s, frames)] = spans(after)
    assert (start_s, end_s) == (pytest.approx(9.6, abs=0.05), pytest.approx(10.48, abs=0.05))
    assert frames > 10
    assert "SHORT_SUSPICIOUS_STRETCH" in codes(after)
    assert "From 9.6 to 10.5 s" in next(f.message for f in after.findings if f.code == "SHORT_SUSPICIOUS_STRETCH")


def test_scores_verdict_and_counts_are_those_of_the_even_frames(clip: Clip) -> None:
    before, after = (detected(Scripted(), clip("h264_gop12.mp4"), further_frames=more) for more in (False, True))
    assert (after.result, after.confidence_score, after.scores) == (
        before.result,
        before.confidence_score,
        before.scores,
    )
    assert after.frames == before.frames
    kept = ("frames_analyzed", "frames_failed", "faces_detected", "frame_predictions")
    assert [after.metadata[key] for key in kept] == [before.metadata[key] for key in kept]
    assert "further_frame_predictions" not in before.metadata
    further = after.metadata["further_frame_predictions"]
    assert [frame["index"] for frame in further] == list(range(30, 30 + len(further)))
    assert [frame["timestamp_s"] for frame in further] == sorted(frame["timestamp_s"] for frame in further)


def test_no_frame_is_scored_twice_and_none_elsewhere(clip: Clip) -> None:
    scorer = Scripted()
    detected(scorer, clip("h264_gop12.mp4"))
    first, second = scorer.calls
    assert len(second) == 30
    assert not set(first) & set(second)
    hit = next(at for at, number in enumerate(first) if number in FORGED)
    assert all(first[hit - 1] < number < first[hit + 1] for number in second)


def test_a_secret_decides_on_the_further_places_too(clip: Clip) -> None:
    scorers = [Scripted(range(200, 300)) for _ in range(3)]
    for scorer, secret in zip(scorers, (None, "x" * 16, "y" * 16), strict=True):
        detected(scorer, clip("h264_gop12.mp4"), settings={"sampling_secret": secret})
    assert len({tuple(scorer.calls[1]) for scorer in scorers}) == 3


@pytest.mark.parametrize(
    ("forged", "options"),
    [
        (FORGED, {"further_frames": False}),
        (FORGED, {"settings": {"further_frames": 0}}),
        (range(600), {}),
        ((), {}),
    ],
    ids=["not asked for", "switched off", "all fake", "all real"],
)
def test_where_there_is_no_second_round(clip: Clip, forged: Sequence[int], options: dict[str, Any]) -> None:
    scorer = Scripted(forged)
    assert detected(scorer, clip("h264_gop12.mp4"), **options).further_frames == ()
    assert len(scorer.calls) == 1


def test_where_every_frame_is_known_nothing_is_read_again(clip: Clip) -> None:
    scorer, reads = Scripted([3]), []

    def decode(media: Media, sampling: Sampling) -> list[Frame]:
        reads.append(sampling)
        return sample_video(media, sampling)[:20]

    assert detected(scorer, clip("mjpeg.avi"), decode).further_frames == ()
    assert len(reads) == 1


def test_a_setting_says_how_many(clip: Clip) -> None:
    scorer = Scripted()
    assert len(detected(scorer, clip("h264_gop12.mp4"), settings={"further_frames": 6}).further_frames) == 6


def test_with_too_little_time_there_is_none(clip: Clip) -> None:
    """Half a second for the first round: twice that must be left."""
    scorer = Scripted(delay_s=0.5)
    output = detected(scorer, clip("h264_gop12.mp4"), timeout_s=1.4)
    assert (len(scorer.calls), output.further_frames) == (1, ())
    assert "further_frame_predictions" not in output.metadata


@pytest.mark.parametrize(
    "second",
    [OverloadedError("busy"), DeadlineExceededError("late"), MODEL.model_copy(update={"release_id": "another"})],
    ids=["overloaded", "late", "another release"],
)
def test_a_second_round_that_fails_costs_nothing(clip: Clip, second: Any) -> None:
    scorer = Scripted(second=second)
    output = detected(scorer, clip("h264_gop12.mp4"))
    assert (len(scorer.calls), output.further_frames) == (2, ())
    assert spans(output) == spans(detected(Scripted(), clip("h264_gop12.mp4"), further_frames=False))


def test_a_detection_that_is_cancelled_ends(clip: Clip) -> None:
    deadline = Deadline(60)

    def decode(media: Media, sampling: Sampling) -> list[Frame]:
        if sampling.within_s:
            deadline.cancel()
            deadline.remaining_s()
        return sample_video(media, sampling)

    with pytest.raises(DeadlineExceededError, match="cancelled"):
        detected(Scripted(), clip("h264_gop12.mp4"), decode, timeout_s=deadline)


def test_all_frames_together_are_bounded_in_bytes(clip: Clip) -> None:
    """Room for 40 of them: ten further ones."""
    path, samplings = clip("h264_gop12.mp4"), []
    frame_bytes = len(detected(Scripted(), path, keep_frames=True).frames[0].encoded or b"")

    def decode(media: Media, sampling: Sampling) -> list[Frame]:
        samplings.append(sampling)
        return sample_video(media, sampling)

    output = detected(Scripted(), path, decode, settings={"max_media_bytes": 40 * frame_bytes})
    assert len(output.further_frames) == 10
    assert replace(samplings[1], count=30, max_bytes=40 * frame_bytes, within_s=None) == samplings[0]
    with pytest.raises(MediaTooLargeError):
        detected(Scripted(), path, settings={"max_media_bytes": 29 * frame_bytes})
    assert detected(Scripted(), path, settings={"max_media_bytes": 30 * frame_bytes}).further_frames == ()


def test_the_time_of_a_second_round_is_part_of_the_detections(clip: Clip) -> None:
    started = time.monotonic()
    output = detected(Scripted(delay_s=0.2), clip("h264_gop12.mp4"))
    assert 0.4 < output.processing_time_seconds < time.monotonic() - started


def test_the_report_shows_them_apart(clip: Clip) -> None:
    output = detected(Scripted(), clip("h264_gop12.mp4"))
    evidence = build_evidence(output, "clip.mp4")
    count = len(output.further_frames)
    assert (len(evidence.frames), len(evidence.further_frames)) == (30, count)
    assert evidence.segments == list(output.details.segments or ())
    text = evidence_html(evidence)
    assert f"{count} further frames were sampled" in text
    assert re.search(r"Above the threshold: 9\.\d+\ss to 10\.\d+\ss \(\d+ frames, mean 95\.0\s%\)\.", text)
    assert text.count('<circle class="dot"') == text.count('<tr><td class="figure">') == 30 + count
    assert len(re.findall(r'<tr><td class="figure">\+\d+</td>', text)) == count


def test_a_person_keeps_the_number_in_further_frames(clip: Clip) -> None:
    """Two faces side by side: the right one is forged in the middle."""

    class TwoFaces(Scripted):
        def score(self, images: Sequence[bytes], deadline: Deadline, request_id: str = "", *given: Any) -> Scoring:
            boxes = ((20.0, 60.0, 120.0, 160.0), (200.0, 60.0, 280.0, 140.0))
            if given and given[0]:  # the second pass, over the right face
                return super().score(images, deadline)
            scores = [Face(boxes[0], 0.9, 0.1), Face(boxes[1], 0.9)]
            return Scoring(MODEL, [FrameScore(OK, 0.1, faces=tuple(scores)) for _ in images])

    def one_scene(media: Media, sampling: Sampling) -> list[Frame]:
        return [replace(frame, sketch=b"") for frame in sample_video(media, sampling)]

    output = detected(TwoFaces(), clip("h264_gop12.mp4"), one_scene)
    assert [person["person"] for person in output.metadata["people"]] == [1, 2]
    assert [(s.person, s.frames > 10) for s in output.details.segments or ()] == [(2, True)]
    further = output.metadata["further_frame_predictions"]
    assert {tuple(face["person"] for face in frame["faces"]) for frame in further} == {(1, 2)}

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from deepfake_client import (
    ClientSettings,
    DetectionResult,
    Detector,
    Face,
    FrameScore,
    MediaType,
    ModelInfo,
    ScoredFrame,
)
from deepfake_client.detector import read_frames
from deepfake_client.errors import ServerUnavailableError
from deepfake_client.media import identify, open_media
from deepfake_client.scorer import Deadline, Scoring
from evaluation.dataset import Label, LabelledFile
from evaluation.degradation import parse_degradation
from evaluation.errors import ModelChangedError
from evaluation.robustness import NO_CLEAN_SCORE, NO_FACE, PairedScore, score_degraded
from evaluation.scoring import NOT_TRIED, ScoredFile
from tests.evaluation.conftest import Evaluate, read_results
from tests.inference_server import DESCRIPTION, InferenceServer
from tests.media import VideoSpec, encode_image, photo_pixels, write_video

INFO = ModelInfo.from_json(json.dumps(DESCRIPTION))
Answer = Callable[[Sequence[bytes]], list[FrameScore]]


class ScriptedScorer:
    """Answers as a test says."""

    def __init__(self, answer: Answer, info: ModelInfo = INFO) -> None:
        self._answer = answer
        self._info = info

    def info(self, deadline: Deadline) -> ModelInfo:
        return self._info

    def score(
        self, images: Sequence[bytes], deadline: Deadline, request_id: str = "", face_boxes_px: Any = None
    ) -> Scoring:
        return Scoring(self._info, self._answer(images))

    def close(self) -> None: ...


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("clip") / "clip.avi", VideoSpec(4, codec="mjpeg", pix_fmt="yuvj420p"))


def clean_row(path: Path, scores: Sequence[FrameScore]) -> ScoredFile:
    with open_media(path) as stream:
        frames = read_frames(identify(stream, str(path)))
    scored = tuple(ScoredFrame(f.index, f.timestamp_s, score) for f, score in zip(frames, scores, strict=True))
    file = LabelledFile(path, path.name, Label.REAL, "0" * 64)
    return ScoredFile(file, 0.5, DetectionResult.UNCERTAIN, MediaType.VIDEO, 0.1, scored)


def ok(p: float, *, face: bool = False) -> FrameScore:
    return FrameScore("OK", p, (p, 1 - p), (Face((10.0, 20.0, 110.0, 120.0), 0.9, p),) if face else ())


def degrade(answer: Answer, row: ScoredFile, degradation: str, info: ModelInfo = INFO) -> PairedScore:
    detector = Detector(ScriptedScorer(answer, info), ClientSettings())
    degradations = [parse_degradation(degradation)]
    ((pair,),) = score_degraded(detector, [row], degradations, INFO, timeout_s=30, workers=1)
    return pair


CLEAN = (ok(0.1, face=True), FrameScore("DECODE_FAILED"), ok(0.5), ok(0.9, face=True))


def test_the_means_are_over_the_frames_that_have_both_scores(clip: Path) -> None:
    sent: list[int] = []

    def answer(images: Sequence[bytes]) -> list[FrameScore]:
        sent.append(len(images))
        return [ok(0.3), FrameScore("TOO_COMPLEX"), ok(0.4)]

    pair = degrade(answer, clean_row(clip, CLEAN), "jpeg=50")
    assert sent == [3], "the frame without a clean score is not sent"
    assert pair == PairedScore(clean=pytest.approx((0.1 + 0.9) / 2), degraded=pytest.approx(0.35), frames=2)


def test_a_crop_takes_the_frames_with_a_face(clip: Path) -> None:
    pair = degrade(lambda images: [ok(0.2)] * len(images), clean_row(clip, CLEAN), "crop=1.2")
    assert (pair.clean, pair.frames) == (pytest.approx(0.5), 2)
    none = degrade(lambda images: [], clean_row(clip, [ok(0.1)] * 4), "crop=1.2")
    assert (none.error_code, none.degraded, none.failed) == (NO_FACE, None, False)


def test_what_gives_no_pair(clip: Path) -> None:
    row = clean_row(clip, CLEAN)
    lost = degrade(lambda images: [FrameScore("TOO_COMPLEX")] * len(images), row, "blur=1")
    assert (lost.error_code, lost.failed) == ("NOTHING_SCORED", True)
    assert "Meaning of TOO_COMPLEX" in lost.error_message
    unscored = degrade(lambda images: [], ScoredFile(row.file, error_code="X"), "blur=1")
    assert (unscored.error_code, unscored.failed) == (NO_CLEAN_SCORE, False)
    changed = degrade(lambda images: [], replace(row, frames=row.frames[:2]), "blur=1")
    assert (changed.error_code, changed.failed) == ("MEDIA_DECODE_FAILED", True)
    gone = replace(row, file=replace(row.file, path=clip.with_name("gone.avi")))
    assert degrade(lambda images: [], gone, "blur=1").error_code == "MEDIA_NOT_FOUND"
    assert degrade(lambda images: 1 // 0, row, "blur=1").error_code == "INTERNAL"  # type: ignore[arg-type, return-value]


def test_another_model_ends_the_run(clip: Path) -> None:
    other = INFO.model_copy(update={"release_id": "other"})
    with pytest.raises(ModelChangedError):
        degrade(lambda images: [ok(0.2)] * 3, clean_row(clip, CLEAN), "blur=1", other)


def test_a_server_that_comes_back_is_asked_again(clip: Path) -> None:
    calls: list[int] = []

    def answer(images: Sequence[bytes]) -> list[FrameScore]:
        calls.append(1)
        if len(calls) == 1:
            raise ServerUnavailableError("away")
        return [ok(0.2)] * 3

    assert degrade(answer, clean_row(clip, CLEAN), "blur=1").degraded == pytest.approx(0.2)
    lost = degrade(
        lambda images: (_ for _ in ()).throw(ServerUnavailableError("away")), clean_row(clip, CLEAN), "blur=1"
    )
    assert (lost.error_code, lost.failed) == (NOT_TRIED, True)
    assert "away" in lost.error_message


@pytest.mark.usefixtures("no_figures")
def test_the_server_is_lost_during_the_degraded_run(
    evaluate: Evaluate, server: InferenceServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for label, level in (("real", 0), ("fake", 128)):
        (tmp_path / "set" / label).mkdir(parents=True)
        for number in range(2):
            pixels = photo_pixels("coffee.png")[: 32 + level // 8, : 32 + number]
            (tmp_path / "set" / label / f"{number}.png").write_bytes(encode_image(pixels, "PNG"))
    infer = server.ModelInfer

    def infer_some(request: object, context: grpc.ServicerContext) -> object:
        if len(server.received) >= 6:
            context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        return infer(request, context)

    monkeypatch.setattr(server, "ModelInfer", infer_some)
    monkeypatch.setenv("DEEPFAKE_CLIENT_ATTEMPTS", "1")
    server.stop()
    server.start()
    options = ("--url", server.url, "--workers", "1", "--outage-wait-s", "0", "--degrade", "blur=1")
    done = evaluate(tmp_path / "set", *options)
    assert done.exit_code == 3, done.output
    found = read_results(tmp_path / "out")
    assert all(file["fake_probability"] is not None for file in found["files"])
    pairs = [file["degraded"][0] for file in found["files"]]
    assert [pair["error"] and pair["error"]["code"] for pair in pairs] == [None, None, NOT_TRIED, NOT_TRIED]
    assert found["server_lost"] is True
    assert (found["robustness"][0]["real_files"], found["robustness"][0]["failed"]) == (2, 2)
    assert "2 files have no score under blur=1" in done.stdout

"""The library's two forms, a server and this process, are the same model."""

from pathlib import Path

import numpy as np
import pytest

from assets import default_cache_dir
from deepfake_client import DetectionOutput, DetectorClosedError, create_detector
from deepfake_client.in_process import InProcessScorer
from deepfake_client.scorer import Deadline
from deepfake_client.triton.scorer import TritonScorer
from export.checkpoint.hub import locate_checkpoint
from export.release import Release
from export.run import export_checkpoint
from export.settings import ExportSettings
from tests.media import VideoSpec, photo, write_video
from tests.service import Service


def test_scores_equal_those_of_the_server(service: Service, tiny_release: Release, images: dict[str, bytes]) -> None:
    batch = [*images.values(), b"junk", b""] * 3
    local, remote = InProcessScorer.open(tiny_release.path), TritonScorer(service.grpc)
    try:
        here, there = local.score(batch, Deadline(60)).scores, remote.score(batch, Deadline(60)).scores
    finally:
        local.close()
        remote.close()
    assert [s.status for s in here] == [s.status for s in there]
    assert [s.face_box_px for s in here] == [s.face_box_px for s in there]
    assert [s.export_id for s in here] == [s.export_id for s in there]
    p = np.array([[s.fake_probability or -1 for s in scores] for scores in (here, there)])
    assert np.abs(p[0] - p[1]).max() <= 1e-5


def test_a_detection_is_the_same_in_both_forms(service: Service, tiny_release: Release, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", VideoSpec(frames=40))

    def detect(target: str | Path) -> DetectionOutput:
        with create_detector(target) as detector:
            return detector.detect(clip)

    here, there = detect(tiny_release.path.parent), detect(service.grpc)
    assert here.result == there.result
    assert abs(here.confidence_score - there.confidence_score) <= 1e-5
    assert here.model_version == there.model_version
    assert here.metadata["sha256"] == there.metadata["sha256"]
    assert here.metadata["frames_analyzed"] == there.metadata["frames_analyzed"] == 30


def test_a_raw_checkpoint_is_exported_first(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo("coffee.png")
    cache, here = tmp_path / "cache", tmp_path / "here"
    cache.mkdir()
    (cache / "assets").symlink_to(default_cache_dir() / "assets")
    monkeypatch.setenv("DEEPFAKE_CACHE_DIR", str(cache))
    # What is called like our package where the caller stands is not ours.
    here.mkdir()
    (here / "export.py").write_text("raise SystemExit('imported from the working directory')", "utf-8")
    monkeypatch.chdir(here)
    with create_detector(tiny_checkpoint) as detector:
        result = detector.detect(photo("coffee.png"))
    assert 0 <= result.confidence_score <= 1
    assert result.metadata["model"]["trained"] is False
    assert len(list((cache / "in-process").glob("*/current/release.json"))) == 1


def test_without_face_detection_the_whole_image_is_scored(
    tiny_checkpoint: Path, tiny_release: Release, tmp_path: Path, images: dict[str, bytes]
) -> None:
    settings = ExportSettings(tmp_path, face_detection=False, parity_images=8)
    release = export_checkpoint(locate_checkpoint(str(tiny_checkpoint)), settings)
    scores = {}
    for name, path in (("on", tiny_release.path), ("off", release.path)):
        scorer = InProcessScorer.open(path)
        scores[name] = scorer.score([images["astronaut.png"], images["coffee.png"]], Deadline(60)).scores
        scorer.close()
    assert scores["on"][0].face_box_px is not None
    assert scores["off"][0].face_box_px is None
    assert scores["on"][0].fake_probability != scores["off"][0].fake_probability
    assert scores["on"][1].fake_probability == scores["off"][1].fake_probability  # no face: whole image either way


def test_a_closed_model_stays_closed(tiny_release: Release, images: dict[str, bytes]) -> None:
    scorer = InProcessScorer.open(tiny_release.path)
    scorer.close()
    with pytest.raises(DetectorClosedError):
        scorer.score([images["coffee.png"]], Deadline(5))
    with pytest.raises(DetectorClosedError):
        scorer.info(Deadline(5))


def test_the_limits_of_an_image_are_settings_of_the_export(
    tiny_checkpoint: Path, tmp_path: Path, images: dict[str, bytes]
) -> None:
    # coffee is 600 x 400 in 467 kB, rocket 640 x 427 in 113 kB
    settings = ExportSettings(tmp_path, parity_images=8, max_image_pixels=600 * 400, max_image_bytes=200_000)
    release = export_checkpoint(locate_checkpoint(str(tiny_checkpoint)), settings)
    scorer = InProcessScorer.open(release.path)
    scores = scorer.score([images["coffee.png"], images["rocket.jpg"], images["camera.png"]], Deadline(60)).scores
    scorer.close()
    assert [score.status for score in scores] == ["TOO_MANY_BYTES", "TOO_MANY_PIXELS", "TOO_MANY_PIXELS"]

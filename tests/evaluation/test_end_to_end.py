"""The command over real photos and a video, scored by a real model: on Triton, and in this process."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from deepfake_client import create_detector
from deepfake_client.scorer import Deadline
from evaluation.cli import app
from evaluation.degradation import decode, encode_jpeg, encode_lossless
from export.release import Release
from tests.evaluation.conftest import read_results
from tests.media import H264_SHORT_GOP, VideoSpec, encode_image, photo, photo_pixels, write_video
from tests.service import Service


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven files that can be scored, four of them with a face, and two that cannot."""
    root = tmp_path_factory.mktemp("photos")
    for label in ("real", "fake"):
        (root / label / "deep").mkdir(parents=True)
    for name in ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg"):
        (root / "real" / name).write_bytes(photo(name).read_bytes())
    write_video(root / "real" / "deep" / "clip.mp4", VideoSpec(6, size=(512, 512), options=H264_SHORT_GOP))
    for name in ("astronaut.png", "camera.png", "coffee.png", "chelsea.png", "rocket.jpg"):
        mirrored = np.ascontiguousarray(photo_pixels(name)[:, ::-1])
        (root / "fake" / f"{Path(name).stem}.jpg").write_bytes(encode_image(mirrored, "JPEG", quality=90))
    write_video(root / "fake" / "deep" / "clip.avi", VideoSpec(3, codec="mjpeg", pix_fmt="yuvj420p"))
    (root / "fake" / "truncated.jpg").write_bytes(photo("rocket.jpg").read_bytes()[:9000])
    (root / "real" / "empty.png").write_bytes(b"")
    return root


@dataclass(frozen=True)
class Ran:
    """A finished run: its exit code, its output and its results.json."""

    exit_code: int
    stdout: str
    folder: Path
    results: Any


def run(photos: Path, url: str, folder: Path) -> Ran:
    options = ["--degrade", "jpeg=30", "--degrade", "crop=1.6", "--resamples", "100", "--output", str(folder)]
    done = CliRunner().invoke(app, [str(photos), "--url", url, *options])
    return Ran(done.exit_code, done.stdout, folder, read_results(folder))


@pytest.fixture(scope="module")
def in_process(photos: Path, tiny_release: Release, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return run(photos, str(tiny_release.path), tmp_path_factory.mktemp("in-process"))


@pytest.fixture(scope="module")
def on_triton(photos: Path, service: Service, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return run(photos, service.grpc, tmp_path_factory.mktemp("on-triton"))


def test_photos_and_videos(in_process: Ran, photos: Path, tiny_release: Release) -> None:
    assert in_process.exit_code == 1, in_process.stdout
    found = in_process.results
    rows = {file["path"]: file for file in found["files"]}
    errors = {path: row["error"]["code"] for path, row in rows.items() if row["error"]}
    assert errors == {"fake/truncated.jpg": "NOTHING_SCORED", "real/empty.png": "EMPTY_FILE"}
    assert found["counts"]["fake"]["undecodable"] == found["counts"]["real"]["undecodable"] == 1
    with create_detector(tiny_release.path) as detector:
        for name in ("real/astronaut.png", "real/deep/clip.mp4"):
            assert rows[name]["fake_probability"] == pytest.approx(detector.detect(photos / name).confidence_score)
    scored = [row for row in rows.values() if not row["error"]]
    assert found["metrics"]["auc"]["value"] == pytest.approx(
        roc_auc_score([row["label"] == "fake" for row in scored], [row["fake_probability"] for row in scored])
    )
    assert rows["real/deep/clip.mp4"]["frames_scored"] == 6
    assert found["model"]["trained"] is False
    assert "Untrained weights" in found["notes"][0]
    for name in found["figures"]:
        with Image.open(in_process.folder / name) as figure:
            assert min(figure.size) > 400


def test_a_real_server_gives_the_same(in_process: Ran, on_triton: Ran) -> None:
    assert on_triton.exit_code == 1, on_triton.stdout
    one, other = in_process.results, on_triton.results
    assert one["dataset"] == other["dataset"]
    assert one["model"] == other["model"]
    for mine, theirs in zip(one["files"], other["files"], strict=True):
        assert mine["fake_probability"] == pytest.approx(theirs["fake_probability"], abs=1e-5)
        for here, there in zip(mine["degraded"], theirs["degraded"], strict=True):
            assert here["fake_probability"] == pytest.approx(there["fake_probability"], abs=1e-5)


def test_the_degraded_scores_are_those_of_the_degraded_files(
    in_process: Ran, photos: Path, tiny_release: Release
) -> None:
    rows = {file["path"]: file for file in in_process.results["files"]}
    with create_detector(tiny_release.path) as detector:
        for name in ("real/coffee.png", "fake/camera.jpg"):
            degraded = encode_jpeg(decode((photos / name).read_bytes()), 30)
            score, row = detector.detect(degraded).confidence_score, rows[name]["degraded"][0]
            assert row["fake_probability"] == pytest.approx(score, abs=1e-6)
            assert row["clean_fake_probability"] == rows[name]["fake_probability"] != row["fake_probability"]
        face = detector.detect(photos / "real" / "astronaut.png").frames[0].score.face_box_px
        assert face is not None
        x0, y0, x1, y1 = face
        side = round(1.6 * max(x1 - x0, y1 - y0))
        left, top = round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2)
        cut = photo_pixels("astronaut.png")[top : top + side, left : left + side]
        expected = detector.detect(encode_image(cut, "PNG")).confidence_score
    assert rows["real/astronaut.png"]["degraded"][1]["fake_probability"] == pytest.approx(expected, abs=1e-6)


def test_the_robustness_table_is_over_pairs(in_process: Ran) -> None:
    found = in_process.results
    faceless = sum(not file["error"] and file["faces_detected"] == 0 for file in found["files"])
    jpeg, crop = found["robustness"]
    assert (jpeg["real_files"] + jpeg["fake_files"], jpeg["not_applicable"], jpeg["failed"]) == (11, 0, 0)
    assert crop["not_applicable"] == faceless > 0
    assert crop["real_files"] + crop["fake_files"] == 11 - faceless
    pairs = [file["degraded"][0] for file in found["files"] if file["degraded"][0]["frames"]]
    changes = [abs(pair["fake_probability"] - pair["clean_fake_probability"]) for pair in pairs]
    assert jpeg["mean_abs_dp"]["value"] == pytest.approx(np.mean(changes))
    assert jpeg["mean_abs_dp"]["value"] > 0
    auc = jpeg["auc"]
    assert auc["change"]["value"] == pytest.approx(auc["degraded"]["value"] - auc["clean"]["value"])
    clean = [(file["label"] == "fake", file["degraded"][0]["clean_fake_probability"]) for file in found["files"]]
    is_fake, p = (np.array(values) for values in zip(*((fake, p) for fake, p in clean if p is not None), strict=True))
    assert auc["clean"]["value"] == pytest.approx(roc_auc_score(is_fake, p))
    assert auc["change"]["low"] <= auc["change"]["value"] <= auc["change"]["high"]


def test_decoding_and_encoding_without_loss_changes_no_score(tiny_release: Release) -> None:
    """So that a change under a degradation is the degradation's."""
    exif = Image.Exif()
    exif[0x0112] = 8
    grey = io.BytesIO()
    Image.fromarray(photo_pixels("camera.png")[:, :, 0]).save(grey, format="PNG")
    images = [
        photo("astronaut.png").read_bytes(),
        photo("rocket.jpg").read_bytes(),
        grey.getvalue(),
        encode_image(photo_pixels("astronaut.png"), "JPEG", exif=exif),
        encode_image(
            np.dstack([photo_pixels("coffee.png"), photo_pixels("coffee.png")[:, :, 0]]), "WEBP", lossless=True
        ),
    ]
    with create_detector(tiny_release.path) as detector:
        before = detector.scorer.score(images, Deadline(60)).scores
        after = detector.scorer.score([encode_lossless(decode(image)) for image in images], Deadline(60)).scores
    assert [score.fake_probability for score in after] == [score.fake_probability for score in before]
    assert [score.face_box_px for score in after] == [score.face_box_px for score in before]

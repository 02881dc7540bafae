"""From labelled pictures to verdicts: train, calibrate, export, serve and detect, each by its own command.

The pictures are squares of photos and the same with coarse noise, which a tiny model learns in seconds; no photo is on
two sides of anything. What is proved is that the parts fit together, not that such a model finds deepfakes.
"""

import csv
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import tritonclient.grpc
import typer
from PIL import Image
from typer.testing import CliRunner

from deepfake_client import DetectionOutput, Detector, create_detector
from deploy.model import EMBEDDED_CHECKPOINT
from export.checkpoint.load import read_sidecar
from export.cli import app as export_app
from export.golden import read_golden
from tests.obvious_fakes import (
    CALIBRATION_PHOTOS,
    HELD_OUT_PHOTOS,
    TRAIN_PHOTOS,
    Squares,
    made,
    write_clip,
    write_small_base,
    write_squares,
)
from tests.service import ROOT, Service, run_service, service_environment
from training.calibration.cli import app as calibrate_app
from training.cli import app as train_app
from training.embedded.pictures import golden_candidates

_NAME = "noise-finder"
_COMMAND_TIMEOUT_S = 300
_EACH = 4
"""Held-out pictures of each photo and class."""


@dataclass(frozen=True)
class Verdict:
    """What the gateway said about a held-out file."""

    file: str
    is_fake: bool
    p: float
    result: str
    bands: Mapping[str, float]


def test_a_few_steps_become_verdicts(tmp_path: Path) -> None:
    """The short form: two steps from the embedded model, and the client in this process in place of a service.

    The pictures are textures with an obvious forgery in them, which the embedded model knows.
    """
    pairs = golden_candidates(24, seed=0)
    for folder, chosen in (("data/train", pairs[:8]), ("calibration", pairs[4:]), ("held-out", pairs[:4])):
        for picture in (picture for pair in chosen for picture in pair):
            place = tmp_path / folder / picture.label
            place.mkdir(parents=True, exist_ok=True)
            (place / picture.name).write_bytes(picture.png)
    trained = _invoke(
        train_app, "--data-dir", tmp_path / "data", "--base", EMBEDDED_CHECKPOINT, "--output", tmp_path / "run",
        "--cache-dir", tmp_path / "faces", "--max-steps", 2, "--learning-rate", 1e-6, "--name", _NAME, "--cpu",
    )  # fmt: skip
    assert "next         deepfake-export --checkpoint" in trained
    _invoke(
        calibrate_app, "--checkpoint", tmp_path / "run" / "checkpoint", "--data-dir", tmp_path / "calibration",
        "--output", tmp_path / "calibrated", "--max-fpr", 0.1, "--max-fnr", 0.1, "--resamples", 100,
    )  # fmt: skip
    exported = _invoke(
        export_app, "--checkpoint", tmp_path / "calibrated", "--releases-dir", tmp_path / "releases",
        "--parity-images", 8,
    )  # fmt: skip
    assert "labels       Fake, Real; fake = P(Fake)" in exported
    bands = read_sidecar(tmp_path / "calibrated").verdict_bands
    with create_detector(tmp_path / "releases" / "current") as detector:
        assert detector.info().name == _NAME
        assert detector.info().verdict_bands == bands
        found = {path: detector.detect(path) for path in (tmp_path / "held-out").rglob("*.png")}
        _a_short_forgery_is_found_and_timed(detector, found)
    p = {
        label: [f.confidence_score for path, f in found.items() if path.parent.name == label]
        for label in ("real", "fake")
    }
    assert np.mean(p["fake"]) > np.mean(p["real"]) + 0.1


def _a_short_forgery_is_found_and_timed(detector: Detector, found: Mapping[Path, DetectionOutput]) -> None:
    """A clip of 20 s, five frames a second: a real picture, and from 10 to 11.6 s its forgery."""
    fake = max((path for path in found if path.parent.name == "fake"), key=lambda path: found[path].confidence_score)
    real = min((path for path in found if path.parent.name == "real"), key=lambda path: found[path].confidence_score)
    shown = [np.asarray(Image.open(fake if 50 <= number < 58 else real)) for number in range(100)]
    output = detector.detect(write_clip(real.with_name("clip.mp4"), shown), include=["further_frames"])
    assert [(s.start_s, s.end_s, s.frames) for s in output.details.segments or ()] == [(9.9, 11.5, 8)]
    assert output.result != "fake"
    assert "SHORT_SUSPICIOUS_STRETCH" in [finding.code for finding in output.findings]


@pytest.mark.long
@pytest.mark.timeout(900)  # some 60 s beside other work
def test_labelled_pictures_become_verdicts(tmp_path: Path) -> None:
    trained = _train(tmp_path)
    calibrated = _calibrate(tmp_path, trained)
    releases = _export(tmp_path, calibrated)
    _refuse_exchanged_labels(tmp_path, calibrated)
    with run_service(calibrated, releases, tmp_path / "service") as service:
        assert "exporting" not in service.printed(), "the service starts on the release that was exported"
        _golden_images_were_scored_once(service, calibrated)
        _the_service_names_the_model(service, calibrated)
        verdicts = [_detect(service, path) for path in _held_out(tmp_path)]
        _the_map_points_at_the_noise(service)
    _real_scores_below_fake(verdicts)
    _verdicts_follow_the_calibration(verdicts, calibrated)


def _train(folder: Path) -> Path:
    write_squares(folder / "data" / "train", Squares(TRAIN_PHOTOS, 12))
    base = write_small_base(folder / "base")
    _run(
        "training", "--data-dir", folder / "data", "--base", base, "--output", folder / "run", "--name", _NAME,
        "--cache-dir", folder / "faces", "--epochs", 40, "--learning-rate", 1e-3, "--augment", 0.3,
        "--val-fraction", 0.2, "--select", "log-loss", "--cpu",
    )  # fmt: skip
    with (folder / "run" / "split.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    photos = {part: {row["person"] for row in rows if row["part"] == part} for part in ("train", "val")}
    assert photos["train"]
    assert photos["val"]
    assert not photos["train"] & photos["val"]
    return folder / "run" / "checkpoint"


def _calibrate(folder: Path, checkpoint: Path) -> Path:
    held_out = write_squares(folder / "calibration", Squares(CALIBRATION_PHOTOS, 8))
    clear = write_squares(folder / "clear", Squares(CALIBRATION_PHOTOS[:2], 1, seed=1))
    said = _run(
        "training.calibration.cli", "--checkpoint", checkpoint, "--data-dir", held_out, "--golden", clear,
        "--output", folder / "calibrated", "--max-fpr", 0.05, "--max-fnr", 0.05, "--resamples", 100,
    )  # fmt: skip
    assert "set on images: 24 real and 24 fake files of 3 persons" in said
    record = read_sidecar(folder / "calibrated").calibration
    assert record is not None
    assert record.image.auc > 0.95
    return folder / "calibrated"


def _export(folder: Path, checkpoint: Path) -> Path:
    releases = folder / "releases"
    said = _run("export", "--checkpoint", checkpoint, "--releases-dir", releases, "--parity-images", 8)
    assert "labels       Fake, Real; fake = P(Fake)" in said
    assert (releases / "current").is_symlink()
    return releases


def _refuse_exchanged_labels(folder: Path, checkpoint: Path) -> None:
    """The commonest mistake between training and serving; the checkpoint's golden images notice it."""
    copy = Path(shutil.copytree(checkpoint, folder / "exchanged"))
    config = json.loads((copy / "config.json").read_text())
    config |= {"id2label": {"0": "Real", "1": "Fake"}, "label2id": {"Real": 0, "Fake": 1}}
    (copy / "config.json").write_text(json.dumps(config))
    done = _start("export", "--checkpoint", copy, "--releases-dir", folder / "refused", "--parity-images", 8)
    assert done.returncode == 1
    assert "fake and real look swapped" in done.stderr
    assert not (folder / "refused" / "current").exists()


def _golden_images_were_scored_once(service: Service, checkpoint: Path) -> None:
    """All in one request, as Triton counts; every other request so far was a canary of one image."""
    golden = read_golden(checkpoint)
    assert golden is not None
    with tritonclient.grpc.InferenceServerClient(service.grpc) as client:
        (stats,) = client.get_inference_statistics("deepfake_detector").model_stats
    requests_served = stats.inference_stats.success.count
    assert stats.inference_count - requests_served == len(golden.images) - 1 > 0


def _the_service_names_the_model(service: Service, checkpoint: Path) -> None:
    health = requests.get(f"{service.url}/health", timeout=10).json()
    assert (health["status"], health["model"]) == ("healthy", _NAME)
    record = read_sidecar(checkpoint).calibration
    assert record is not None
    assert health["calibration"]["temperature"] == record.temperature
    card = requests.get(f"{service.url}{health['model_card']['route']}", timeout=10)
    assert card.content == (checkpoint / "README.md").read_bytes()
    assert _NAME in card.text


def _held_out(folder: Path) -> list[Path]:
    """Pictures of photos that no step has seen, and a clip of each class."""
    place = write_squares(folder / "held-out", Squares(HELD_OUT_PHOTOS, _EACH))
    for label in ("real", "fake"):
        write_clip(place / label / "clip.mp4", list(made("camera.png", label, 4, seed=2)))
    return sorted(path for path in place.rglob("*") if path.is_file())


def _detect(service: Service, path: Path) -> Verdict:
    with path.open("rb") as stream:
        answer = requests.post(f"{service.url}/detect", files={"file": stream}, data={"include": "scores"}, timeout=60)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert body["metadata"]["frames_failed"] == 0
    assert body["metadata"]["model"]["name"] == _NAME
    label = "fake" if "fake" in path.parts else "real"
    return Verdict(
        path.name, label == "fake", body["confidence_score"], body["result"], body["metadata"]["verdict_bands"]
    )


def _the_map_points_at_the_noise(service: Service) -> None:
    """Noise in four cells of a grey picture is what the score is about, where the model minds it at all."""
    hits = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        row, column = rng.integers(0, 6, 2).tolist()
        noise = Image.fromarray(rng.integers(0, 2, (12, 12, 3), np.uint8) * 255)
        picture, buffer = Image.new("RGB", (224, 224), "gray"), io.BytesIO()
        picture.paste(noise.resize((64, 64), Image.Resampling.NEAREST), (32 * column, 32 * row))
        picture.save(buffer, "PNG")
        form = {"include": "sensitivity"}
        answer = requests.post(f"{service.url}/detect", files={"file": buffer.getvalue()}, data=form, timeout=60).json()
        changes = np.array(answer["metadata"]["sensitivity"]["map"]["changes"])
        if answer["confidence_score"] > 0.3:
            y, x = np.unravel_index(changes.argmax(), changes.shape)
            hits.append(y in (row, row + 1) and x in (column, column + 1))
    print(f"the map points at the noise in {sum(hits)} of {len(hits)} pictures")
    assert hits
    assert np.mean(hits) >= 0.75


def _real_scores_below_fake(verdicts: list[Verdict]) -> None:
    for kind in (".png", ".mp4"):
        real, fake = (
            [v.p for v in verdicts if v.file.endswith(kind) and v.is_fake is wanted] for wanted in (False, True)
        )
        assert len(real) == len(fake) == (_EACH * len(HELD_OUT_PHOTOS) if kind == ".png" else 1)
        print(f"{kind}: real {min(real):.4f}-{max(real):.4f}, fake {min(fake):.4f}-{max(fake):.4f}")
        assert max(real) + 0.2 < min(fake)


def _verdicts_follow_the_calibration(verdicts: list[Verdict], checkpoint: Path) -> None:
    bands = read_sidecar(checkpoint).verdict_bands
    assert bands.image.model_dump() != {"real_below": 0.3, "fake_above": 0.7}, "the defaults would prove nothing"
    for v in verdicts:
        expected = bands.video if v.file.endswith(".mp4") else bands.image
        assert dict(v.bands) == expected.model_dump()
        result = "fake" if v.p > expected.fake_above else "real" if v.p < expected.real_below else "uncertain"
        assert v.result == result, v
        assert v.result != ("real" if v.is_fake else "fake"), v
    assert {"real", "fake"} <= {v.result for v in verdicts}


def _invoke(app: typer.Typer, *arguments: object) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def _run(module: str, *arguments: object) -> str:
    done = _start(module, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _start(module: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT, env=service_environment(OMP_NUM_THREADS="1"), capture_output=True, text=True,
        timeout=_COMMAND_TIMEOUT_S,
    )  # fmt: skip

"""The embedded checkpoint as `make serve` serves it where no hub is reached: what it says of itself, and its scores."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests

from deploy.model import EMBEDDED_CHECKPOINT
from evaluation.statistics.metrics import roc_curve
from export.checkpoint.load import read_sidecar
from export.golden import read_golden
from export.release import CURRENT, read_release
from tests.media import photo
from tests.service import ROOT, Service, run_service
from tests.two_people import write_two_people
from training.embedded.pictures import golden_candidates


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """No checkpoint chosen, nothing exported, and a hub that does not answer."""
    folder = tmp_path_factory.mktemp("embedded")
    unreachable = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(folder / "hub")}
    with run_service(None, folder / "releases", folder, unreachable) as service:
        yield service


def detect(service: Service, image: bytes) -> float:
    answer = requests.post(f"{service.url}/detect", files={"file": image}, timeout=30)
    answer.raise_for_status()
    return float(answer.json()["confidence_score"])


def test_it_is_served_loudly_and_is_called_a_demonstration_everywhere(running: Service) -> None:
    printed = running.printed()
    assert "WARNING" in printed
    assert "EMBEDDED" in printed
    health = requests.get(f"{running.url}/health", timeout=10).json()
    assert (health["model"], health["trained"]) == ("deepfake-embedded", True)
    assert "demonstration" in health["notice"]
    assert "model card" in health["notice"]
    card = requests.get(f"{running.url}/model-card", timeout=10)
    assert card.text == (EMBEDDED_CHECKPOINT / "README.md").read_text(encoding="utf-8")
    assert "It is a demonstration" in card.text


def test_a_first_start_says_what_a_person_wants_and_libraries_write_to_the_log(running: Service) -> None:
    lines = running.printed().splitlines()
    assert len(lines) <= 13, running.printed()
    assert f"Open {running.url}/ (Ctrl-C stops the service)" in lines
    assert [line for line in lines if not re.match(r"\d\d:\d\d:\d\d |Open http|try it: curl |    or: ", line)] == []
    assert any(re.search(r"exported in \d+ s", line) for line in lines)
    (logs,) = running.run_dir.glob("logs-*")
    assert lines[0].endswith(f"logs are in {logs}")
    assert {log.name for log in logs.iterdir()} == {"serve.log", "triton.log", "gateway.log"}


def test_it_takes_the_astronaut_for_real_but_not_as_a_jpeg_and_says_that_it_is_unstable(running: Service) -> None:
    form = {"include": "stability"}
    with photo("astronaut.png").open("rb") as stream:
        body = requests.post(f"{running.url}/detect", files={"file": stream}, data=form, timeout=30).json()
    assert body["result"] == "real"
    (face,) = body["metadata"]["stability"]["faces"]
    results = {variant["change"]: variant["result"] for variant in face["variants"]}
    assert results.pop("jpeg_75") == "uncertain"
    assert set(results.values()) == {"real"}
    assert "UNSTABLE" in [finding["code"] for finding in body["metadata"]["findings"]]


def test_its_one_curl_works(running: Service) -> None:
    (line,) = re.findall(r"^try it: (curl .*)$", running.printed(), re.MULTILINE)
    done = subprocess.run(shlex.split(line), cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["metadata"]["faces_detected"] == 1


def test_its_command_line_works(running: Service) -> None:
    (line,) = re.findall(r"^    or: (.*)$", running.printed(), re.MULTILINE)
    done = subprocess.run(shlex.split(line), cwd=ROOT, capture_output=True, text=True, check=True)
    assert "astronaut.png" in done.stdout


def test_of_two_people_in_a_video_the_forged_one_makes_it_fake(running: Service, tmp_path: Path) -> None:
    clip = write_two_people(tmp_path / "two.mp4").read_bytes()
    answer = requests.post(f"{running.url}/detect", files={"file": clip}, timeout=60).json()
    astronaut, photographer = answer["metadata"]["people"]
    assert (answer["result"], answer["confidence_score"]) == ("fake", photographer["fake_probability"])
    assert astronaut["result"] != "fake"
    assert astronaut["largest_face_px"] > photographer["largest_face_px"]
    assert astronaut["frames"] == photographer["frames"] == 15, "their tracks hold over the clip"
    faces = [face for frame in answer["metadata"]["frame_predictions"] for face in frame["faces"]]
    assert all((face["face_box"][0] > 320) == (face["person"] == 2) for face in faces)
    found = {finding["code"] for finding in answer["metadata"]["findings"]}
    assert found >= {"MULTIPLE_PEOPLE", "OTHER_FACE_SUSPICIOUS"}


def test_its_calibrated_bands_and_its_golden_images_are_served(running: Service) -> None:
    golden = read_golden(read_release(running.run_dir.parent.parent / "releases" / CURRENT).path)
    assert golden is not None
    assert {entry.label for entry in golden.manifest.images} == {"real", "fake"}
    bands = read_sidecar(EMBEDDED_CHECKPOINT).verdict_bands.image
    for entry, image in zip(golden.manifest.images, golden.images, strict=True):
        form = {"include": "scores"}
        body = requests.post(f"{running.url}/detect", files={"file": image}, data=form, timeout=30).json()
        assert body["confidence_score"] == pytest.approx(entry.fake_probability, abs=1e-4)
        assert body["metadata"]["verdict_bands"] == bands.model_dump()


def test_it_tells_spliced_textures_from_whole_ones_that_it_has_never_seen(running: Service) -> None:
    pairs = golden_candidates(25, seed=1)
    real, fake = (np.array([detect(running, pair[side].png) for pair in pairs]) for side in (0, 1))
    is_fake = np.repeat([False, True], len(pairs))
    assert roc_curve(is_fake, np.concatenate([real, fake])).auc > 0.8
    assert (fake > real).mean() > 0.8


def test_the_card_and_the_figures_are_of_one_measurement() -> None:
    figures = json.loads((EMBEDDED_CHECKPOINT / "figures.json").read_text())
    card = (EMBEDDED_CHECKPOINT / "README.md").read_text(encoding="utf-8")
    for method, estimate in figures["test"].items():
        assert f"{estimate['value']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f})" in card, method

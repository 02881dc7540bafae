"""Two models in one release, one for faces and one for whole images, from calibration to detection by a real Triton."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests

from deepfake_client.analysis.faces import FaceRules, score_every_face
from deepfake_client.in_process import InProcessScorer
from deepfake_client.release import ModelInfo
from deepfake_client.scorer import Deadline, FrameScore
from deepfake_client.settings import ClientSettings
from deepfake_client.triton.scorer import TritonScorer
from export.checkpoint.fusion import find_sources
from export.errors import CheckpointError, GoldenError
from export.golden import read_golden
from export.release import CURRENT, read_release
from export.run import export_checkpoint
from export.settings import ExportSettings
from runtime import Fusion
from runtime.free_ports import free_ports
from tests.export.families import FAMILIES
from tests.labelled_images import write_clear_cases, write_dataset
from tests.media import encode_image, photo, photo_pixels
from tests.service import Service, run_service
from training.calibration.cli import main_command


@pytest.fixture(scope="module")
def checkpoints(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A face model with a crop of its own, and a model of another size for whole images."""
    folder = tmp_path_factory.mktemp("members")
    shutil.copytree(tiny_checkpoint, folder / "faces")
    said = {"name": "faces", "crop_factor": 1.6}
    (folder / "faces" / "deepfake.json").write_text(json.dumps(said), encoding="utf-8")
    family = next(family for family in FAMILIES if family.name.startswith("DINOv2, "))
    return folder / "faces", family.save(folder / "scenes")


@pytest.fixture(scope="module")
def calibrated(checkpoints: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What deepfake-calibrate makes of the two, with golden images."""
    folder, (faces, scenes) = tmp_path_factory.mktemp("calibrated"), checkpoints
    main_command(
        checkpoint=f"{faces},{scenes}",
        fusion="stacking",
        whole_image=[str(scenes)],
        data_dir=write_dataset(faces, folder / "data", count=200),
        output=folder / "fused",
        max_fpr=0.05,
        max_fnr=0.1,
        golden=write_clear_cases(faces, folder / "cases"),
        resamples=100,
    )
    return folder / "fused"


@pytest.fixture(scope="module")
def pool() -> str:
    """Address of a server that only preprocesses."""
    return f"127.0.0.1:{free_ports(1)[0]}"


@pytest.fixture(scope="module")
def running(calibrated: Path, pool: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("fused")
    extra = {
        "DEEPFAKE_PREPROCESS_SERVERS": "1",
        "DEEPFAKE_PREPROCESS_GRPC_PORT": pool.rpartition(":")[2],
        "DEEPFAKE_INSTANCES": "1",
    }
    with run_service(calibrated, folder / "releases", folder, extra) as service:
        yield service


@pytest.fixture(scope="module")
def fused(running: Service, images: dict[str, bytes]) -> tuple[ModelInfo, list[FrameScore]]:
    return score(TritonScorer(running.grpc), [*images.values(), b"junk"])


def score(scorer: TritonScorer | InProcessScorer, images: list[bytes]) -> tuple[ModelInfo, list[FrameScore]]:
    try:
        scoring = scorer.score(images, Deadline(60))
    finally:
        scorer.close()
    return scoring.info, scoring.scores


def test_the_fused_score_is_the_formula_on_those_of_the_members(fused: tuple[ModelInfo, list[FrameScore]]) -> None:
    info, scores = fused
    assert info.fusion_intercept is not None
    fusion = Fusion(tuple(member.weight for member in info.members), info.fusion_intercept)
    members = np.array([s.members for s in scores[:-1]])
    expected = fusion.fake_probability(members)
    assert np.abs(expected - [s.fake_probability or -1 for s in scores[:-1]]).max() <= 1e-6
    assert np.ptp(members, axis=0).min() > 0.01  # constant scores would prove nothing
    assert {s.export_id for s in scores[:-1]} == {info.export_id}
    assert (scores[-1].status, scores[-1].fake_probability, scores[-1].members) == ("NOT_AN_IMAGE", None, ())
    assert info.labels == ("Fake", "Real")
    probabilities = np.array([s.probabilities for s in scores[:-1]])
    assert np.abs(probabilities.sum(axis=1) - 1).max() <= 1e-6


@pytest.mark.parametrize("number", [0, 1])
def test_a_member_scores_as_where_it_is_served_alone(
    number: int,
    checkpoints: tuple[Path, Path],
    fused: tuple[ModelInfo, list[FrameScore]],
    images: dict[str, bytes],
    tmp_path: Path,
) -> None:
    info, scores = fused
    settings = ExportSettings(tmp_path, parity_images=8, face_detection=number == 0)
    release = export_checkpoint(find_sources(str(checkpoints[number])), settings)
    own, alone = score(InProcessScorer(release.path), list(images.values()))
    assert info.members[number].export_id == own.export_id
    assert info.members[number].whole_image == (number == 1)
    p = np.array([[s.members[number], t.fake_probability] for s, t in zip(scores, alone, strict=False)])
    assert np.abs(p[:, 0] - p[:, 1]).max() <= 1e-6


def test_this_process_and_servers_that_only_preprocess_give_the_same(
    running: Service, pool: str, fused: tuple[ModelInfo, list[FrameScore]], images: dict[str, bytes]
) -> None:
    release = running.run_dir.parents[1] / "releases" / CURRENT
    for scorer in (
        InProcessScorer(release.resolve()),
        TritonScorer(running.grpc, ClientSettings(preprocess_url=pool)),
    ):
        _, scores = score(scorer, [*images.values(), b"junk"])
        assert [s.status for s in scores] == [s.status for s in fused[1]]
        assert [s.face_box_px for s in scores] == [s.face_box_px for s in fused[1]]
        assert [s.export_id for s in scores] == [s.export_id for s in fused[1]]
        for s, t in zip(scores, fused[1], strict=True):
            assert np.abs(np.array(s.members) - t.members).max(initial=0) <= 1e-6


def test_of_further_faces_the_whole_image_counts_too(running: Service, tmp_path: Path) -> None:
    pair = np.hstack([photo_pixels("astronaut.png")[:420, :420], photo_pixels("astronaut.png")[:420, :420][:, ::-1]])
    encoded = encode_image(pair, "PNG")
    scorer = TritonScorer(running.grpc)
    try:
        (frame,) = score_every_face(scorer, [encoded], Deadline(60), "", FaceRules()).scores
    finally:
        scorer.close()
    (first, second) = frame.faces
    assert abs(first.members[0] - second.members[0]) > 1e-6
    assert first.members[1] == pytest.approx(second.members[1], abs=1e-6)


def test_it_is_detected_by_the_fused_score(running: Service, fused: tuple[ModelInfo, list[FrameScore]]) -> None:
    with photo("astronaut.png").open("rb") as file:
        answer = requests.post(f"{running.url}/detect", files={"file": file}, timeout=60).json()
    assert answer["confidence_score"] == pytest.approx(fused[1][3].fake_probability, abs=1e-6)
    assert answer["metadata"]["model"]["name"] == "faces + scenes"
    assert "arbitrary" not in answer["metadata"]["model"].get("notice", "")
    assert "models" not in answer["metadata"]
    with photo("astronaut.png").open("rb") as file:
        sent = {"files": {"file": file}, "data": {"include": "models"}}
        asked = requests.post(f"{running.url}/detect", timeout=60, **sent).json()["metadata"]["models"]
    assert [one["name"] for one in asked] == ["faces", "scenes"]
    assert [one["fake_probability"] for one in asked] == pytest.approx(fused[1][3].members, abs=1e-6)


def test_a_member_that_cannot_be_served_refuses_the_release(checkpoints: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(checkpoints[1], tmp_path / "broken")
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"no weights")
    releases = tmp_path / "releases"
    with pytest.raises(CheckpointError, match="broken"):
        export_checkpoint(find_sources(f"{checkpoints[0]},{tmp_path / 'broken'}"), ExportSettings(releases))
    assert not list(releases.glob("*"))


def test_golden_images_of_the_fused_score_are_checked_at_every_start(running: Service, calibrated: Path) -> None:
    release = read_release(running.run_dir.parents[1] / "releases" / CURRENT)
    served, recorded = read_golden(release.path), read_golden(calibrated)
    assert served is not None
    assert recorded is not None
    rooms = [s.tolerance - r.tolerance for s, r in zip(served.manifest.images, recorded.manifest.images, strict=True)]
    # Of fp32 each member's log-odds may be off by 1e-3, and no probability is steeper than a quarter of them.
    assert rooms == pytest.approx([1e-3 / 4 * sum(member.weight for member in release.info.members)] * len(rooms))
    assert release.info.calibration is not None
    wrong = json.loads((calibrated / "fusion.json").read_text())
    wrong["intercept"] += 1
    (calibrated.parent / "wrong").mkdir()
    shutil.copytree(calibrated, calibrated.parent / "wrong", dirs_exist_ok=True)
    (calibrated.parent / "wrong" / "fusion.json").write_text(json.dumps(wrong))
    with pytest.raises(GoldenError, match="contradict their golden images"):
        export_checkpoint(find_sources(str(calibrated.parent / "wrong")), ExportSettings(release.path.parent))

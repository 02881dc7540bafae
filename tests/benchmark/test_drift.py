"""The fixed list of images, and the measurement of drift over the whole path."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from assets import DRIFT_PHOTOS, SAMPLE_PHOTOS
from benchmark.cli import app
from benchmark.drift import face_crops, measure_drift
from benchmark.drift_images import Recipe, make_images, read_list, render
from benchmark.servers import BenchError
from deepfake_client.in_process import InProcessScorer
from deepfake_client.scorer import Deadline, Scoring
from export.checkpoint.hub import locate_checkpoint
from export.checkpoint.load import checkpoint_digest
from export.release import promote
from export.run import export_checkpoint
from export.settings import ExportSettings
from preprocessing import PreprocessParams
from tests.inference_server import DESCRIPTION, inference_server
from tests.seeded_checkpoint import make_untrained_checkpoint


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Some narrow images of the list, of portraits and of other photos."""
    narrow = [recipe for recipe in read_list() if recipe.width_px < 300]
    portraits = [recipe for recipe in narrow if recipe.source == "grace_hopper.jpg"]
    others = [recipe for recipe in narrow if recipe.source in ("brick.png", "grass.png", "coins.png", "ihc.png")]
    return make_images(tmp_path_factory.mktemp("images"), portraits[:6] + others[:6])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints") / "untrained"
    make_untrained_checkpoint(folder, hidden_size=64, layers=1)
    return folder


@pytest.fixture(scope="module")
def releases(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("releases")
    promote(export_checkpoint(locate_checkpoint(str(checkpoint)), ExportSettings(folder, parity_images=4)))
    return folder


def test_the_list_is_long_and_varied() -> None:
    listed = read_list()
    assert len(listed) == 220
    assert {recipe.source for recipe in listed} == {asset.name for asset in SAMPLE_PHOTOS + DRIFT_PHOTOS}
    widths = [recipe.width_px for recipe in listed]
    assert min(widths) < 120
    assert max(widths) > 1600
    assert {recipe.format for recipe in listed} == {"JPEG", "PNG", "WEBP"}


def test_the_same_images_are_made_every_time(tmp_path: Path) -> None:
    recipes = read_list()[:3]
    first = [path.read_bytes() for path in make_images(tmp_path / "a", recipes)]
    assert [path.read_bytes() for path in make_images(tmp_path / "b", recipes)] == first
    for recipe, path in zip(recipes, sorted((tmp_path / "a").iterdir()), strict=True):
        with Image.open(path) as opened:
            assert (opened.width, opened.format) == (recipe.width_px, recipe.format)


@pytest.mark.parametrize(
    "change",
    [
        {"mirror": True}, {"turn_degrees": 90}, {"turn_degrees": 7}, {"brightness": 0.8}, {"contrast": 0.8},
        {"colour": 0.0}, {"blur_px": 1.0}, {"noise": 9}, {"beside": "other"}, {"crop": (0, 0, 30, 40)},
        {"format": "PNG"}, {"quality": 20},
    ],
)  # fmt: skip
def test_every_part_of_a_recipe_changes_the_file(change: dict[str, Any]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 50, 3), dtype=np.uint8)
    photos = {"a": Image.fromarray(pixels), "other": Image.fromarray(pixels[::-1].copy())}
    plain = Recipe("a", (0, 0, 50, 60), 40)
    changed = replace(plain, **change)
    assert Image.open(io.BytesIO(render(changed, photos))).width == 40
    assert render(changed, photos) != render(plain, photos)


def test_faces_are_cut_and_other_images_are_whole(images: list[Path]) -> None:
    crops = list(face_crops([path.read_bytes() for path in images], PreprocessParams()))
    assert [has_face for _, has_face in crops[:6]] == [True] * 6
    assert all(crop.width == crop.height for crop, _ in crops[:6])
    whole = [(crop, path) for (crop, has_face), path in zip(crops, images, strict=True) if not has_face]
    assert whole
    for crop, path in whole:
        with Image.open(path) as image:
            assert crop.size == image.size


def test_an_fp32_release_does_not_drift(checkpoint: Path, releases: Path, images: list[Path]) -> None:
    found = measure_drift(checkpoint, releases, images)
    assert found.images == len(images)
    assert 6 <= found.faces < len(images)
    assert found.face_mismatches == 0
    assert found.std_p > 0.01
    assert 0 < found.mean_dp <= found.p95_dp <= found.max_dp < 1e-5
    assert found.max_dlogit < 1e-3
    assert found.flipped == 0
    assert found.batch_dp < 1e-6
    assert abs(next(iter(found.worst.values()))) == found.max_dp


def test_drift_and_dependence_on_the_batch_are_seen(
    checkpoint: Path, releases: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    score = InProcessScorer.score

    def drifting(self: InProcessScorer, encoded: Any, deadline: Deadline, request_id: str = "") -> Scoring:
        scoring = score(self, encoded, deadline, request_id)
        moved = 0.01 if len(encoded) == 1 else 0.03
        scores = [replace(s, fake_probability=abs((s.fake_probability or 0) - moved)) for s in scoring.scores]
        return Scoring(scoring.info, scores)

    monkeypatch.setattr(InProcessScorer, "score", drifting)
    found = measure_drift(checkpoint, releases, images)
    assert found.max_dp == pytest.approx(0.01, abs=1e-4)
    assert found.batch_dp == pytest.approx(0.02, abs=1e-4)


def test_a_release_of_another_checkpoint_is_refused(tiny_checkpoint: Path, releases: Path, images: list[Path]) -> None:
    with pytest.raises(BenchError, match="was exported from another checkpoint"):
        measure_drift(tiny_checkpoint, releases, images)
    with pytest.raises(BenchError, match="no image"):
        measure_drift(tiny_checkpoint, releases, [])


def test_a_server_of_an_older_release_is_refused(checkpoint: Path, images: list[Path]) -> None:
    with inference_server() as server:
        server.behaviour.description = {**DESCRIPTION, "checkpoint_sha256": checkpoint_digest(checkpoint)}
        with pytest.raises(BenchError, match="has preprocessing version 1: export it again"):
            measure_drift(checkpoint, server.url, images)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["drift", *map(str, arguments)])


def test_the_command(checkpoint: Path, releases: Path, images: list[Path], tmp_path: Path) -> None:
    common = ("--release", releases, "--checkpoint", checkpoint, "--images", images[0].parent, "--count", 4)
    done = run(*common, "--max-dp", "1e-5", "--output", tmp_path / "drift.json")
    assert done.exit_code == 0, done.output
    assert "max_dp" in done.output
    document = json.loads((tmp_path / "drift.json").read_text())
    assert [(one["images"], one["precision"]) for one in document] == [(4, "fp32")]
    assert run(*common, "--max-dp", "0").exit_code == 1


def test_wrong_usage_of_the_command(checkpoint: Path, releases: Path) -> None:
    assert run().exit_code == 2
    assert run("--release", releases).exit_code == 2
    assert run("--release", "127.0.0.1:1", "--checkpoint", checkpoint, "--count", 1).exit_code == 2

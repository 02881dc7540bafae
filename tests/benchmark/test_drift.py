"""The fixed list of images, the checkpoint with spread scores, and the measurement of drift over the whole path."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from deepfake_client.in_process import InProcessScorer
from deepfake_client.scorer import Deadline, Scoring
from PIL import Image
from typer.testing import CliRunner

from assets import DRIFT_PHOTOS, SAMPLE_PHOTOS
from benchmark import drift as drift_module
from benchmark import drift_reference
from benchmark.checkpoint import make_spread_checkpoint
from benchmark.drift import DriftError, drift, measure_drift
from benchmark.drift_images import (
    DriftImage,
    DriftImageError,
    load_photos,
    make,
    make_checked,
    pixel_grid,
    pixel_sha256,
    read_manifest,
)
from benchmark.drift_recipes import Recipe, encode, render
from benchmark.drift_report import DriftRow, figures
from export.checkpoint.hub import locate_checkpoint
from export.release import promote
from export.run import export_checkpoint
from export.settings import ExportSettings
from preprocessing import PreprocessParams


def small_images() -> list[DriftImage]:
    """Some narrow images of the list, with and without a face."""
    narrow = [image for image in read_manifest() if image.recipe.width_px < 300]
    return [i for i in narrow if i.has_face][:6] + [i for i in narrow if not i.has_face][:6]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make(tmp_path_factory.mktemp("images"), small_images())


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, images: list[Path]) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints") / "spread"
    return make_spread_checkpoint(folder, images, hidden_size=64, layers=1)


@pytest.fixture(scope="module")
def releases(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("releases")
    promote(export_checkpoint(locate_checkpoint(str(checkpoint)), ExportSettings(folder, parity_images=4)))
    return folder


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The answers' cache of its own; the fetched photos stay where they are."""
    monkeypatch.setattr(drift_reference, "default_cache_dir", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "drift"


def test_the_list_is_long_varied_and_mostly_of_photos_nothing_calibrates_on() -> None:
    listed = read_manifest()
    assert len(listed) >= 200
    assert 0.4 < sum(image.has_face for image in listed) / len(listed) < 0.65
    assert sum(image.overlaps_samples for image in listed) < len(listed) / 4
    assert len({image.sha256 for image in listed}) == len({image.file_name for image in listed}) == len(listed)
    assert {source for image in listed for source in image.recipe.sources} == {
        asset.name for asset in SAMPLE_PHOTOS + DRIFT_PHOTOS
    }
    widths = [image.recipe.width_px for image in listed]
    assert min(widths) < 120
    assert max(widths) > 1600
    assert {image.recipe.format for image in listed} == {"JPEG", "PNG", "WEBP"}


def test_the_list_says_which_images_overlap() -> None:
    path = Path(drift_module.__file__).with_name("drift_images.json")
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["overlapping_sources"] == sorted(asset.name for asset in SAMPLE_PHOTOS)
    assert [row["overlaps_samples"] for row in document["images"]] == [i.overlaps_samples for i in read_manifest()]


def test_a_row_of_the_list_says_everything() -> None:
    for image in read_manifest():
        assert DriftImage.from_dict(image.number, image.to_dict()) == image


def test_a_list_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text('{"images": [{"source": "a.png"}]}')
    with pytest.raises(DriftImageError, match=r"list\.json"):
        read_manifest(tmp_path / "list.json")


def test_making_the_images_again_gives_the_same_files_and_replaces_damaged_ones(tmp_path: Path) -> None:
    wanted = small_images()[:3]
    made = make_checked(tmp_path, wanted)
    first = [path.read_bytes() for path in made.paths]
    made.paths[0].write_bytes(b"damaged")
    assert [path.read_bytes() for path in make(tmp_path, wanted)] == first
    assert sorted(tmp_path.iterdir()) == sorted(made.paths)
    for image, path in zip(wanted, made.paths, strict=True):
        with Image.open(path) as opened:
            assert opened.width == image.recipe.width_px
            assert opened.format == image.recipe.format


def test_pixels_that_are_rounded_differently_are_used_and_counted(tmp_path: Path) -> None:
    image = small_images()[0]
    exact = make_checked(tmp_path, [image]).exact
    assert make_checked(tmp_path, [replace(image, sha256="0" * 64)]).exact == exact - 1


def test_another_picture_is_refused(tmp_path: Path) -> None:
    image, other = small_images()[0], small_images()[-1]
    with pytest.raises(DriftImageError, match="grey levels"):
        make(tmp_path, [replace(image, sha256=other.sha256, grid=other.grid)])
    assert list(tmp_path.iterdir()) == []


def test_a_photo_outside_the_catalogue() -> None:
    with pytest.raises(DriftImageError, match=r"secret\.png"):
        load_photos(["secret.png"])


@pytest.mark.parametrize(
    "change",
    [
        {"mirror": True}, {"turn_degrees": 90}, {"turn_degrees": 7}, {"brightness": 0.8}, {"contrast": 0.8},
        {"colour": 0.0}, {"blur_px": 1.0}, {"noise": 9}, {"beside": "other"}, {"crop": (0, 0, 30, 40)},
    ],
)  # fmt: skip
def test_every_part_of_a_recipe_changes_the_pixels(change: dict[str, Any]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 50, 3), dtype=np.uint8)
    photos = {"a": Image.fromarray(pixels), "other": Image.fromarray(pixels[::-1].copy())}
    plain = Recipe("a", (0, 0, 50, 60), 40)
    changed = Recipe.from_dict(json.loads(json.dumps({**plain.to_dict(), **change})))
    assert render(changed, photos).width == 40
    assert pixel_sha256(render(changed, photos)) != pixel_sha256(render(plain, photos))
    assert pixel_sha256(render(changed, photos)) == pixel_sha256(render(changed, photos))
    assert len(bytes.fromhex(pixel_grid(render(plain, photos)))) == 48


def test_the_format_of_a_recipe() -> None:
    picture = Image.new("RGB", (8, 8))
    starts = {"JPEG": b"\xff\xd8", "PNG": b"\x89PNG", "WEBP": b"RIFF"}
    for name, start in starts.items():
        assert encode(Recipe("a", (0, 0, 1, 1), 8, format=name), picture).startswith(start)
    with pytest.raises(ValueError, match="GIF"):
        Recipe("a", (0, 0, 1, 1), 8, format="GIF")


def test_the_checkpoints_scores_spread_and_nothing_is_left_at_its_initial_value(
    checkpoint: Path, images: list[Path]
) -> None:
    from transformers import SiglipForImageClassification

    answers = drift_reference.reference_answers(checkpoint, PreprocessParams(), images)
    assert np.std([answer.p for answer in answers]) >= 0.2
    assert {answer.has_face for answer in answers} == {True, False}
    for name, weight in SiglipForImageClassification.from_pretrained(checkpoint).named_parameters():
        assert weight.std() > 0.001 or weight.numel() == 1, name
    assert json.loads((checkpoint / "deepfake.json").read_text())["trained"] is False


def test_a_checkpoint_that_is_there_stays(checkpoint: Path, images: list[Path]) -> None:
    before = (checkpoint / "model.safetensors").stat().st_mtime_ns
    assert make_spread_checkpoint(checkpoint, images, hidden_size=64, layers=1) == checkpoint
    assert (checkpoint / "model.safetensors").stat().st_mtime_ns == before
    assert [path.name for path in checkpoint.parent.iterdir()] == [checkpoint.name]


def test_the_reference_is_computed_once(
    checkpoint: Path, images: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = drift_reference.reference_answers(checkpoint, PreprocessParams(), images)

    def refuse(*_: object) -> None:
        raise AssertionError("loaded again")

    with monkeypatch.context() as patched:
        patched.setattr(drift_reference, "load_checkpoint", refuse)
        assert drift_reference.reference_answers(checkpoint, PreprocessParams(), images) == first
        with pytest.raises(AssertionError):
            drift_reference.reference_answers(checkpoint, PreprocessParams(crop_factor=2.0), images)
        with pytest.raises(AssertionError):
            drift_reference.reference_answers(checkpoint, PreprocessParams(), images[::-1])
    (stored,) = cache.iterdir()
    stored.write_text("[")
    assert drift_reference.reference_answers(checkpoint, PreprocessParams(), images) == first


def test_an_fp32_release_does_not_drift(checkpoint: Path, releases: Path, images: list[Path]) -> None:
    report = measure_drift(checkpoint, releases, images)
    assert report.images == len(images)
    assert (report.faces, report.face_mismatches) == (6, 0)
    assert report.std_p >= 0.2
    assert 0 < report.max_dp < 1e-5
    assert report.max_dlogit < 1e-3
    assert report.flipped_in_all == 0
    assert report.batch_variance is not None
    assert report.batch_variance.largest < 1e-6
    assert json.loads(report.to_json())["rows"][0]["name"] == images[0].name
    assert [abs(row.dp) for row in report.worst] == sorted((abs(row.dp) for row in report.rows), reverse=True)[:5]


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
    report = measure_drift(checkpoint, releases, images)
    assert report.max_dp == pytest.approx(0.01, abs=1e-4)
    assert report.batch_variance is not None
    assert report.batch_variance.in_threes == pytest.approx(0.02, abs=1e-4)
    assert report.batch_variance.in_eights == pytest.approx(0.02, abs=1e-4)


def test_the_figures_of_known_rows() -> None:
    rows = [
        DriftRow("a", 0.40, 0.60, -0.4, 0.4, same_face=True),
        DriftRow("b", 0.49, 0.51, 0.0, 0.1, same_face=True),
        DriftRow("c", 0.90, 0.80, 2.2, 1.4, same_face=False),
    ]
    measured = figures(rows)
    assert measured["max_dp"] == pytest.approx(0.2)
    assert measured["mean_dp"] == pytest.approx(0.32 / 3)
    assert measured["p95_dp"] == pytest.approx(0.19)
    assert measured["flipped"] == 1, "b is within 0.48-0.52"
    assert measured["flipped_in_all"] == 2
    assert measured["face_mismatches"] == 1
    assert measured["max_dlogit"] == pytest.approx(0.8)
    assert measured["std_p"] == pytest.approx(np.std([0.40, 0.49, 0.90]))


def test_a_release_of_another_checkpoint_is_refused(tiny_checkpoint: Path, releases: Path, images: list[Path]) -> None:
    with pytest.raises(DriftError, match="was exported from the checkpoint"):
        measure_drift(tiny_checkpoint, releases, images)
    with pytest.raises(DriftError, match="no release"):
        measure_drift(tiny_checkpoint, tiny_checkpoint, images)
    with pytest.raises(DriftError, match="no image"):
        measure_drift(tiny_checkpoint, releases, [])


def run(*arguments: str) -> Any:
    app = typer.Typer()
    app.command()(drift)
    return CliRunner().invoke(app, arguments)


def test_the_command(checkpoint: Path, releases: Path, images: list[Path], tmp_path: Path) -> None:
    common = ("--release", str(releases), "--checkpoint", str(checkpoint), "--images", str(images[0].parent))
    done = run(*common, "--count", "4", "--no-batches", "--max-dp", "1e-5", "--output", str(tmp_path / "drift.json"))
    assert done.exit_code == 0, done.output
    assert "|dp| largest" in done.output
    document = json.loads((tmp_path / "drift.json").read_text())
    assert (document["images"], document["precision"], document["batch_variance"]) == (4, "fp32", None)
    assert run(*common, "--count", "4", "--no-batches", "--max-dp", "0").exit_code == 1


def test_wrong_usage_of_the_command(checkpoint: Path, releases: Path) -> None:
    assert run().exit_code == 2
    assert run("--release", str(releases), "--url", "localhost:1").exit_code == 2
    unreachable = run("--url", "127.0.0.1:1", "--checkpoint", str(checkpoint), "--count", "1")
    assert unreachable.exit_code == 3

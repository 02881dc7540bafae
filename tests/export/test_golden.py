"""Golden images: what a checkpoint promises to score, held against it by the export."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from export.checkpoint.hub import locate_checkpoint
from export.errors import CheckpointError, ExportError, GoldenError, ReleaseError
from export.gate.parity import TOLERANCES
from export.golden import GoldenEntry, GoldenManifest, GoldenSet, read_golden
from export.release import Release, read_release, verify_files
from export.run import existing_release, export_checkpoint
from export.settings import ExportSettings
from tests.conftest import CARD
from tests.processor import LOW_PRECISIONS

PNG = b"\x89PNG\r\n\x1a\n"


def exported(checkpoint: Path, releases: Path, **settings: Any) -> Release:
    chosen = ExportSettings(releases, parity_images=8, **settings)
    return export_checkpoint(locate_checkpoint(str(checkpoint)), chosen)


@pytest.fixture
def copy(golden_checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(golden_checkpoint, tmp_path / "checkpoint"))


def edit(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def edit_first(checkpoint: Path, **values: Any) -> None:
    path = checkpoint / "golden" / "golden.json"
    images = json.loads(path.read_text())["images"]
    images[0] |= values
    edit(path, images=images)


def made(real: float, fake: float, tolerance: float = 0.01) -> GoldenSet:
    entries = (
        GoldenEntry(file="a.png", label="real", fake_probability=real, tolerance=tolerance),
        GoldenEntry(file="b.png", label="fake", fake_probability=fake, tolerance=tolerance),
    )
    return GoldenSet(GoldenManifest(images=entries), (PNG, PNG))


def test_the_release_has_them_within_its_precisions_tolerance(golden_checkpoint: Path, golden_release: Release) -> None:
    own, released = read_golden(golden_checkpoint), read_golden(golden_release.path)
    assert own is not None
    assert released is not None
    assert released.images == own.images
    for mine, theirs in zip(own.manifest.images, released.manifest.images, strict=True):
        assert theirs.fake_probability == mine.fake_probability
        assert theirs.tolerance == pytest.approx(mine.tolerance + TOLERANCES["fp32"].max_dp)
    verify_files(golden_release)


@pytest.mark.parametrize("precision", LOW_PRECISIONS)
def test_low_precisions_pass_with_more_room(precision: str, golden_checkpoint: Path, tmp_path: Path) -> None:
    release = exported(golden_checkpoint, tmp_path, precision=precision)
    golden = read_golden(release.path)
    assert golden is not None
    room = 0.01 + TOLERANCES[precision].max_dp
    assert [entry.tolerance for entry in golden.manifest.images] == [pytest.approx(room)] * 4


def test_without_face_detection_the_other_scores_count(copy: Path, tmp_path: Path) -> None:
    path = copy / "golden" / "golden.json"
    images = json.loads(path.read_text())["images"]
    edit(path, images=[{**image, "fake_probability": p} for image, p in zip(images, (0.1, 0.2, 0.8, 0.9), strict=True)])
    golden = read_golden(exported(copy, tmp_path / "releases", face_detection=False).path)
    assert golden is not None
    expected = [image["without_face_detection"] for image in images]
    assert [entry.fake_probability for entry in golden.manifest.images] == expected


def test_swapped_labels_are_refused(copy: Path, tmp_path: Path) -> None:
    edit(copy / "config.json", id2label={"0": "Real", "1": "Fake"}, label2id={"Real": 0, "Fake": 1})
    with pytest.raises(GoldenError, match=r"contradicts its own golden images: .*look swapped: check id2label"):
        exported(copy, tmp_path / "releases")
    assert [p for p in (tmp_path / "releases").glob("*") if p.is_dir()] == []
    shutil.rmtree(copy / "golden")
    exported(copy, tmp_path / "releases")  # nothing else could tell


def test_other_weights_are_refused(copy: Path, tmp_path: Path) -> None:
    from tests.seeded_checkpoint import make_untrained_checkpoint

    make_untrained_checkpoint(tmp_path / "other", hidden_size=64, layers=2, seed=3)
    shutil.copyfile(tmp_path / "other" / "model.safetensors", copy / "model.safetensors")
    with pytest.raises(GoldenError, match=r"\.png .* scores .* is recorded"):
        exported(copy, tmp_path / "releases")


def test_a_variant_that_fails_them_is_refused(
    golden_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exported graph is judged too, not the checkpoint alone."""
    from export.gate.golden import PreparedGolden

    honest = PreparedGolden.for_precision

    def strict(self: PreparedGolden, limits: Any) -> GoldenSet:
        golden = honest(self, limits)
        moved = [
            e.model_copy(update={"fake_probability": abs(e.fake_probability - 0.2)}) for e in golden.manifest.images
        ]
        return GoldenSet(golden.manifest.model_copy(update={"images": tuple(moved)}), golden.images)

    monkeypatch.setattr(PreparedGolden, "for_precision", strict)
    with pytest.raises(ExportError, match="golden image real-1"):
        exported(golden_checkpoint, tmp_path)


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        ([0.1, 0.9], ""),
        ([0.109, 0.891], ""),
        ([0.1, 0.88], "b.png (fake) scores 0.8800 where 0.9000"),
        ([float("nan"), 0.9], "a.png (real) scores nan"),
        (["DECODE_FAILED", 0.9], "a.png was not scored: DECODE_FAILED"),
        ([0.9, 0.1], "swapped"),
    ],
)
def test_scores_are_held_against_the_record(scores: list[float | str], reason: str) -> None:
    found = made(0.1, 0.9).mismatch(scores)
    assert reason in found
    assert bool(found) == bool(reason)


def test_the_order_counts_where_the_tolerance_is_wide() -> None:
    assert "not below" in made(0.45, 0.55, tolerance=0.2).mismatch([0.55, 0.45])


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"file": "../secret.png"}, "pattern"),
        ({"file": "none.png"}, "No such file"),
        ({"fake_probability": 0.99}, "not below"),
        ({"fake_probability": 2}, "less than or equal"),
        ({"label": "fake"}, "not below"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_damage_is_named(values: dict[str, Any], reason: str, copy: Path, tmp_path: Path) -> None:
    edit_first(copy, **values)
    with pytest.raises(GoldenError, match=reason):
        exported(copy, tmp_path / "releases")


def test_an_image_that_is_no_png_is_refused(copy: Path) -> None:
    (copy / "golden" / "real-1-case-0.png").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(GoldenError, match="no PNG"):
        read_golden(copy)


@pytest.mark.parametrize("name", ["golden/golden.json", "golden/real-1-case-0.png", "MODEL_CARD.md"])
def test_a_changed_companion_is_noticed(name: str, golden_release: Release, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(golden_release.path, tmp_path / golden_release.path.name))
    (copied / name).write_bytes((copied / name).read_bytes() + b"\n")
    with pytest.raises(ReleaseError, match=name):
        verify_files(read_release(copied))
    shutil.rmtree(copied / "golden")
    with pytest.raises(ReleaseError, match="golden/"):
        verify_files(read_release(copied))


def test_new_golden_images_or_a_new_card_make_a_new_release(copy: Path, tmp_path: Path) -> None:
    settings = ExportSettings(tmp_path / "releases", parity_images=8)
    located = locate_checkpoint(str(copy))
    first = export_checkpoint(located, settings)
    assert existing_release(located, settings) is not None
    (copy / "README.md").write_text("another")
    assert existing_release(located, settings) is None
    second = export_checkpoint(located, settings)
    edit_first(copy, tolerance=0.02)
    assert existing_release(located, settings) is None
    assert len({first.release_id, second.release_id, export_checkpoint(located, settings).release_id}) == 3


def test_the_card_travels_with_its_licence_and_digest(golden_release: Release, golden_checkpoint: Path) -> None:
    import hashlib

    card = golden_release.manifest["description"]["model_card"]
    assert card["text"] == CARD == (golden_release.path / "MODEL_CARD.md").read_text()
    assert (card["name"], card["licence"]) == ("seeded-untrained", "mit")
    assert card["sha256"] == hashlib.sha256((golden_checkpoint / "README.md").read_bytes()).hexdigest()


def test_a_long_card_is_named_and_not_sent(copy: Path, tmp_path: Path) -> None:
    (copy / "README.md").write_text("x" * 20_000)
    edit(copy / "deepfake.json", model_card={"name": "Long", "licence": "cc0-1.0", "url": "https://example.org"})
    release = exported(copy, tmp_path / "releases")
    card = release.manifest["description"]["model_card"]
    assert (card["text"], card["name"], card["licence"]) == ("", "Long", "cc0-1.0")
    assert len(card["sha256"]) == 64
    assert (release.path / "MODEL_CARD.md").stat().st_size == 20_000


@pytest.mark.parametrize("file", ["README.md", "golden/*.png"])
def test_a_link_that_leaves_the_checkpoint_is_refused(file: str, copy: Path, tmp_path: Path) -> None:
    linked = next(copy.glob(file))
    secret = linked.rename(tmp_path / "secret")
    linked.symlink_to(secret)
    with pytest.raises(CheckpointError, match="leads out of"):
        exported(copy, tmp_path / "releases")
    assert not list((tmp_path / "releases").rglob("MODEL_CARD.md"))


def test_a_checkpoint_without_any_of_it_exports_as_before(tiny_release: Release) -> None:
    assert {"calibration", "model_card"} & set(tiny_release.manifest["description"]) == set()
    assert not (tiny_release.path / "golden").exists()
    assert not any(name.startswith(("golden", "MODEL")) for name in tiny_release.manifest["files"])


@pytest.mark.parametrize(
    "block",
    [{"calibration": {"temperature": 0}}, {"model_card": {"url": "javascript:alert(1)"}}, {"model_card": {"x": "y"}}],
)
def test_a_wrong_block_of_the_sidecar_is_named(block: dict[str, Any], copy: Path, tmp_path: Path) -> None:
    edit(copy / "deepfake.json", **block)
    with pytest.raises(CheckpointError, match=next(iter(block))):
        exported(copy, tmp_path / "releases")

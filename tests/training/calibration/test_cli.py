"""deepfake-calibrate: real files through the real pipeline into a new checkpoint."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from deepfake_client.in_process import InProcessScorer
from deepfake_client.scorer import Deadline
from evaluation.dataset import find_dataset
from evaluation.errors import DatasetError
from evaluation.people import persons_of
from export.checkpoint.head import NOTHING_SAID, Labelling
from export.checkpoint.hub import locate_checkpoint
from export.checkpoint.load import load_checkpoint, read_sidecar
from export.checkpoint.torch_scores import fake_probabilities, open_preparer, torch_logits
from export.golden import read_golden
from export.release import Release
from preprocessing import PREPROCESSING_VERSION
from tests.export import checkpoints
from tests.labelled_images import TEMPERATURE, pictures, write_clear_cases, write_dataset
from training.calibration.checkpoint import fold_scale
from training.calibration.cli import app
from training.calibration.fitting import Scale, fake_probability
from training.calibration.golden import read_pictures, write_golden
from training.errors import CalibrationError


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return done.exit_code, done.output


def logits_of(checkpoint: Path, images: list[bytes]) -> np.ndarray:
    loaded = load_checkpoint(locate_checkpoint(str(checkpoint)))
    with open_preparer(loaded, face_detection=False) as preparer:
        return torch_logits(loaded, np.stack([preparer.prepare(image).pixels for image in images]))


@pytest.fixture(scope="module")
def data(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tiny_checkpoint, tmp_path_factory.mktemp("data") / "set", count=240, persons=30)


def test_the_checkpoint_says_what_was_measured(golden_checkpoint: Path) -> None:
    sidecar = read_sidecar(golden_checkpoint)
    record = sidecar.calibration
    assert record is not None
    assert record.temperature == pytest.approx(TEMPERATURE, rel=0.25)  # 400 labels cannot say it more exactly
    assert (record.max_fpr, record.max_fnr, record.face_detection) == (0.05, 0.1, True)
    assert (record.crop_factor, record.fake_labels) == (1.3, ("Fake",))
    assert record.preprocessing_version == PREPROCESSING_VERSION
    assert record.image.unit == "images"
    assert record.image.real + record.image.fake == 400
    assert record.image.fpr <= 0.05 < record.image.fpr_upper
    assert record.image.fnr <= 0.1
    assert record.image.ece_after < record.image.ece_before
    assert (record.image.tpr.low or 0) <= record.image.tpr.value <= (record.image.tpr.high or 0)
    assert sidecar.verdict_bands.image == sidecar.verdict_bands.video
    assert sidecar.notice.startswith("Untrained")  # what the source says is kept
    report = json.loads((golden_checkpoint / "calibration" / "report.json").read_text())
    assert sum(one["files"] for one in report["reliability_after"]) == 400
    assert len(report["scores"]["images"]) == 400
    for name in ("reliability", "tippett-images"):
        assert (golden_checkpoint / "calibration" / f"{name}.png").stat().st_size > 1000
    assert record.image.likelihood_ratio is not None
    assert record.image.likelihood_ratio.cllr < 1


def test_the_scale_is_in_the_weights(tiny_checkpoint: Path, golden_checkpoint: Path) -> None:
    images = [picture.png for picture in pictures(tiny_checkpoint, 20, seed=5)]
    record = read_sidecar(golden_checkpoint).calibration
    assert record is not None
    before, after = logits_of(tiny_checkpoint, images), logits_of(golden_checkpoint, images)
    assert record.bias != 0
    np.testing.assert_allclose((after - [record.bias, 0]) * record.temperature, before, atol=1e-4)


@pytest.mark.parametrize("make", [checkpoints.vit, checkpoints.clip, checkpoints.resnet])
def test_any_linear_head_is_scaled(make: object, tmp_path: Path) -> None:
    loaded = load_checkpoint(locate_checkpoint(str(make(tmp_path / "model"))))  # type: ignore[operator]
    squares = np.random.default_rng(0).integers(0, 256, (3, *[loaded.resize.size_px] * 2, 3), np.uint8)
    before = torch_logits(loaded, squares)
    fold_scale(loaded, Scale(1.7, -0.6))
    shift = np.where(np.arange(before.shape[1]) == 0, -0.6, 0)
    np.testing.assert_allclose((torch_logits(loaded, squares) - shift) * 1.7, before, atol=1e-4)


@pytest.mark.parametrize(
    ("labels", "problem", "said"),
    [
        ({0: "real", 1: "face_swap_fake", 2: "ai"}, None, NOTHING_SAID),
        ({0: "real", 1: "face_swap_fake", 2: "ai"}, "multi_label_classification", NOTHING_SAID),
        ({0: "LABEL_0"}, None, Labelling(fake_when="high")),
        ({0: "LABEL_0"}, None, Labelling(fake_when="low")),
    ],
)
def test_every_kind_of_head_then_gives_the_fitted_scores(
    labels: dict[int, str], problem: str | None, said: Labelling, tmp_path: Path
) -> None:
    path, scale = checkpoints.siglip(tmp_path / "model", labels, problem_type=problem), Scale(1.7, -0.6)
    loaded = load_checkpoint(locate_checkpoint(str(path)), said)
    squares = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), np.uint8)
    logits = loaded.head.softmax_logits(torch_logits(loaded, squares))
    fitted = fake_probability(logits, loaded.head.softmax_fake_indices, scale)
    fold_scale(loaded, scale)
    np.testing.assert_allclose(fake_probabilities(loaded, squares), fitted, atol=1e-5)


def test_what_is_served_scores_as_calibrated(golden_checkpoint: Path, golden_release: Release) -> None:
    """The calibration's own scores are those of the exported graph behind the service's preprocessing."""
    images = [picture.png for picture in pictures(golden_checkpoint, 12, seed=6)]
    loaded = load_checkpoint(locate_checkpoint(str(golden_checkpoint)))
    with open_preparer(loaded, face_detection=False) as preparer:
        expected = fake_probabilities(loaded, np.stack([preparer.prepare(image).pixels for image in images]))
    scorer = InProcessScorer(golden_release.path)
    try:
        scores = scorer.score(images, Deadline(60)).scores
        info = scorer.info(Deadline(1))
    finally:
        scorer.close()
    np.testing.assert_allclose([score.fake_probability or -1 for score in scores], expected, atol=1e-5)
    assert info.calibration is not None
    assert info.verdict_bands.image.fake_above == read_sidecar(golden_checkpoint).verdict_bands.image.fake_above


def test_the_same_input_gives_the_same_checkpoint(tiny_checkpoint: Path, data: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        code, said = run(
            "--checkpoint", tiny_checkpoint, "--data-dir", data, "--output", tmp_path / name,
            "--max-fpr", 0.05, "--no-face-detection", "--resamples", 100,
        )  # fmt: skip
        assert code == 0, said
    assert "of 30 persons" in said
    assert "ECE" in said
    files = {p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file()}
    assert Path("calibration/report.json") in files
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file


def test_a_refusal_leaves_nothing_behind(tiny_checkpoint: Path, data: Path, tmp_path: Path) -> None:
    swapped = tmp_path / "data"
    shutil.copytree(data / "real", swapped / "fake")
    shutil.copytree(data / "fake", swapped / "real")
    output = tmp_path / "made" / "out"
    options = ("--checkpoint", tiny_checkpoint, "--output", output, "--no-face-detection")
    for directory, extra, reason in (
        (swapped, (), "look swapped"),
        (data, ("--max-fpr", 0.001), "needs 1000 real files"),
        (data, ("--max-fpr", 1.5), "budget of false positives"),
        (tmp_path / "nowhere", (), "is no directory"),
        (data, ("--people", data / "real"), "cannot be read"),
        (data, ("--max-fpr", 0.05, "--golden", data), "16 at most"),
    ):
        code, said = run(*options, "--data-dir", directory, *extra)
        assert (code, reason in said) == (1, True), said
        assert list((tmp_path / "made").iterdir()) == []
    output.mkdir()
    code, said = run(*options, "--data-dir", data)
    assert (code, "there already" in said) == (1, True)


def test_golden_images_must_be_clear_cases(tiny_checkpoint: Path, tmp_path: Path) -> None:
    cases = write_clear_cases(tiny_checkpoint, tmp_path / "cases")
    (cases / "real").rename(tmp_path / "kept")
    (cases / "fake").rename(cases / "real")
    (tmp_path / "kept").rename(cases / "fake")
    copy = tmp_path / "model"
    shutil.copytree(tiny_checkpoint, copy)
    with pytest.raises(CalibrationError, match="clear cases"):
        write_golden(copy, read_pictures(cases))
    assert not (copy / "golden").exists()


def test_golden_images_are_recorded_again_with_new_weights(
    tiny_checkpoint: Path, golden_checkpoint: Path, data: Path, tmp_path: Path
) -> None:
    code, said = run(
        "--checkpoint", golden_checkpoint, "--data-dir", data, "--output", tmp_path / "again", "--max-fpr", 0.05,
        "--no-face-detection", "--resamples", 100,
    )  # fmt: skip
    assert code == 0, said
    old, new = read_golden(golden_checkpoint), read_golden(tmp_path / "again")
    assert old is not None
    assert new is not None
    assert new.images == old.images
    first, second = read_sidecar(golden_checkpoint).calibration, read_sidecar(tmp_path / "again").calibration
    assert first is not None
    assert second is not None
    # The second scale counts from the original weights, and the scores moved with it.
    odds = [math.log(p / (1 - p)) for p in (golden.manifest.images[0].fake_probability for golden in (old, new))]
    original = [(x - record.bias) * record.temperature for x, record in zip(odds, (first, second), strict=True)]
    assert original[1] == pytest.approx(original[0], abs=1e-3)
    assert second.temperature != first.temperature
    fresh = run(
        "--checkpoint", tiny_checkpoint, "--data-dir", data, "--output", tmp_path / "fresh", "--max-fpr", 0.05,
        "--no-face-detection", "--resamples", 100,
    )  # fmt: skip
    assert fresh[0] == 0
    once = read_sidecar(tmp_path / "fresh").calibration
    assert once is not None
    assert (once.temperature, once.bias) == pytest.approx((second.temperature, second.bias), rel=1e-4)
    assert once.image.ece_before == pytest.approx(second.image.ece_before, abs=1e-5)
    assert (tmp_path / "again" / "README.md").read_text() == (golden_checkpoint / "README.md").read_text()


def test_a_calibration_for_other_labels_cannot_be_taken_back(
    golden_checkpoint: Path, data: Path, tmp_path: Path
) -> None:
    code, said = run(
        "--checkpoint", golden_checkpoint, "--fake-labels", "Real", "--data-dir", data, "--output", tmp_path / "out"
    )  # fmt: skip
    assert (code, "calibrated with Fake as fake labels" in " ".join(said.split())) == (1, True), said


def test_persons_come_from_a_table_or_from_folders(data: Path, tmp_path: Path) -> None:
    dataset = find_dataset(data)
    assert set(persons_of(dataset).values()) == {f"p{at}" for at in range(30)}
    names = [file.name for file in dataset.files]
    table = tmp_path / "people.csv"
    table.write_text("file,person\n" + "".join(f"{name},someone\n" for name in names[:3]))
    assert persons_of(dataset, table) == dict.fromkeys(names[:3], "someone")
    table.write_text(f"file,person\n{names[0]},anna;ben\n{names[1]},ben\n{names[2]},carl\n")
    assert persons_of(dataset, table) == {names[0]: "anna", names[1]: "anna", names[2]: "carl"}
    table.write_text("file,person\nreal/none.png,x\n")
    with pytest.raises(DatasetError, match=r"none\.png"):
        persons_of(dataset, table)
    table.write_text("name;who\n")
    with pytest.raises(DatasetError, match="header"):
        persons_of(dataset, table)

"""deepfake-calibrate with several checkpoints: real files through real members into a folder that names them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from deepfake_client.analysis.faces import FaceRules
from deepfake_client.release import Scope
from evaluation.dataset import find_dataset
from evaluation.statistics.bootstrap import BootstrapPlan
from export.checkpoint.fusion import find_sources
from export.checkpoint.head import NOTHING_SAID, Labelling
from export.checkpoint.hub import locate_checkpoint
from export.checkpoint.load import load_checkpoint, read_sidecar
from export.checkpoint.torch_scores import fake_probabilities, open_preparer
from export.errors import CheckpointError, LabelError
from export.golden import read_golden
from tests.export import checkpoints
from tests.labelled_images import write_clear_cases, write_dataset
from tests.media import photo_pixels
from training.calibration.cli import app
from training.calibration.fitting import Budget
from training.calibration.orders import Order, calibrate_several
from training.calibration.scores import Member, UnscoredMedia, load_members, score_media, score_members

OPTIONS = ("--max-fpr", 0.05, "--max-fnr", 0.1, "--no-face-detection", "--resamples", 100)


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return done.exit_code, done.output


def scores(checkpoint: Path, images: list[bytes]) -> np.ndarray:
    """(N,) float32 fake probabilities of whole images."""
    loaded = load_checkpoint(locate_checkpoint(str(checkpoint)))
    with open_preparer(loaded, face_detection=False) as preparer:
        squares = np.stack([preparer.prepare(image).pixels for image in images])
    return fake_probabilities(loaded, squares).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two members side by side, of which labels follow the first, data, clear cases, and both fused by stacking."""
    folder = tmp_path_factory.mktemp("several")
    shutil.copytree(tiny_checkpoint, folder / "first")
    checkpoints.siglip(folder / "second", {0: "Real", 1: "Fake"})
    (folder / "second" / "deepfake.json").write_text('{"scope": "face", "notice": "Weak.", "crop_factor": 2}')
    write_dataset(tiny_checkpoint, folder / "data", count=160, persons=40)
    write_clear_cases(tiny_checkpoint, folder / "cases")
    code, said = run(
        "--checkpoint", f"{folder / 'first'},{folder / 'second'}", "--fusion", "stacking", *OPTIONS,
        "--whole-image", folder / "second", "--data-dir", folder / "data", "--output", folder / "fused",
        "--golden", folder / "cases",
    )  # fmt: skip
    assert code == 0, said
    (folder / "said").write_text(said)
    return folder


def test_the_folder_names_its_members_and_is_read_back(folder: Path) -> None:
    sources = find_sources(str(folder / "fused"))
    assert [member.located.path for member in sources.members] == [folder / "first", folder / "second"]
    assert [member.whole_image for member in sources.members] == [False, True]
    assert sources.fusion is not None
    record = read_sidecar(folder / "fused").calibration
    assert record is not None
    assert sum(sources.fusion.weights) == pytest.approx(1 / record.temperature, rel=1e-5)
    assert sources.fusion.intercept == pytest.approx(record.bias, abs=1e-6)
    document = json.loads((folder / "fused" / "fusion.json").read_text())
    assert [member["checkpoint"] for member in document["members"]] == ["../first", "../second"]
    moved = folder / "moved"
    moved.mkdir()
    for name in ("first", "second", "fused"):
        shutil.copytree(folder / name, moved / name)
    assert [one.located.path for one in find_sources(str(moved / "fused")).members][1] == moved / "second"
    (moved / "second" / "deepfake.json").write_text("{}")
    with pytest.raises(CheckpointError, match="second has changed since"):
        find_sources(str(moved / "fused"))
    shutil.rmtree(moved)


def test_what_goes_with_the_fused_score_lies_beside_it(folder: Path) -> None:
    sidecar = read_sidecar(folder / "fused")
    assert (sidecar.name, sidecar.scope) == ("seeded-untrained + second", Scope.FACE)
    assert sidecar.notice == ""  # the export adds those of the members
    record = sidecar.calibration
    assert record is not None
    assert (record.crop_factor, record.fake_labels, record.fake_when) == (None, None, None)
    assert (record.image.persons, record.face_detection) == (40, False)
    assert record.image.fpr <= 0.05
    assert any(note.startswith("The score is stacked of seeded-untrained (") for note in record.notes)
    report = json.loads((folder / "fused" / "calibration" / "report.json").read_text())
    (comparison,) = report["comparisons"]
    said = (folder / "said").read_text()
    for row in (*comparison["members"], comparison["mean"], comparison["stacking"]):
        assert f"{row['name']} " in said
        assert f"{row['auc']['value']:.3f} [{row['auc']['low']:.3f}, {row['auc']['high']:.3f}]" in said
        assert 0 < row["ece"] < 0.5
    assert (folder / "fused" / "calibration" / "reliability.png").stat().st_size > 1000


def test_the_scores_are_the_formula_on_the_members_own(folder: Path) -> None:
    fusion = find_sources(str(folder / "fused")).fusion
    golden = read_golden(folder / "fused")
    assert fusion is not None
    assert golden is not None

    def fused(images: list[bytes]) -> np.ndarray:
        return fusion.fake_probability(
            np.stack([scores(folder / name, images) for name in ("first", "second")], axis=1)
        )

    recorded = [entry.without_face_detection for entry in golden.manifest.images]
    np.testing.assert_allclose(fused(list(golden.images)), recorded, atol=2e-6)
    files = find_dataset(folder / "data").files
    rows = json.loads((folder / "fused" / "calibration" / "report.json").read_text())["scores"]["images"]
    assert len(rows) == len(files) == 160
    np.testing.assert_allclose(
        fused([file.path.read_bytes() for file in files]), [row["after"] for row in rows], atol=2e-6
    )


def test_a_fusion_is_fitted_again_with_what_goes_with_it(folder: Path, tmp_path: Path) -> None:
    """By the mean, elsewhere: its members keep their calibration, and the folder its name, card and golden images."""
    again = tmp_path / "again"
    (folder / "fused" / "README.md").write_text("# Both\n")
    sidecar = json.loads((folder / "fused" / "deepfake.json").read_text())
    (folder / "fused" / "deepfake.json").write_text(json.dumps({**sidecar, "name": "both"}))
    code, said = run("--checkpoint", folder / "fused", *OPTIONS, "--data-dir", folder / "data", "--output", again)
    assert code == 0, said
    sources, record = find_sources(str(again)), read_sidecar(again).calibration
    assert sources.fusion is not None
    assert record is not None
    assert sources.fusion.weights == pytest.approx((0.5 / record.temperature,) * 2, rel=1e-5)
    assert [member.whole_image for member in sources.members] == [False, True]
    document = json.loads((again / "fusion.json").read_text())
    assert document["members"][0]["checkpoint"] == str(folder / "first")
    assert (read_sidecar(again).name, (again / "README.md").read_text()) == ("both", "# Both\n")
    old, new = read_golden(folder / "fused"), read_golden(again)
    assert old is not None
    assert new is not None
    assert new.images == old.images
    assert new.manifest != old.manifest


def test_options_that_fit_no_fusion_are_refused(folder: Path, tmp_path: Path) -> None:
    one, output = folder / "first", tmp_path / "out"
    for given, reason in (
        (("--checkpoint", one, "--fusion", "stacking"), "are for several checkpoints"),
        (("--checkpoint", one, "--whole-image", one), "are for several checkpoints"),
        (("--checkpoint", f"{one},{folder / 'second'}", "--whole-image", "third"), "--whole-image third"),
        (("--checkpoint", f"{one},{tmp_path / 'none'}"), "no such directory"),
    ):
        code, said = run(*given, *OPTIONS, "--data-dir", folder / "data", "--output", output)
        assert (code, reason in " ".join(said.split())) == (1, True), said
        assert not output.exists()


def test_all_members_score_the_same_faces_each_with_its_own_view(folder: Path, tmp_path: Path) -> None:
    pair = np.hstack([photo_pixels("astronaut.png"), photo_pixels("camera.png")])
    for label in ("real", "fake"):
        (tmp_path / label).mkdir()
    Image.fromarray(pair).save(tmp_path / "real" / "both.png", compress_level=1)
    Image.fromarray(pair).save(tmp_path / "fake" / "both.png", compress_level=1)
    Image.fromarray(photo_pixels("coffee.png")).save(tmp_path / "real" / "no-face.png", compress_level=1)
    (tmp_path / "real" / "broken.png").write_bytes((tmp_path / "real" / "both.png").read_bytes()[:5000])
    dataset = find_dataset(tmp_path)
    first, second = (load_checkpoint(locate_checkpoint(str(folder / name))) for name in ("first", "second"))
    for order in ((Member(first), Member(second, whole_image=True)), (Member(second, whole_image=True), Member(first))):
        found = {(x.name if isinstance(x, UnscoredMedia) else x[0].name): x for x in score_members(order, dataset, {})}
        assert {name for name, item in found.items() if isinstance(item, UnscoredMedia)} == {
            "fake/both.png", "real/broken.png",
        }  # fmt: skip
        crops = {item.name: item for item in score_media(first, dataset, {})}
        wholes = {item.name: item for item in score_media(second, dataset, {}, face_detection=False)}
        for name, faces in (("real/both.png", 2), ("real/no-face.png", 1)):
            scored = found[name]
            assert not isinstance(scored, UnscoredMedia)
            by = {member.checkpoint.name: item for member, item in zip(order, scored, strict=True)}
            crop, whole = by[first.name], by["second"]
            assert crop == replace(crops[name], logits=crop.logits)
            np.testing.assert_allclose(crop.logits, crops[name].logits, atol=1e-5)
            np.testing.assert_allclose(whole.logits, np.repeat(wholes[name].logits, faces, axis=0), atol=1e-5)
            assert whole.boxes_px == crop.boxes_px
            assert whole.assessable == (name == "real/both.png")  # for faces, and none is there


def test_what_is_said_of_labels_is_said_of_the_member_that_it_fits(folder: Path) -> None:
    checkpoints.siglip(folder / "single", {0: "LABEL_0"})
    sources = find_sources(f"{folder / 'second'},{folder / 'single'}")
    second, single = load_members(sources, Labelling(("Real",), "low"))
    assert (second.checkpoint.head.fake_labels, single.checkpoint.head.fake_when) == (("Real",), "low")
    with pytest.raises(LabelError, match="nonsense"):
        load_members(sources, Labelling(("nonsense",), "low"))


def test_what_was_said_of_labels_is_kept_with_the_fusion(folder: Path, tmp_path: Path) -> None:
    """Weights and bands are of these fake labels: an export must not need them again, nor take others."""
    checkpoints.siglip(folder / "single", {0: "LABEL_0"})
    code, said = run(
        "--checkpoint", f"{folder / 'first'},{folder / 'single'}", "--fake-when", "low", *OPTIONS,
        "--data-dir", folder / "data", "--output", tmp_path / "fused", "--golden", folder / "cases",
    )  # fmt: skip
    assert code == 0, said
    sources = find_sources(str(tmp_path / "fused"))
    first, single = load_members(sources, NOTHING_SAID)
    assert (first.checkpoint.head.fake_labels, single.checkpoint.head.fake_when) == (("Fake",), "low")
    with pytest.raises(LabelError, match="leave --fake-labels and --fake-when out"):
        load_members(sources, Labelling(fake_when="high"))


def test_members_that_all_see_whole_images_search_no_face(folder: Path, tmp_path: Path) -> None:
    """So does their release."""
    order = Order(
        find_dataset(folder / "data"), None, True, FaceRules(), Budget(0.05, 0.1), BootstrapPlan(100), "mean"
    )  # fmt: skip
    names = [str(folder / "first"), str(folder / "second")]
    sources = find_sources(",".join(names), None, names)
    done = calibrate_several(order, sources, load_members(sources, NOTHING_SAID), "mean", tmp_path)
    assert not done.record.face_detection
    assert not any("no face" in note for note in done.record.notes)

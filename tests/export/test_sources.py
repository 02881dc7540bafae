"""What CHECKPOINT names, and what several models that are named together must be."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from deepfake_client.release import Scope
from export.checkpoint.fusion import find_sources
from export.checkpoint.head import Labelling
from export.checkpoint.load import checkpoint_digest
from export.errors import CheckpointError, FlatScoresError, LabelError
from export.run import existing_release, export_checkpoint
from export.settings import ExportSettings
from runtime import Fusion
from tests.export import checkpoints
from tests.export.families import FAMILIES
from tests.export.test_calibrated import record


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> tuple[Path, Path]:
    """Two small models of their own names."""
    folder = tmp_path_factory.mktemp("pair")
    shutil.copytree(tiny_checkpoint, folder / "a")
    (folder / "a" / "deepfake.json").write_text('{"name": "a"}')
    return folder / "a", FAMILIES[1].save(folder / "b")


def write_fusion(folder: Path, pair: tuple[Path, Path], **said: Any) -> Path:
    """A folder as deepfake-calibrate writes it, beside its members, of which the second may see whole images."""
    folder.mkdir()
    whole = said.pop("whole_image", False)
    members = [
        {
            "checkpoint": f"../{path.name}",
            "sha256": checkpoint_digest(path),
            "weight": weight,
            "whole_image": whole and path == pair[1],
        }
        for path, weight in zip(pair, (0.75, 0.25), strict=True)
    ]
    (folder / "fusion.json").write_text(json.dumps({"members": members, "intercept": -0.5}))
    (folder / "deepfake.json").write_text(json.dumps(said))
    return folder


def test_commas_name_several_and_their_fusion_is_the_mean(pair: tuple[Path, Path]) -> None:
    sources = find_sources(f"{pair[0]}, {pair[1]}", whole_image=[str(pair[1])])
    assert [member.located.path for member in sources.members] == list(pair)
    assert [member.whole_image for member in sources.members] == [False, True]
    assert sources.fusion == Fusion.mean(2)
    assert find_sources(str(pair[0])).fusion is None


def test_a_folder_may_have_a_comma_in_its_name(pair: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(pair[0], tmp_path / "one,two")
    assert len(find_sources(str(tmp_path / "one,two")).members) == 1


@pytest.mark.parametrize(
    ("named", "said", "message"),
    [
        ("{a},{a}", {}, "name each once"),
        ("{a},{b}/../a", {}, "name each once"),
        (",".join(letter * 80 for letter in "abcdefgh"), {}, "no such directory"),
        (",", {}, "name 1 to 8"),
        ("{a},{b}", {"whole_image": ["other"]}, "--whole-image other"),
        ("{a},{b}", {"revision": "main"}, "one for each"),
        ("{a},/nowhere", {}, "/nowhere: no such directory"),
    ],
)
def test_what_does_not_fit_is_refused(pair: tuple[Path, Path], named: str, said: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        find_sources(named.format(a=pair[0], b=pair[1]), **said)


def test_what_is_true_of_one_member_is_said_of_the_release(pair: tuple[Path, Path], tmp_path: Path) -> None:
    for path in pair:
        shutil.copytree(path, tmp_path / path.name)
    (tmp_path / "b" / "deepfake.json").write_text('{"name": "a", "scope": "face", "notice": "Weak."}')
    sources = find_sources(f"{tmp_path / 'a'},{tmp_path / 'b'}")
    info = export_checkpoint(sources, ExportSettings(tmp_path / "releases", parity_images=8)).info
    assert [member.name for member in info.members] == ["a (1)", "a (2)"]
    assert info.scope is Scope.FACE
    assert info.notice.startswith("a (2): Weak. These models have no calibration")


def test_of_a_member_whose_calibration_does_not_fit_nothing_is_said_as_of_the_release(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    """The bands are those of the fusion, which has a calibration of its own."""
    for path in pair:
        shutil.copytree(path, tmp_path / path.name)
    (tmp_path / "b" / "deepfake.json").write_text(json.dumps({"notice": "Weak.", "calibration": record()}))
    members = (tmp_path / "a", tmp_path / "b")
    of_fusion = record(crop_factor=None, fake_labels=None)
    folder = write_fusion(tmp_path / "fused", members, calibration=of_fusion, whole_image=True)
    info = export_checkpoint(find_sources(str(folder)), ExportSettings(tmp_path / "releases", parity_images=8)).info
    assert info.calibration is not None
    assert [member.calibrated for member in info.members] == [False, False]
    assert info.notice == "b: Weak."


def test_a_fusion_without_words_of_its_own_is_named_after_its_folder_and_for_faces_only_as_a_member_is(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    for path in pair:
        shutil.copytree(path, tmp_path / path.name)
    (tmp_path / "b" / "deepfake.json").write_text('{"scope": "face"}')
    members, settings = (tmp_path / "a", tmp_path / "b"), ExportSettings(tmp_path / "releases", parity_images=8)
    info = export_checkpoint(find_sources(str(write_fusion(tmp_path / "fused", members))), settings).info
    assert (info.name, info.scope) == ("fused", Scope.FACE)
    (tmp_path / "fused").rename(tmp_path / "other")
    assert existing_release(find_sources(str(tmp_path / "other")), settings) is None


def test_members_that_all_see_whole_images_share_a_preprocessing_that_searches_no_face(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    names = [str(path) for path in pair]
    release = export_checkpoint(
        find_sources(",".join(names), whole_image=names), ExportSettings(tmp_path / "releases", parity_images=8)
    )
    assert not release.info.preprocess.face_detection
    assert [member.whole_image for member in release.info.members] == [True, True]
    assert not list((release.repository / "preprocess" / "1").glob("*.tflite"))


def test_a_fitted_fusion_is_served_with_its_weights_and_what_goes_with_it(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    bands = {"image": {"real_below": 0.2, "fake_above": 0.8}, "video": {"real_below": 0.4, "fake_above": 0.6}}
    for path in pair:
        shutil.copytree(path, tmp_path / path.name)
    folder = write_fusion(tmp_path / "fused", pair, name="both", verdict_bands=bands)
    (folder / "README.md").write_text("# Both\n")
    settings = ExportSettings(tmp_path / "releases", parity_images=8)
    release = export_checkpoint(find_sources(str(folder)), settings)
    info = release.info
    assert (info.name, info.fusion_intercept) == ("both", -0.5)
    assert [(member.name, member.weight) for member in info.members] == [("a", 0.75), ("b", 0.25)]
    assert info.verdict_bands.image.fake_above == 0.8
    assert info.model_card is not None
    assert (release.path / "MODEL_CARD.md").read_text() == "# Both\n"
    assert existing_release(find_sources(str(folder)), settings) == release
    (folder / "deepfake.json").write_text('{"name": "others"}')
    assert existing_release(find_sources(str(folder)), settings) is None


def test_members_that_changed_since_are_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    for path in pair:
        shutil.copytree(path, tmp_path / path.name)
    folder = write_fusion(tmp_path / "fused", pair)
    (tmp_path / "b" / "config.json").write_text((pair[1] / "config.json").read_text() + "\n")
    with pytest.raises(CheckpointError, match="has changed since"):
        find_sources(str(folder))


@pytest.mark.parametrize("said", [{"crop_factor": 2}, {"trained": False}])
def test_what_only_members_decide_is_no_word_of_the_fusion(
    said: dict[str, Any], pair: tuple[Path, Path], tmp_path: Path
) -> None:
    for path in pair:
        shutil.copytree(path, tmp_path / path.name)
    with pytest.raises(CheckpointError, match=f"only a member's own deepfake.json says {next(iter(said))}"):
        find_sources(str(write_fusion(tmp_path / "fused", pair, **said)))


def test_a_member_that_is_gone_is_named_by_where_it_was_looked_for(pair: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"{tmp_path}/fused/../a: no such directory"):
        find_sources(str(write_fusion(tmp_path / "fused", pair)))


def test_a_fusion_is_no_member_of_another_and_one_that_cannot_be_read_is_named(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    sources = find_sources(f"{pair[0]},{write_fusion(tmp_path / 'fused', pair)}")
    with pytest.raises(CheckpointError, match="name its members"):
        export_checkpoint(sources, ExportSettings(tmp_path / "releases"))
    (tmp_path / "odd" / "fusion.json").mkdir(parents=True)
    with pytest.raises(CheckpointError, match=r"fusion\.json cannot be read: Is a directory"):
        find_sources(str(tmp_path / "odd"))


def test_names_of_fake_labels_may_be_those_of_one_member(pair: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(pair[1], tmp_path / "c")
    config = json.loads((tmp_path / "c" / "config.json").read_text())
    config |= {"id2label": {"0": "yes", "1": "no"}, "label2id": {"yes": 0, "no": 1}}
    (tmp_path / "c" / "config.json").write_text(json.dumps(config))
    sources = find_sources(f"{pair[0]},{tmp_path / 'c'}")
    settings = ExportSettings(tmp_path / "releases", parity_images=8, labelling=Labelling(("yes",)))
    assert [member.fake_labels for member in export_checkpoint(sources, settings).info.members] == [("Fake",), ("yes",)]
    for said, message in ((Labelling(("yes", "maybe")), "maybe"), (Labelling(("yes",), "high"), "single output")):
        with pytest.raises(LabelError, match=message):
            export_checkpoint(sources, ExportSettings(tmp_path / "releases", parity_images=8, labelling=said))


def test_a_short_name_is_not_taken_for_named_by_the_words_of_an_error(pair: tuple[Path, Path], tmp_path: Path) -> None:
    checkpoints.siglip(tmp_path / "is", {0: "yes", 1: "no"})
    sources = find_sources(f"{pair[0]},{tmp_path / 'is'}")
    with pytest.raises(LabelError, match=r"^is: the labels \['yes', 'no'\] do not say which class is fake"):
        export_checkpoint(sources, ExportSettings(tmp_path / "releases"))


def test_the_refused_member_is_named_and_nothing_is_left(pair: tuple[Path, Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(pair[1], tmp_path / "flat")
    weights = load_file(tmp_path / "flat" / "model.safetensors")
    for name in ("classifier.weight", "classifier.bias"):
        weights[name] = weights[name] * 0
    save_file(weights, tmp_path / "flat" / "model.safetensors", {"format": "pt"})
    with pytest.raises(FlatScoresError, match="flat"):
        export_checkpoint(find_sources(f"{pair[0]},{tmp_path / 'flat'}"), ExportSettings(tmp_path / "releases"))
    assert [path for path in (tmp_path / "releases").glob("*") if path.is_dir()] == []

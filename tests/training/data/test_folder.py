import csv
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assets import FACE_MODELS, fetch_assets
from deepfake_client.analysis.faces import FaceChoice, FaceRules
from deepfake_client.release import Scope
from evaluation.dataset import Label
from evaluation.people import group
from preprocessing import Preparer, PreprocessParams, ResizeSpec
from tests.media import H264_SHORT_GOP, VideoSpec, photo_pixels, write_video
from tests.training.samples import astronaut, paint_patch, write_folder
from training.data.faces import CutParams
from training.data.folder import load_folder
from training.data.sets import TrainingData
from training.errors import DatasetError
from training.options import TrainingOptions

PARAMS = CutParams(1.3, ResizeSpec(48), 3)

Load = Callable[..., TrainingData]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the module: most tests read the same pictures."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def load(tmp_path: Path, cache: Path) -> Load:
    def run(data_dir: Path, blend: bool = False, **changes: object) -> TrainingData:
        output = tmp_path / "out"
        output.mkdir(exist_ok=True)
        options = TrainingOptions(output=output, base="base", data_dir=data_dir, cache_dir=cache, val_fraction=0.25)
        options = replace(options, **changes)
        params = replace(PARAMS, rules=FaceRules(FaceChoice(options.faces)), face_detection=options.face_detection)
        return load_folder(options, params, paint_patch if blend else None)

    return run


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def parts(tmp_path: Path) -> dict[str, str]:
    return {row["file"]: row["part"] for row in rows(tmp_path / "out" / "split.csv")}


def test_nobody_is_on_both_sides_whatever_the_seed(tmp_path: Path, load: Load) -> None:
    folder = write_folder(tmp_path / "set", people=5)
    for number in range(5):
        Image.fromarray(astronaut(100 + number)).save(folder / f"train/real/person-{number}/1.png", compress_level=1)
    chosen = set()
    for seed in range(4):
        data = load(folder, seed=seed)
        sides: dict[str, set[str]] = {}
        for name, part in parts(tmp_path).items():
            sides.setdefault(name.split("/")[2], set()).add(part)
        assert all(len(side) == 1 for side in sides.values())
        validating = {person for person, side in sides.items() if side == {"val"}}
        assert 1 <= len(validating) <= 2
        chosen |= validating
        assert set(data.validate(1.3, PARAMS.resize).labels) == set(Label) == set(data.train.labels)
    assert len(chosen) > 1


def test_swapped_clips_join_two_people(tmp_path: Path, load: Load) -> None:
    folder = write_folder(tmp_path / "set", people=4)
    table = "file,person\n" + "".join(
        f"train/{label}/person-{n}/0.png,{who}\n"
        for n in range(4)
        for label, who in (("real", f"p{n}"), ("fake", f"p{n};p{n ^ 1}"))
    )
    (folder / "people.csv").write_text(table, encoding="utf-8")
    load(folder)
    placed = parts(tmp_path)
    for pair in ((0, 1), (2, 3)):
        assert len({placed[f"train/{label}/person-{n}/0.png"] for n in pair for label in ("real", "fake")}) == 1


def test_copies_of_a_picture_stay_together(tmp_path: Path, load: Load) -> None:
    """The same picture saved again, in files without a person: their hash joins them."""
    folder = tmp_path / "set"
    for label, photos in (("real", ("astronaut.png", "coffee.png")), ("fake", ("chelsea.png", "rocket.jpg"))):
        (folder / "train" / label).mkdir(parents=True)
        for photo in photos:
            for quality in (70, 90):
                path = folder / "train" / label / f"{photo[:-4]}-{quality}.jpg"
                Image.fromarray(photo_pixels(photo)).save(path, quality=quality)
    data = load(folder)
    placed = {name.rpartition("/")[2]: part for name, part in parts(tmp_path).items()}
    assert data.counts.scope is Scope.ANY, "most of these show no face"
    for photo in ("astronaut", "coffee", "chelsea", "rocket"):
        assert placed[f"{photo}-70.jpg"] == placed[f"{photo}-90.jpg"]


def test_whole_pictures_are_kept_where_faces_are_not_wanted(tmp_path: Path, load: Load) -> None:
    folder = write_folder(tmp_path / "set", people=4)
    faces, whole = load(folder), load(folder, face_detection=False)
    assert (faces.counts.scope, whole.counts.scope) == (Scope.FACE, Scope.ANY)
    assert whole.counts.faceless == len(whole.train.faces)
    for number in range(len(whole.train.faces)):
        face = whole.train.faces[number]
        with Image.open(folder / face.source) as picture:
            assert face.pixels.shape[1] / face.pixels.shape[0] == pytest.approx(
                picture.width / picture.height, abs=0.01
            )
    assert whole.digest == faces.digest, "the same files"


def test_links_reach_over_several_files() -> None:
    assert group([["a"], ["b"], [], ["b", "c"], ["c", "a"]]) == [0, 0, 1, 0, 0]
    assert group([[], []]) == [0, 1]


def test_people_of_val_leave_train(tmp_path: Path, load: Load, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_folder(tmp_path / "set", people=3)
    write_folder(folder, people=2, part="val", first=2)
    (folder / "test").mkdir()
    with caplog.at_level(logging.INFO, "training"):
        data = load(folder)
    placed = parts(tmp_path)
    assert placed["train/real/person-2/0.png"] == placed["train/fake/person-2/0.png"] == "left out"
    assert placed["val/real/person-2/0.png"] == "val"
    assert data.counts.left_out == 2
    assert data.counts.scope is Scope.FACE
    assert "2 files of train/ show people" in caplog.text
    assert "test is left alone" in caplog.text


def test_validation_sees_what_serving_sees(tmp_path: Path, load: Load) -> None:
    folder = write_folder(tmp_path / "set", people=4)
    video = write_video(folder / "train/real/person-0/clip.mp4", VideoSpec(20, options=H264_SHORT_GOP, size=(320, 240)))
    data = load(folder)
    validation = data.validate(1.3, PARAMS.resize)
    preparer = Preparer(
        PreprocessParams(resize=PARAMS.resize, crop_factor=1.3), next(iter(fetch_assets(FACE_MODELS).values())).parent
    )
    for source, view in zip(validation.sources, validation.views, strict=True):
        if not source.endswith(video.name):
            assert np.array_equal(view, preparer.prepare((folder / source).read_bytes()).pixels)
    preparer.close()
    frames = data.counts.train.real_faces + data.counts.val.real_faces
    assert frames == 4 + PARAMS.frames


def test_each_face_of_a_real_picture_is_a_sample_and_of_fakes_a_face_alone(tmp_path: Path, load: Load) -> None:
    """Two faces side by side; what serving does not score (a small second face) makes nothing ambiguous."""
    folder = write_folder(tmp_path / "set", people=4)
    photos = photo_pixels("astronaut.png"), photo_pixels("camera.png")
    pair, other = (Image.fromarray(np.hstack(order)) for order in (photos, photos[::-1]))
    for name, picture in (("real/both", pair), ("fake/both", other), ("fake/small", pair.resize((512, 256)))):
        picture.save(folder / f"train/{name}.png", compress_level=1)
    data = load(folder)
    every = [*data.train.faces, *data.validate(1.3, PARAMS.resize).sources]
    names = [face if isinstance(face, str) else face.source for face in every]
    assert [names.count(f"train/{name}.png") for name in ("real/both", "fake/both", "fake/small")] == [2, 0, 1]
    assert sum(face.source == "train/real/both.png" for face in data.train.faces) in (0, 2)  # both on one side
    listed = {row["file"]: row["reason"] for row in rows(tmp_path / "out" / "unreadable.csv")}
    assert "several faces" in listed.pop("train/fake/both.png")
    assert not listed
    counts = load(folder, faces="largest").counts
    faces = sum(side.real_faces + side.fake_faces for side in (counts.train, counts.val))
    assert (faces, counts.unreadable) == (8 + 3, 0)


def test_broken_files_are_listed_and_the_run_goes_on(tmp_path: Path, load: Load) -> None:
    folder = write_folder(tmp_path / "set", people=3)
    (folder / "train/real/cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    (folder / "train/fake/page.png").write_text("<html>")
    (folder / "train/fake/empty.mp4").touch()
    data = load(folder)
    listed = {row["file"]: row["reason"] for row in rows(tmp_path / "out" / "unreadable.csv")}
    assert set(listed) == {"train/real/cut.jpg", "train/fake/page.png", "train/fake/empty.mp4"}
    assert "Truncated" in listed["train/real/cut.jpg"]
    assert data.counts.unreadable == 3


def test_mostly_broken_files_end_the_run(tmp_path: Path, load: Load) -> None:
    folder = write_folder(tmp_path / "set", people=2)
    for number in range(5):
        (folder / f"train/real/{number}.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DatasetError, match=r"5 of 9 files cannot be used, such as .*unreadable\.csv"):
        load(folder)
    assert len(rows(tmp_path / "out" / "unreadable.csv")) == 5


def test_what_cannot_be_trained_on_says_what_to_do(tmp_path: Path, load: Load) -> None:
    with pytest.raises(DatasetError, match="no directory"):
        load(tmp_path / "nowhere")
    one_class = tmp_path / "one"
    (one_class / "train" / "real").mkdir(parents=True)
    Image.fromarray(astronaut(0)).save(one_class / "train/real/a.png")
    with pytest.raises(DatasetError, match=r"no image or video in .*train/fake.*--self-blend"):
        load(one_class)
    with pytest.raises(DatasetError, match=r"all of one person or source.*people\.csv"):
        load(one_class, blend=True)
    same = write_folder(tmp_path / "same", people=2)
    (same / "train/fake/person-0/0.png").write_bytes((same / "train/real/person-0/0.png").read_bytes())
    with pytest.raises(DatasetError, match="1 contents are both real and fake"):
        load(same)
    lopsided = write_folder(tmp_path / "lopsided", people=3)
    for number in (1, 2):
        (lopsided / f"train/fake/person-{number}/0.png").unlink()
    with pytest.raises(DatasetError, match="no readable fake file is left for"):
        load(lopsided)
    (same / "people.csv").write_text("name;who\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="columns file and person"):
        load(same)


def test_real_files_alone_do_for_self_blending(tmp_path: Path, load: Load) -> None:
    folder = tmp_path / "set"
    for number in range(4):
        (folder / f"train/real/p{number}").mkdir(parents=True)
        Image.fromarray(astronaut(number)).save(folder / f"train/real/p{number}/0.png", compress_level=1)
    data = load(folder, blend=True)
    validation = data.validate(1.3, PARAMS.resize)
    assert [label.value for label in validation.labels] == ["real", "fake"]
    assert list(validation.kinds) == ["", "checkers"]


def test_a_second_run_reads_the_cache_only(
    tmp_path: Path, cache: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(tmp_path / "set", people=3)
    first = load(folder, cache_dir=tmp_path / "own")
    (folder / "train/real/person-0/0.png").rename(folder / "train/real/person-0/renamed.png")
    monkeypatch.setattr("training.data.reading.FaceFinder", None)  # would fail if it were used
    second = load(folder, cache_dir=tmp_path / "own")
    assert np.array_equal(first.train.faces[0].pixels, second.train.faces[0].pixels)
    assert not [path for path in (tmp_path / "own").rglob("*") if path.name.startswith(".partial")]
    Image.fromarray(astronaut(50)).save(folder / "train/real/person-0/renamed.png")
    with pytest.raises(TypeError):
        load(folder, cache_dir=tmp_path / "own")

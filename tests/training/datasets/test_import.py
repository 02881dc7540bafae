"""deepfake-dataset import over small trees of each layout; files hold their own names, since none is decoded."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evaluation.dataset import Label, find_dataset
from evaluation.people import described
from training.data.media_files import Part, find_media_files
from training.datasets.cli import app
from training.errors import DatasetError

METHODS = ("Deepfakes", "FaceSwap")


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["import", *map(str, arguments)])
    return done.exit_code, done.output


def ok(*arguments: object) -> str:
    code, said = run(*arguments)
    assert code == 0, said
    return said


def touch(root: Path, names: Sequence[str]) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return root


def rows(table: Path) -> dict[str, str]:
    with table.open(encoding="utf-8", newline="") as stream:
        return {row["file"]: row[next(name for name in row if name != "file")] for row in csv.DictReader(stream)}


def files(root: Path, part: str = "") -> set[str]:
    return {path.relative_to(root).as_posix() for path in (root / part).rglob("*.mp4")}


@pytest.fixture
def faceforensics(tmp_path: Path) -> Path:
    """Twelve identities in pairs, 000 with 001 and so on, each pair swapped both ways by two methods."""
    numbers = [f"{n:03}" for n in range(12)]
    pairs = [(numbers[n], numbers[n ^ 1]) for n in range(12)]
    names = [f"original_sequences/youtube/{rate}/videos/{n}.mp4" for n in numbers for rate in ("c23", "c40")]
    names += [f"manipulated_sequences/{m}/c23/videos/{a}_{b}.mp4" for m in METHODS for a, b in pairs]
    names += [f"original_sequences/actors/c23/videos/{n}__walk.mp4" for n in ("01", "02")]
    names += ["manipulated_sequences/DeepFakeDetection/c23/videos/01_02__walk__ABCD1234.mp4"]
    return touch(tmp_path / "ff", names)


@pytest.mark.parametrize("folder", ["", "splits"])
def test_faceforensics_with_its_own_split(faceforensics: Path, tmp_path: Path, folder: str) -> None:
    split = {"train": [["000", "001"], ["002", "003"], ["004", "005"]], "val": [["006", "007"]],
             "test": [["008", "009"], ["010", "011"]]}  # fmt: skip
    (faceforensics / folder).mkdir(exist_ok=True)
    for name, pairs in split.items():
        (faceforensics / folder / f"{name}.json").write_text(json.dumps(pairs))
    said = ok("faceforensics", faceforensics, tmp_path / "out", "--compression", "c23")
    assert "left out 0 of 39 files" in said
    out = tmp_path / "out"
    assert "val/fake/FaceSwap/006_007.mp4" in files(out, "val")
    assert len(files(out, "val")) == 2 + 2 * 2
    assert len(files(out, "test")) == 4 + 4 * 2
    link = out / "test/fake/Deepfakes/008_009.mp4"
    assert link.is_symlink()
    assert link.read_text().startswith("manipulated_sequences/Deepfakes/c23")
    people = rows(out / "people.csv")
    assert people["train/fake/FaceSwap/002_003.mp4"] == "youtube-002;youtube-003"
    assert people["train/real/youtube/002.mp4"] == "youtube-002"
    assert people["train/fake/DeepFakeDetection/01_02__walk__ABCD1234.mp4"] == "actor-01;actor-02"
    # What it wrote is what training and evaluation read.
    found = find_media_files(out, one_class_suffices=False)
    sides = [{one for file in found if file.part is part for one in file.people} for part in Part]
    assert sides[0]
    assert sides[1] == {"youtube-006", "youtube-007"}
    assert not sides[0] & sides[1]
    tested = described(find_dataset(out / "test"))
    assert {(file.label, file.method) for file in tested.files} == {
        (Label.REAL, "youtube"), (Label.FAKE, "Deepfakes"), (Label.FAKE, "FaceSwap"),
    }  # fmt: skip
    assert {file.person for file in tested.files if "008" in file.name or "009" in file.name} == {"youtube-008"}


def test_faceforensics_as_it_is_downloaded_is_refused_as_training_data(tmp_path: Path) -> None:
    """Below real/ and fake/ its folders would be taken for people: every identity would be on both sides."""
    names = [f"train/real/youtube/{n:03}.mp4" for n in range(4)] + [
        f"train/fake/{method}/{n:03}_{n ^ 1:03}.mp4" for n in range(4) for method in METHODS
    ]
    root = touch(tmp_path / "set", names)
    with pytest.raises(DatasetError, match=r"method or a source.*deepfake-dataset import"):
        find_media_files(root, one_class_suffices=False)
    renamed = touch(tmp_path / "renamed", ["train/real/anna/000.mp4", "train/fake/mine/000_003.mp4"])
    with pytest.raises(DatasetError, match="folder mine names no person"):
        find_media_files(renamed, one_class_suffices=False)
    people = touch(tmp_path / "people", ["train/real/anna/1.mp4", "train/fake/anna/2020_01_02.mp4"])
    assert [file.people for file in find_media_files(people, one_class_suffices=False)] == [("anna",), ("anna",)]


def test_a_test_is_drawn_by_people_where_there_is_no_split(faceforensics: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        ok("faceforensics", faceforensics, tmp_path / name, "--compression", "c23", "--test-fraction", 0.4)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    ok("faceforensics", faceforensics, tmp_path / "three", "--compression", "c23", "--test-fraction", 0.4, "--seed", 4)
    assert files(tmp_path / "three") != files(tmp_path / "one")
    out = tmp_path / "one"
    here, there = (
        {one for names in rows(table).values() for one in names.split(";")}
        for table in (out / "people.csv", out / "test" / "people.csv")
    )
    assert here
    assert there
    assert not here & there
    assert len(files(out, "test")) + len(files(out, "train")) == 39
    code, said = run("faceforensics", faceforensics, tmp_path / "four")
    assert (code, "give one of them as --compression" in said) == (1, True)
    assert not (tmp_path / "four").exists()


def test_one_method_is_left_out_and_none_outweighs(faceforensics: Path, tmp_path: Path) -> None:
    options = ("--compression", "c23", "--test-fraction", 0.4, "--leave-out", "FaceSwap")
    ok("faceforensics", faceforensics, tmp_path / "out", *options)
    train, test = files(tmp_path / "out", "train"), files(tmp_path / "out", "test")
    assert not any("FaceSwap" in name for name in train)
    assert {name.split("/")[2] for name in test if "/fake/" in name} == {"FaceSwap"}
    assert any("/real/youtube/" in name for name in train)
    assert any("/real/youtube/" in name for name in test)
    ok("faceforensics", faceforensics, tmp_path / "few", "--compression", "c23", "--max-per-method", 2)
    methods = [tuple(name.split("/")[:3]) for name in files(tmp_path / "few")]
    assert max(methods.count(method) for method in methods) == 2
    code, said = run("faceforensics", faceforensics, tmp_path / "none", "--compression", "c23", "--leave-out", "GAN")
    assert (code, "there are DeepFakeDetection, Deepfakes, FaceSwap" in said) == (1, True)


def test_celebdf_with_its_test_list(tmp_path: Path) -> None:
    """Videos of the test list's people that are not on the list are left out: they would be on both sides.

    Who was swapped with one of them in a video that is left out is not.
    """
    names = [f"Celeb-real/id{n}_000{k}.mp4" for n in (0, 1, 2, 3) for k in range(2)]
    names += ["YouTube-real/00000.mp4", "YouTube-real/00001.mp4", "Celeb-synthesis/id1_id2_0000.mp4"]
    names += [f"Celeb-synthesis/id{a}_id{b}_0000.mp4" for a, b in ((0, 1), (1, 0), (2, 3), (3, 2))]
    source = touch(tmp_path / "celeb", names)
    listed = ["1 Celeb-real/id0_0000.mp4", "1 YouTube-real/00001.mp4", "0 Celeb-synthesis/id0_id1_0000.mp4"]
    (source / "List_of_testing_videos.txt").write_text("\n".join(listed) + "\n")
    said = ok("celebdf", source, tmp_path / "out")
    assert "left out 5 of 15 files" in said
    assert files(tmp_path / "out", "test") == {
        "test/real/Celeb-real/id0_0000.mp4", "test/real/YouTube-real/00001.mp4",
        "test/fake/Celeb-synthesis/id0_id1_0000.mp4",
    }  # fmt: skip
    people = rows(tmp_path / "out" / "people.csv")
    assert people["train/fake/Celeb-synthesis/id2_id3_0000.mp4"] == "celeb-id2;celeb-id3"
    assert people["train/real/YouTube-real/00000.mp4"] == "youtube-00000"
    assert "train/real/Celeb-real/id0_0001.mp4" not in people
    assert "train/fake/Celeb-synthesis/id1_id2_0000.mp4" not in people
    listed += [f"0 Celeb-synthesis/id{a}_id{b}_0000.mp4" for a, b in ((2, 3), (3, 2))]
    (source / "List_of_testing_videos.txt").write_text("\n".join(listed) + "\n")
    assert "move its list of test files away" in run("celebdf", source, tmp_path / "none")[1].replace("\n", " ")


def test_dfdc_joins_fakes_with_their_originals(tmp_path: Path) -> None:
    names = [f"dfdc_train_part_{n}/{name}.mp4" for n in range(3) for name in (f"real{n}", f"fake{n}a", f"fake{n}b")]
    source = touch(tmp_path / "dfdc", names)
    for n in range(3):
        said = {
            f"real{n}.mp4": {"label": "REAL", "split": "train"},
            **{f"fake{n}{x}.mp4": {"label": "FAKE", "split": "train", "original": f"real{n}.mp4"} for x in "ab"},
            "missing.mp4": {"label": "FAKE", "split": "train", "original": "elsewhere.mp4"},
        }
        (source / f"dfdc_train_part_{n}" / "metadata.json").write_text(json.dumps(said))
    ok("dfdc", source, tmp_path / "out", "--test-fraction", 0.3)
    test = rows(tmp_path / "out" / "test" / "people.csv")
    assert len(test) == 3
    assert len(set(test.values())) == 1
    assert set(rows(tmp_path / "out" / "method.csv").values()) == {"dfdc"}
    (source / "dfdc_train_part_0" / "metadata.json").write_text(json.dumps({"real0.mp4": {"split": "test"}}))
    code, said = run("dfdc", source, tmp_path / "none")
    assert (code, "does not say of real0.mp4 whether" in said) == (1, True), said


def test_folders_whose_levels_are_named(tmp_path: Path) -> None:
    names = [f"real/cam/anna{n}/{k}.mp4" for n in range(4) for k in range(2)]
    names += [f"fake/swap/{n:03}_{(n + 1) % 4:03}/{k}.mp4" for n in range(4) for k in range(2)]
    names += ["fake/loose.mp4"]
    source = touch(tmp_path / "mine", names)
    code, said = run("folder", source, tmp_path / "out")
    assert (code, "say with --levels what each level is" in said) == (1, True)
    ok("folder", source, tmp_path / "out", "--levels", "method/person", "--test-fraction", 0)
    people = rows(tmp_path / "out" / "people.csv")
    assert people["train/real/cam/anna0__1.mp4"] == "anna0"
    assert people["train/fake/swap/000_001__0.mp4"] == "000;001"
    assert people["train/fake/fake/loose.mp4"] == "file fake/loose.mp4"
    code, said = run("folder", source, tmp_path / "other", "--levels", "method/name")
    assert (code, "a level is one of method, person, -" in said) == (1, True)


def test_a_list_in_place_of_links(faceforensics: Path, tmp_path: Path) -> None:
    ok("faceforensics", faceforensics, tmp_path / "out", "--compression", "c23", "--form", "list")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["files.csv"]
    with (tmp_path / "out" / "files.csv").open(newline="") as stream:
        listed = list(csv.DictReader(stream))
    assert len(listed) == 39
    row = next(row for row in listed if row["file"].endswith("fake/FaceSwap/004_005.mp4"))
    assert (row["label"], row["method"], row["person"]) == ("fake", "FaceSwap", "youtube-004;youtube-005")
    assert Path(row["source"]).read_text().startswith("manipulated_sequences")


def test_what_is_refused(faceforensics: Path, tmp_path: Path) -> None:
    joined = touch(tmp_path / "joined", ["Celeb-real/id0_0000.mp4", "Celeb-synthesis/id0_id1_0000.mp4"])
    (tmp_path / "there").mkdir()
    for arguments, reason in (
        (("celebdf", faceforensics, tmp_path / "x"), "as Celeb-DF has"),
        (("dfdc", faceforensics, tmp_path / "x"), "as DFDC has"),
        (("faceforensics", joined, tmp_path / "x"), "as FaceForensics++ has"),
        (("celebdf", joined, tmp_path / "x"), "shares people with another one"),
        (("celebdf", joined, tmp_path / "there"), "is there already"),
    ):
        code, said = run(*arguments)
        assert (code, reason in said) == (1, True), said
    assert not (tmp_path / "x").exists()

"""Releases: named by their content, switched atomically, damage noticed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from export.errors import ReleaseError
from export.release import (
    Release,
    find_release,
    open_partial,
    promote,
    publish,
    read_release,
    release_id_of,
    verify_files,
)
from tests.service import ROOT


@pytest.fixture
def copy(tiny_release: Release, tmp_path: Path) -> Release:
    shutil.copytree(tiny_release.path, tmp_path / tiny_release.path.name)
    return read_release(tmp_path / tiny_release.path.name)


def test_a_release_is_complete_and_named_by_its_hash(tiny_release: Release) -> None:
    assert tiny_release.path.name == tiny_release.release_id
    names = {p.relative_to(tiny_release.repository).as_posix() for p in tiny_release.repository.rglob("*")}
    assert {
        "classifier/config.pbtxt",
        "classifier/labels.txt",
        "classifier/1/model.onnx",
        "classifier/1/model.py",
        "preprocess/config.pbtxt",
        "preprocess/1/preprocess.json",
        "preprocess/1/face_detection_short_range.tflite",
        "preprocess/1/face_detection_full_range_sparse.tflite",
        "deepfake_detector/config.pbtxt",
        "deepfake_detector/1",
    } <= names
    assert "model_warmup" in (tiny_release.repository / "classifier" / "config.pbtxt").read_text()
    report = json.loads((tiny_release.path / "export_report.json").read_text())
    assert report["release_id"] == tiny_release.release_id
    assert report["parity"]["max_dp"] <= report["parity"]["tolerance"]["max_dp"] == 1e-5
    verify_files(tiny_release)


def test_current_is_switched_in_one_step(tiny_release: Release, tmp_path: Path) -> None:
    """A reader that looks again and again never finds the link missing."""
    releases = [Release(tmp_path / name, tiny_release.manifest) for name in ("one", "two")]
    for release in releases:
        release.path.mkdir()
    promote(releases[0])
    for turn in range(200):
        promote(releases[turn % 2])
        assert (tmp_path / "current").readlink() == Path(releases[turn % 2].path.name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["current", "one", "two"]


@pytest.mark.parametrize(
    "name",
    ["classifier/1/model.onnx", "preprocess/1/preprocess.json", "preprocess/1/face_detection_short_range.tflite"],
)
def test_a_changed_file_is_noticed(name: str, copy: Release) -> None:
    path = copy.repository / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ReleaseError, match=name):
        verify_files(copy)


def test_a_missing_and_an_added_file_are_noticed(copy: Release) -> None:
    (copy.repository / "classifier" / "1" / "model.py").unlink()
    (copy.repository / "classifier" / "1" / "sneaked_in.py").write_text("")
    with pytest.raises(ReleaseError, match=r"classifier/1/model.py, classifier/1/sneaked_in.py"):
        verify_files(copy)


@pytest.mark.parametrize(
    ("before", "after"),
    [('\\"trained\\": false', '\\"trained\\": true'), ('value: "FAKE_PROBABILITY"', 'value: "SOMETHING_ELSE"')],
)
def test_a_changed_ensemble_config_is_noticed(before: str, after: str, copy: Release) -> None:
    """It decides verdicts and says whether the weights are trained."""
    config = copy.repository / "deepfake_detector" / "config.pbtxt"
    text = config.read_text()
    assert before in text
    config.write_text(text.replace(before, after))
    with pytest.raises(ReleaseError, match=r"deepfake_detector/config.pbtxt"):
        verify_files(copy)


def test_a_manifest_that_was_edited_is_noticed(copy: Release) -> None:
    manifest = json.loads((copy.path / "release.json").read_text())
    manifest["description"]["verdict_bands"]["image"]["fake_above"] = 0.99
    (copy.path / "release.json").write_text(json.dumps(manifest))
    with pytest.raises(ReleaseError, match="does not match its own hash"):
        read_release(copy.path)


def test_a_link_to_a_folder_that_is_not_named_after_its_release_is_refused(copy: Release) -> None:
    other = copy.path.rename(copy.path.with_name("other"))
    current = other.with_name("current")
    current.symlink_to(other.name)
    with pytest.raises(ReleaseError, match=f"leads to other, the folder of release {copy.release_id}"):
        read_release(current)
    current.unlink()
    current.symlink_to(current.name)
    with pytest.raises(ReleaseError, match="holds no release"):
        read_release(current)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"release_id": 1}'])
def test_a_damaged_manifest_is_no_release(content: str, copy: Release) -> None:
    (copy.path / "release.json").write_text(content)
    with pytest.raises(ReleaseError, match="damaged"):
        read_release(copy.path)
    keys = copy.path.parent / ".keys"
    keys.mkdir()
    (keys / "key").write_text(copy.path.name)
    assert find_release(copy.path.parent, "key") is None


def test_what_a_killed_export_left_behind_is_removed_and_a_running_one_is_not(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys\n"
        "from export.release import open_partial\n"
        "with open_partial(pathlib.Path(sys.argv[1])) as partial:\n"
        "    (partial / 'half').mkdir()\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=False)
    assert len(list(tmp_path.iterdir())) == 2  # the folder and its lock
    with open_partial(tmp_path) as running, open_partial(tmp_path) as second:
        assert running.is_dir()
        assert len([p for p in tmp_path.iterdir() if p.is_dir()]) == 2
        assert second != running
    assert list(tmp_path.iterdir()) == []


def test_publishing_the_same_release_twice_keeps_the_first_and_finds_it_by_both_keys(tmp_path: Path) -> None:
    description: dict[str, object] = {}
    manifest = {"release_id": release_id_of(description, {}), "files": {}, "description": description}
    inodes = set()
    for key in ("one", "two"):
        with open_partial(tmp_path) as partial:
            inodes.add(publish(partial, tmp_path, manifest, key).path.stat().st_ino)
    assert len(inodes) == 1
    found = [find_release(tmp_path, key) for key in ("one", "two", "three")]
    assert [release and release.release_id for release in found] == [manifest["release_id"]] * 2 + [None]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReleaseError, match="file"), open_partial(tmp_path / "file"):
        pass

import hashlib
import shutil
from pathlib import Path

import pytest

from evaluation.dataset import UNREADABLE, Label, find_dataset
from evaluation.errors import DatasetError
from evaluation.people import described


def write(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def test_files_are_found_recursively_and_labelled(tmp_path: Path) -> None:
    files = {"real/b.jpg": b"1", "real/deep/er/a.MP4": b"2", "fake/c.png": b"3", "fake/notes.txt": b"4", "x.jpg": b"5"}
    dataset = find_dataset(write(tmp_path, files))
    assert [(file.name, file.label) for file in dataset.files] == [
        ("real/b.jpg", Label.REAL),
        ("real/deep/er/a.MP4", Label.REAL),
        ("fake/c.png", Label.FAKE),
    ]
    assert (dataset.count(Label.REAL), dataset.count(Label.FAKE)) == (2, 1)
    assert dataset.files[2].sha256 == hashlib.sha256(b"3").hexdigest()


def test_the_digest_by_hand(tmp_path: Path) -> None:
    dataset = find_dataset(write(tmp_path, {"real/a.jpg": b"1", "fake/b.jpg": b"2"}))
    one, two = (hashlib.sha256(content).hexdigest() for content in (b"1", b"2"))
    lines = "".join(sorted([f"{one} real\n", f"{two} fake\n"]))
    assert dataset.digest == hashlib.sha256(lines.encode()).hexdigest()


def test_the_digest_depends_on_content_and_labels_and_on_nothing_else(tmp_path: Path) -> None:
    def digest(name: str, files: dict[str, bytes]) -> str:
        return find_dataset(write(tmp_path / name, files)).digest

    first = digest("1", {"real/a.jpg": b"1", "fake/b.jpg": b"2"})
    assert digest("2", {"real/sub/z.png": b"1", "fake/y.mp4": b"2"}) == first
    in_one_order = digest("5", {"real/a.jpg": b"1", "real/b.jpg": b"2", "fake/c.jpg": b"3"})
    assert digest("6", {"real/a.jpg": b"2", "real/b.jpg": b"1", "fake/c.jpg": b"3"}) == in_one_order
    assert digest("3", {"real/a.jpg": b"2", "fake/b.jpg": b"1"}) != first
    assert digest("4", {"real/a.jpg": b"1", "fake/b.jpg": b"2", "fake/c.jpg": b"2"}) != first


def test_duplicates_and_contradictions_are_counted(tmp_path: Path) -> None:
    files = {"real/a.jpg": b"1", "real/b.jpg": b"1", "real/c.jpg": b"1", "fake/d.jpg": b"1", "fake/e.jpg": b"2"}
    dataset = find_dataset(write(tmp_path, files))
    assert (dataset.duplicates, dataset.contradictions) == (2, 1)


def test_a_file_that_cannot_be_read_stays_in_the_set(tmp_path: Path) -> None:
    write(tmp_path, {"real/a.jpg": b"1", "fake/b.jpg": b"2"})
    (tmp_path / "fake" / "gone.jpg").symlink_to(tmp_path / "nowhere")
    dataset = find_dataset(tmp_path)
    assert dataset.count(Label.FAKE) == 2
    assert dataset.files[-1].sha256 == UNREADABLE


@pytest.mark.parametrize(
    ("files", "error", "says"),
    [
        ({"real/a.jpg": b"1"}, DatasetError, "fake/"),
        ({"a.jpg": b"1"}, DatasetError, "real/ and no folder fake/"),
        ({"real/a.jpg": b"1", "fake": b"a file"}, DatasetError, "fake/"),
        ({"real/a.jpg": b"1", "fake/a.txt": b"1"}, DatasetError, "fake"),
    ],
)
def test_what_is_no_data_set(tmp_path: Path, files: dict[str, bytes], error: type[DatasetError], says: str) -> None:
    with pytest.raises(error, match=says):
        find_dataset(write(tmp_path, files))


def test_no_directory(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no directory"):
        find_dataset(tmp_path / "none")


def test_many_folders_are_no_methods(tmp_path: Path) -> None:
    for number in range(31):
        for label in ("real", "fake"):
            (tmp_path / label / f"p{number}").mkdir(parents=True)
            (tmp_path / label / f"p{number}" / "1.jpg").write_bytes(b"x")
    assert {file.method for file in described(find_dataset(tmp_path)).files} == {""}
    (tmp_path / "method.csv").write_text("file,method\nfake/p3/1.jpg,gan\n")
    assert {file.method for file in described(find_dataset(tmp_path)).files} == {"", "gan"}
    shutil.rmtree(tmp_path / "fake" / "p30")
    shutil.rmtree(tmp_path / "real" / "p30")
    assert len({file.method for file in described(find_dataset(tmp_path)).files}) == 31

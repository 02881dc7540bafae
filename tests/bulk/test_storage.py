from pathlib import Path

import fsspec
import pytest

from bulk.errors import OutputError
from bulk.storage import LocalStorage, Storage, open_storage


@pytest.fixture(params=["local", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "local":
        return open_storage(str(tmp_path / "out"))
    fsspec.filesystem("memory").store.clear()
    return open_storage("memory://bucket/out/")


def test_what_is_written_is_read_and_listed(storage: Storage) -> None:
    assert storage.names("rows") == []
    assert not storage.exists("rows/b")
    storage.write("rows/b", b"1")
    storage.write("rows/deep/a", b"2")
    storage.write("rows/b", b"3")
    storage.write("rowsmore/c", b"4")
    assert storage.names("rows") == ["b", "deep/a"]
    assert storage.read("rows/b") == b"3"
    assert storage.exists("rows/b")
    with pytest.raises(FileNotFoundError):
        storage.read("rows/nothing")


def test_deleting_what_is_not_there_is_nothing(storage: Storage) -> None:
    storage.write("marks/a/1", b"")
    storage.delete("marks/a/1")
    storage.delete("marks/a/1")
    assert storage.names("marks") == []
    storage.write("marks/a/2", b"")
    storage.write("marks/b/3", b"")
    storage.delete_folder("marks/a")
    storage.delete_folder("marks/a")
    assert storage.names("marks") == ["b/3"]


def test_a_write_that_fails_half_way_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = LocalStorage(tmp_path)
    storage.write("rows/a", b"old")

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        storage.write("rows/a", b"new and longer")
    assert storage.read("rows/a") == b"old"
    assert storage.names(".") == ["rows/a"]


@pytest.mark.parametrize("location", ["http://host/folder", "hdfs://name/folder", "ftp://host/folder"])
def test_a_store_that_can_show_half_of_a_file_is_no_output(location: str) -> None:
    with pytest.raises(OutputError, match="give a directory, or a folder of an object store"):
        open_storage(location)

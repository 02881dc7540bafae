from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from bulk.stores import MediaName, MediaNotReadError, open_anywhere
from deepfake_client import Detector, create_detector
from deepfake_client.batch.scoring import detect_files
from deepfake_client.errors import MediaNotFoundError
from tests.inference_server import InferenceServer, jpeg


@pytest.fixture
def detector(server: InferenceServer) -> Iterator[Detector]:
    with create_detector(server.url) as made:
        yield made


def test_an_object_is_scored_as_the_file_that_it_is(
    detector: Detector, store: "fsspec.AbstractFileSystem", tmp_path: Path
) -> None:
    content = jpeg("p=0.75")
    (tmp_path / "a.jpg").write_bytes(content)
    store.pipe("/bucket/a b#?.jpg", content)
    names = [MediaName(tmp_path / "a.jpg"), MediaName("memory://bucket/a b#?.jpg")]
    local, remote = detect_files(detector, names, open_file=open_anywhere)
    assert local.output is not None
    assert remote.output is not None
    assert remote.output.metadata == local.output.metadata
    assert (str(remote.path), str(local.path)) == ("memory://bucket/a b#?.jpg", str(tmp_path / "a.jpg"))


def test_what_is_said_of_an_object_calls_it_by_its_name(detector: Detector, store: "fsspec.AbstractFileSystem") -> None:
    store.pipe("/bucket/a.jpg", b"text")
    names = [MediaName("memory://bucket/a.jpg"), MediaName("memory://bucket/none.jpg")]
    wrong, missing = detect_files(detector, names, open_file=open_anywhere)
    assert (wrong.error_code, missing.error_code) == ("UNSUPPORTED_MEDIA", "MEDIA_NOT_FOUND")
    assert wrong.error_message.startswith("memory://bucket/a.jpg: a text file; send an image")
    assert missing.error_message.startswith("memory://bucket/none.jpg: no such file")


def test_a_store_that_fails_is_told_from_a_file_that_is_not_there(
    store: "fsspec.AbstractFileSystem", monkeypatch: pytest.MonkeyPatch
) -> None:
    store.pipe("/bucket/a.jpg", b"content")

    def fails(*args: object, **others: object) -> object:
        raise OSError("slow down")

    monkeypatch.setattr(type(store), "open", fails)
    opened = open_anywhere(MediaName("memory://bucket/a.jpg"))
    with pytest.raises(MediaNotReadError, match=r"memory://bucket/a\.jpg: slow down"), opened:
        pass
    assert issubclass(MediaNotReadError, MediaNotFoundError)

import os
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bulk.errors import BulkError
from bulk.listing import read_listing
from deepfake_client.batch.inputs import find_media


def test_a_directory_is_scanned_as_deepfake_detect_scans_it(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/1.jpg", "a.MP4", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    listing = read_listing(str(tmp_path))
    assert listing == [str(path) for path in find_media([str(tmp_path)])]
    assert {Path(name).name for name in listing} == {"2.png", "1.jpg", "a.MP4"}


def test_a_relative_directory_is_named_so_that_every_machine_understands_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jpg").touch()
    monkeypatch.chdir(tmp_path)
    assert read_listing(".") == [str(tmp_path / "a.jpg")]
    assert read_listing("*.jpg") == [str(tmp_path / "a.jpg")]


@pytest.mark.parametrize("separator", ["\n", "\0", "\r\n"])
def test_a_text_names_each_file_once_however_it_is_written(
    tmp_path: Path, separator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # a bucket of Amazon's would be asked for its region
    names = [
        "/m/a.jpg",
        "s3://bucket/a b#c?.jpg",
        "/m/a.jpg",
        "file:///m/a.jpg",
        "/m/./b%20.jpg",
        "s3://bucket/a b#c?.jpg",
    ]
    (tmp_path / "list.txt").write_bytes(separator.join(names).encode())
    assert read_listing(str(tmp_path / "list.txt")) == ["/m/a.jpg", "s3://bucket/a b#c?.jpg", "/m/b%20.jpg"]


def test_names_that_are_no_utf8_are_kept(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"/m/\xff.jpg\n")
    assert [os.fsencode(name) for name in read_listing(str(tmp_path / "list.txt"))] == [b"/m/\xff.jpg"]


def test_csv_and_parquet_name_files_in_a_column(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text('id,uri\n1,"/m/a, b.jpg"\n2,/m/c.jpg\n')
    pq.write_table(pa.table({"id": [1, 2], "uri": ["/m/a, b.jpg", "/m/c.jpg"]}), tmp_path / "list.parquet")
    pq.write_table(pa.table({"only": [b"/m/a, b.jpg", b"/m/c.jpg"]}), tmp_path / "bytes.parquet")
    for name in ("list.csv", "list.parquet", "bytes.parquet"):
        assert read_listing(str(tmp_path / name)) == ["/m/a, b.jpg", "/m/c.jpg"], name
    (tmp_path / "two.csv").write_text("left,right\n/m/a.jpg,/m/b.jpg\n")
    assert read_listing(str(tmp_path / "two.csv"), "right") == ["/m/b.jpg"]


@pytest.mark.parametrize(
    ("name", "content", "column", "reason"),
    [
        ("two.csv", b"left,right\n/a,/b\n", "middle", "cannot read the listing .*middle"),
        ("gap.csv", b"file,n\n/a,1\n,2\n", None, "a row names no file in the column file"),
        ("bad.parquet", b"PAR1 not", None, "cannot read the listing"),
        ("empty.txt", b"\n\n", None, "names no image or video"),
        ("odd.txt", b"gopher://a/b.jpg\n", None, "Protocol not known: gopher"),
    ],
)
def test_a_listing_that_makes_no_sense_is_refused(
    tmp_path: Path, name: str, content: bytes, column: str | None, reason: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BulkError, match=reason):
        read_listing(str(tmp_path / name), column)


def test_a_missing_listing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BulkError, match=r"cannot read the listing .*nothing\.txt"):
        read_listing(str(tmp_path / "nothing.txt"))


def test_a_folder_of_a_store_is_scanned(store: "fsspec.AbstractFileSystem") -> None:
    for name in ("photos/x/b.JPG", "photos/a b.png", "photos/readme.md", "other/c.jpg"):
        store.pipe(f"/{name}", b"x")
    assert read_listing("memory://photos/") == ["memory://photos/a b.png", "memory://photos/x/b.JPG"]


def test_a_list_in_a_store_must_not_be_relative(store: "fsspec.AbstractFileSystem") -> None:
    store.pipe("/lists/one.txt", b"memory://photos/a.jpg\n")
    store.pipe("/lists/two.txt", b"photos/a.jpg\n")
    assert read_listing("memory://lists/one.txt") == ["memory://photos/a.jpg"]
    with pytest.raises(BulkError, match=r"names 'photos/a.jpg': a listing in a store must hold URIs"):
        read_listing("memory://lists/two.txt")

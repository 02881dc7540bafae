"""Paths: what lies outside the media root is refused, what is no regular file inside is skipped and never blocks."""

import errno
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.media.media_root import MediaRoot, OutsideRootError, UnreadableFileError
from tests.gateway.conftest import Gateway
from tests.inference_server import jpeg


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.jpg"
    path.write_bytes(jpeg("p=0.99"))
    return path


@pytest.mark.parametrize(
    "path",
    [
        "../secret.jpg",
        "../does-not-exist.jpg",
        "sub/../../secret.jpg",
        "./../media/../secret.jpg",
        "missing/../../secret.jpg",
        "/etc/passwd",
        "/no/such/file",
        "/",
        "..",
        "//etc/passwd",
        "/proc/self/environ",
        "/proc/self/root/etc/passwd",
        "/dev/zero",
        "/dev/stdin",
        "../media-other/a.jpg",
        "sub/" * 300 + "../" * 302 + "etc/passwd",
    ],
)
def test_outside_is_refused_alike_whether_it_exists_or_not(gateway: Gateway, secret: Path, path: str) -> None:
    assert secret.exists()
    (gateway.media_root / "sub").mkdir()
    (gateway.media_root.parent / "media-other").mkdir()
    paths = [*gateway.frames([0.5]), path]
    response = gateway.infer(mediaType="VIDEO", extractedFrames=paths)
    assert response.status_code == 403
    assert response.json["code"] == "PATH_OUTSIDE_MEDIA_ROOT"
    reference = gateway.infer(mediaType="VIDEO", extractedFrames=[paths[0], "/nonexistent"]).json
    assert {**response.json, "request_id": ""} == {**reference, "request_id": ""}
    assert gateway.server.received == []


def test_absolute_path_to_a_secret_is_refused(gateway: Gateway, secret: Path) -> None:
    assert gateway.infer(mediaType="IMAGE", extractedFrames=str(secret)).status_code == 403


def test_paths_that_are_not_sampled_are_checked_too(gateway: Gateway) -> None:
    paths = gateway.frames([0.5] * 40)
    paths[1] = "../outside.jpg"  # of 40 frames, index 1 is sampled neither by an image nor by a video
    for media_type in ("IMAGE", "VIDEO"):
        response = gateway.infer(mediaType=media_type, extractedFrames=paths, include=["frames"])
        assert response.status_code == 403, media_type


def test_sampling_of_40_leaves_an_index_out(gateway: Gateway) -> None:
    body = gateway.infer(mediaType="VIDEO", extractedFrames=gateway.frames([0.5] * 40), include=["frames"]).json
    left_out = set(range(40)) - {frame["index"] for frame in body["frames"]}
    assert left_out
    paths = gateway.frames([0.5] * 40)
    paths[min(left_out)] = "../outside.jpg"
    assert gateway.infer(mediaType="VIDEO", extractedFrames=paths).status_code == 403


def test_symlinks_are_judged_by_where_they_lead(gateway: Gateway, secret: Path) -> None:
    gateway.write("sub/real.jpg", "p=0.25")
    (gateway.media_root / "inside.jpg").symlink_to(gateway.media_root / "sub" / "real.jpg")
    (gateway.media_root / "inside-folder").symlink_to("sub")
    (gateway.media_root / "outside.jpg").symlink_to(secret)
    (gateway.media_root / "outside-folder").symlink_to(secret.parent)
    (gateway.media_root / "outside-missing.jpg").symlink_to("/no/such/file")
    for path in ("inside.jpg", "inside-folder/real.jpg"):
        assert gateway.infer(mediaType="IMAGE", extractedFrames=path).json["video_score"] == 25.0, path
    for path in ("outside.jpg", "outside-folder/secret.jpg", "outside-folder/missing.jpg", "outside-missing.jpg"):
        assert gateway.infer(mediaType="IMAGE", extractedFrames=path).status_code == 403, path


def test_a_symlink_that_may_not_be_read_is_refused(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_keys: object) -> str:
        raise PermissionError(13, "Permission denied")

    (gateway.media_root / "link.jpg").symlink_to("target.jpg")
    monkeypatch.setattr(os, "readlink", refuse)  # what root may read in /proc, another user may not
    assert gateway.infer(mediaType="IMAGE", extractedFrames="link.jpg").status_code == 403


def test_root_that_is_itself_a_symlink(gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(gateway.media_root)
    gateway.configure(media_root=tmp_path / "alias")
    gateway.frames([0.25])
    for path in ("00000.jpg", str(tmp_path / "alias" / "00000.jpg"), str(gateway.media_root / "00000.jpg")):
        assert gateway.infer(mediaType="IMAGE", extractedFrames=path).status_code == 200, path


@pytest.mark.timeout(20)
def test_what_is_no_readable_file_is_skipped_at_once(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    root = gateway.media_root
    os.mkfifo(root / "fifo.jpg")
    (root / "folder.jpg").mkdir()
    (root / "loop.jpg").symlink_to("loop.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(root)  # the name of a socket is short
        listener.bind("socket.jpg")
        odd = ["fifo.jpg", "folder.jpg", "loop.jpg", "socket.jpg", "missing.jpg", "00000.jpg/x", "", ".", "n" * 300]
        paths = [*gateway.frames([0.25]), *odd]
        body = gateway.infer(mediaType="VIDEO", extractedFrames=paths, include=["frames"]).json
    assert [frame["status"] for frame in body["frames"]] == ["OK"] + ["UNREADABLE"] * len(odd)
    assert body["video_score"] == 25.0


def test_names_in_any_script(gateway: Gateway) -> None:
    for name in ("кадр.jpg", "フレーム 1.jpg", "a\u0301.jpg", "-rf.jpg", "new\nline.jpg", "%2e%2e.jpg", "...jpg"):
        gateway.write(name, "p=0.25")
        response = gateway.infer(mediaType="IMAGE", extractedFrames=name, include=["frames"])
        assert response.json["frames"][0]["path"] == name


def test_too_large_a_file_is_skipped_with_its_own_status(gateway: Gateway) -> None:
    gateway.configure(max_frame_bytes=1000)
    small, large = gateway.write("small.jpg", "p=0.25"), gateway.write("large.jpg", b"x" * 1001)
    body = gateway.infer(mediaType="VIDEO", extractedFrames=[small, large], include=["frames"]).json
    assert [frame["status"] for frame in body["frames"]] == ["OK", "TOO_MANY_BYTES"]


def test_frames_too_large_together_are_413(gateway: Gateway) -> None:
    gateway.configure(max_total_frame_bytes=2500)
    paths = [gateway.write(f"{index}.jpg", b"x" * 1000) for index in range(3)]
    assert gateway.infer(mediaType="VIDEO", extractedFrames=paths[:2]).status_code == 200
    response = gateway.infer(mediaType="VIDEO", extractedFrames=paths)
    assert (response.status_code, response.json["code"]) == (413, "FRAMES_TOO_LARGE")


def test_a_component_swapped_for_a_symlink_after_the_check_is_not_followed(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    for folder in (outside, root / "sub"):
        folder.mkdir(parents=True)
        (folder / "a.jpg").write_bytes(folder.name.encode())
    media = MediaRoot(root)
    components = media.resolve("sub/a.jpg")
    assert media.read(components, 100) == b"sub"
    (root / "sub").rename(root / "moved")
    (root / "sub").symlink_to(outside)
    with pytest.raises(UnreadableFileError):
        media.read(components, 100)
    (root / "sub").unlink()
    (root / "sub").mkdir()
    (root / "sub" / "a.jpg").symlink_to(outside / "a.jpg")
    with pytest.raises(UnreadableFileError):
        media.read(components, 100)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["symlink", "fifo"])
def test_a_file_swapped_between_its_check_and_its_opening_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "a.jpg").write_bytes(b"public")
    real_stat = os.stat

    def stat_then_swap(name: str, **keys: Any) -> os.stat_result:
        result = real_stat(name, **keys)
        (root / "a.jpg").unlink()
        if kind == "fifo":
            os.mkfifo(root / "a.jpg")
        else:
            (root / "a.jpg").symlink_to(tmp_path / "secret")
        return result

    media = MediaRoot(root)
    components = media.resolve("a.jpg")
    monkeypatch.setattr("gateway.media.media_root.os.stat", stat_then_swap)
    with pytest.raises(UnreadableFileError):
        media.read(components, 100)


@pytest.mark.timeout(20)
def test_swapping_while_reading_never_leaks(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    root = tmp_path / "root"
    root.mkdir()
    name = root / "a.jpg"
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            name.unlink(missing_ok=True)
            name.write_bytes(b"public")
            name.unlink()
            name.symlink_to(tmp_path / "secret")

    thread = threading.Thread(target=swap)
    thread.start()
    media, contents = MediaRoot(root), set()
    try:
        for _ in range(2000):
            try:
                contents.add(media.read(media.resolve("a.jpg"), 100))
            except (OutsideRootError, UnreadableFileError):
                continue
    finally:
        stop.set()
        thread.join()
    assert contents <= {b"public", b""}


def test_reading_leaves_no_descriptor_open(gateway: Gateway) -> None:
    gateway.infer(mediaType="IMAGE", extractedFrames=gateway.frames([0.5]))  # opens the channel
    (gateway.media_root / "folder").mkdir()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for path in ("00000.jpg", "folder", "missing", "00000.jpg/x"):
        gateway.infer(mediaType="VIDEO", extractedFrames=[path, "00000.jpg"])
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@pytest.mark.parametrize("reason", [errno.EMFILE, errno.ENFILE])
def test_a_machine_without_free_files_is_overload_and_no_bad_frame(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    paths = gateway.frames([0.1, 0.2])
    opened = os.open

    def open_all_but_one(path: str, *args: Any, **keys: Any) -> int:
        if path == paths[1]:
            raise OSError(reason, os.strerror(reason))
        return opened(path, *args, **keys)

    monkeypatch.setattr(os, "open", open_all_but_one)
    response = gateway.infer(mediaType="VIDEO", extractedFrames=paths)
    assert (response.status_code, response.json["code"]) == (503, "OVERLOADED")
    assert response.headers["Retry-After"] == "1"


@pytest.mark.parametrize("exists", [False, True])
def test_deep_paths_cost_no_more_than_short_ones(gateway: Gateway, exists: bool) -> None:
    """30 paths of 4 KB took 21 s of a processor: each component was looked up from the root again."""
    if exists:
        (gateway.media_root / "/".join("a" * 255)).mkdir(parents=True)
    for path in ("a/" * 2000 + "x", "a/" * 255 + "x"):
        took_s = []
        for _ in range(3):  # what other threads of this process do counts, too
            began_at = time.process_time()
            response = gateway.infer(mediaType="VIDEO", extractedFrames=[path] * 30)
            took_s.append(time.process_time() - began_at)
            assert response.status_code == (422 if len(path) < 1000 else 403)
        assert min(took_s) < 0.5


def test_a_link_below_a_missing_folder_s_parent_is_judged(gateway: Gateway, secret: Path) -> None:
    (gateway.media_root / "link").symlink_to(secret.parent)
    gateway.write("b/real.jpg", "p=0.25")
    for path in ("missing/../link/secret.jpg", "missing/x/../../link/secret.jpg", "b/real.jpg/../../link/secret.jpg"):
        assert gateway.infer(mediaType="IMAGE", extractedFrames=path).status_code == 403, path
    assert gateway.infer(mediaType="IMAGE", extractedFrames="missing/x/../../b/real.jpg").status_code == 200


def message_of(gateway: Gateway, path: str) -> str:
    response = gateway.infer(mediaType="IMAGE", extractedFrames=path)
    assert (response.status_code, response.json["code"]) == (422, "NOTHING_SCORED")
    assert response.json["frames"][0]["message"] in response.json["message"]
    message: str = response.json["message"]
    return message


@pytest.mark.parametrize(
    "path", ["https://cdn.example/a.jpg", "HTTP://x/a.jpg", "file:///media/a.jpg", "data:image/jpeg;base64,/9j/4A=="]
)
def test_a_url_is_told_that_paths_are_expected(gateway: Gateway, path: str) -> None:
    assert "no URLs" in message_of(gateway, path)


@pytest.mark.parametrize("path", ["C:\\frames\\a.jpg", "c:/frames/a.jpg", "uploads\\a.jpg", "\\\\server\\share\\a.jpg"])
def test_a_windows_path_is_told_what_is_expected(gateway: Gateway, path: str) -> None:
    assert "path of Windows" in message_of(gateway, path)
    gateway.write(path, "p=0.25")  # a legal name here
    assert gateway.infer(mediaType="IMAGE", extractedFrames=path).status_code == 200


def test_a_media_root_that_is_too_deep_is_noticed(gateway: Gateway, secret: Path) -> None:
    """The caller's paths begin one folder further up."""
    gateway.write("scan-1.jpg", "p=0.25")
    gateway.write("2026/empty.jpg", b"")
    (gateway.media_root / "out").symlink_to(secret.parent)
    assert "scan-1.jpg does exist: set MEDIA_ROOT to the folder that holds uploads/," in message_of(
        gateway, "uploads/scan-1.jpg"
    )
    assert "2026/empty.jpg does exist" in message_of(gateway, "backend/uploads/2026/empty.jpg")
    for path in ("uploads/scan-2.jpg", "gone.jpg", f"x/{secret.name}", f"x/out/{secret.name}", f"x{secret}"):
        assert "does exist" not in message_of(gateway, path), path

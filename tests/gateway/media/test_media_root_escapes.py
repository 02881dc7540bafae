"""Ways out of the media root, through HTTP: each refused, none telling what lies outside. See test_media_root too."""

import os
import socket
import stat
import subprocess
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.media.media_root import MediaRoot, OutsideRootError
from tests.gateway.conftest import Gateway
from tests.inference_server import jpeg

SECRET = jpeg("p=0.99")
PUBLIC = jpeg("p=0.25")


@pytest.fixture
def outside(gateway: Gateway, tmp_path: Path) -> Path:
    """A folder beside the media root with a frame nobody may have; the root holds one that everybody may."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(SECRET)
    (folder / "link").symlink_to("/usr/lib")
    gateway.write("a.jpg", PUBLIC)
    gateway.write("sub/a.jpg", PUBLIC)
    return folder


def infer(gateway: Gateway, path: str) -> Any:
    return gateway.infer(mediaType="IMAGE", extractedFrames=path, include=["frames"])


def is_refused(gateway: Gateway, path: str) -> None:
    response = infer(gateway, path)
    assert (response.status_code, response.json["code"]) == (403, "PATH_OUTSIDE_MEDIA_ROOT"), path
    reference = infer(gateway, "/nowhere").json
    assert {**response.json, "request_id": ""} == {**reference, "request_id": ""}
    assert gateway.server.received == []


REFUSED = [
    "../outside/a.jpg",
    "sub/../../outside/a.jpg",
    "a.jpg/../../outside/a.jpg",
    "missing/../../outside/a.jpg",
    ".//.//../outside//a.jpg",
    "../" * 1000 + "etc/passwd",
    "/proc/self/environ",
    "/proc/self/cwd/pyproject.toml",
    "/proc/self/fd/0",
    "/proc/1/root/etc/passwd",
    "/proc/thread-self/maps",
    "/dev/fd/0",
    "/dev/zero",
    "/dev/random",
    "/dev/tty",
    "/sys/kernel/notes",
    "~/.ssh/id_rsa/../../../../etc/passwd",
    "../media-evil/a.jpg",
    "/" + "x" * 300,
    "x/" * 2500,
    "a.jpg" + "/../a.jpg" * 1000,
]


@pytest.mark.parametrize("path", REFUSED, ids=lambda path: path[:40])
def test_a_way_out_is_refused(gateway: Gateway, outside: Path, path: str) -> None:
    is_refused(gateway, path)


HARMLESS = [
    "%2e%2e/outside/a.jpg",
    "..%2foutside%2fa.jpg",
    "%252e%252e/outside/a.jpg",
    "..\\outside\\a.jpg",
    "..;/outside/a.jpg",
    ".../outside/a.jpg",
    ". ./outside/a.jpg",
    ".. /outside/a.jpg",
    "\uff0e\uff0e/outside/a.jpg",  # fullwidth full stops
    "\u2025/outside/a.jpg",  # two dot leader
    "..\u2215outside\u2215a.jpg",  # division slash
    "..\uff0foutside\uff0fa.jpg",  # fullwidth solidus
    "\u202e../outside/a.jpg",
    "file:///etc/passwd",
    "http://127.0.0.1:5000/health",
    "$HOME/a.jpg",
    "~root/.bashrc",
    "a.jpg ",
    "A.JPG",
    "a.jpg\n",
    "C:\\outside\\a.jpg",
    "n" * 256 + ".jpg",
]


@pytest.mark.parametrize("path", HARMLESS, ids=ascii)
def test_what_only_looks_like_a_way_out_is_a_name_below_the_root(gateway: Gateway, outside: Path, path: str) -> None:
    """Nothing decodes, folds or normalises a path: such a file does not exist, so the frame cannot be read."""
    for form in ("NFC", "NFD"):
        response = infer(gateway, unicodedata.normalize(form, path))
        assert (response.status_code, response.json["frames"][0]["status"]) == (422, "UNREADABLE")
    assert gateway.server.received == []


def test_names_in_two_normal_forms_are_two_names(gateway: Gateway) -> None:
    composed, decomposed = "\u00e4.jpg", "a\u0308.jpg"
    gateway.write(composed, "p=0.25")
    assert infer(gateway, composed).status_code == 200
    assert infer(gateway, decomposed).status_code == 422


@pytest.mark.parametrize("path", ["a.jpg\0", "\0", "../outside/a.jpg\0.jpg", "a.jpg\0/../../outside/a.jpg"])
def test_a_nul_is_malformed(gateway: Gateway, outside: Path, path: str) -> None:
    response = infer(gateway, path)
    assert (response.status_code, response.json["code"]) == (400, "MALFORMED_REQUEST")


@pytest.mark.parametrize("raw", ['"\\ud800.jpg"', '"\\udcff/../../outside/a.jpg"'])
def test_half_a_character_is_malformed(gateway: Gateway, outside: Path, raw: str) -> None:
    body = f'{{"mediaType": "IMAGE", "extractedFrames": {raw}}}'
    response = gateway.http.post("/api/v1/inference", data=body, content_type="application/json")
    assert (response.status_code, response.json["code"]) == (400, "MALFORMED_REQUEST")


def symlinks(root: Path, outside: Path) -> dict[str, str]:
    """Paths below the root and where a symlink there points to."""
    return {
        "absolute.jpg": str(outside / "a.jpg"),
        "relative.jpg": "../outside/a.jpg",
        "folder": str(outside),
        "root": "/",
        "proc": "/proc/self",
        "up": "..",
        "chain1": "chain2",
        "chain2": "chain3",
        "chain3": "../outside",
        "missing.jpg": "/nowhere/at/all",
    }


@pytest.mark.parametrize(
    "path",
    ["absolute.jpg", "relative.jpg", "folder/a.jpg", "folder", "root/etc/passwd", "proc/environ", "proc/cwd",
     "up/outside/a.jpg", "chain1/a.jpg", "chain1/link/x", "missing.jpg", "sub/../folder/a.jpg",
     "root/proc/self/environ"],
)  # fmt: skip
def test_a_symlink_that_leads_out_is_refused(gateway: Gateway, outside: Path, path: str) -> None:
    for name, target in symlinks(gateway.media_root, outside).items():
        (gateway.media_root / name).symlink_to(target)
    is_refused(gateway, path)


def test_symlinks_that_stay_inside_are_followed(gateway: Gateway, outside: Path) -> None:
    root = gateway.media_root
    (root / "deep").mkdir()
    (root / "deep" / "to-sub").symlink_to("../sub")
    (root / "absolute").symlink_to(root / "sub")
    (root / "in-and-out").symlink_to(f"../{root.name}/sub")
    for path in (
        "deep/to-sub/a.jpg",
        "absolute/a.jpg",
        "in-and-out/a.jpg",
        "deep/to-sub/../a.jpg",
        str(root / "a.jpg"),
    ):
        assert infer(gateway, path).json["video_score"] == 25.0, path


def test_loops_of_symlinks_end(gateway: Gateway, outside: Path) -> None:
    root = gateway.media_root
    for name, target in {"self": "self", "ping": "pong", "pong": "ping", "tree": "sub/../tree/x", "dot": "."}.items():
        (root / name).symlink_to(target)
    for path in ("self", "self/a.jpg", "ping", "tree", "tree/a.jpg", "dot/" * 50 + "a.jpg"):
        response = infer(gateway, path)
        assert (response.status_code, response.json["frames"][0]["status"]) == (422, "UNREADABLE"), path
    assert infer(gateway, "dot/dot/a.jpg").status_code == 200


def test_the_answer_does_not_tell_what_is_outside(gateway: Gateway, outside: Path, tmp_path: Path) -> None:
    """A path that leaves the root and comes back would else tell files, folders and symlinks from nothing."""
    back = f"{gateway.media_root.name}/a.jpg"
    answers = {
        middle: infer(gateway, f"../{middle}/../{back}").status_code
        for middle in ("outside", "outside/a.jpg/..", "outside/link/..", "outside/nothing/..", "nothing")
    }
    assert len(set(answers.values())) == 1, answers
    absolute = {
        middle: infer(gateway, f"{middle}/../..{gateway.media_root}/a.jpg").status_code
        for middle in ("/usr/bin", "/no/way", "/proc/self", "/etc/passwd", "/proc/self/exe/..", "/no/way/either/..")
    }
    assert len(set(absolute.values())) == 1, absolute


def test_outside_the_root_nothing_is_looked_at(
    gateway: Gateway, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the time of an answer cannot tell either."""
    (gateway.media_root / "out").symlink_to(outside)
    touched: list[str] = []
    readlink = os.readlink

    def watch(name: str) -> None:
        real: Callable[..., Any] = getattr(os, name)

        def watched(path: Any, *args: Any, **keys: Any) -> Any:
            folder = readlink(f"/proc/self/fd/{keys['dir_fd']}") if keys.get("dir_fd") else ""
            touched.append(str(Path(folder, path)) if not isinstance(path, int) else "")
            return real(path, *args, **keys)

        monkeypatch.setattr(os, name, watched)

    media = MediaRoot(gateway.media_root)
    for name in ("open", "readlink"):  # what the module uses beside them takes descriptors
        watch(name)
    for path in ["out/a.jpg", "../outside/a.jpg", "../outside/link/x", f"{outside}/a.jpg", *REFUSED]:
        with pytest.raises(OutsideRootError):
            media.resolve(path)
    root = str(gateway.media_root)
    assert touched, "the root itself is looked at"
    assert [path for path in touched if not f"{path}/".startswith(f"{root}/")] == []
    monkeypatch.undo()


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_device(path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero
    except PermissionError:
        pytest.skip("only root makes devices")


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(path))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("make", [make_fifo, make_device, make_socket, Path.mkdir], ids=lambda make: make.__name__)
def test_what_is_no_regular_file_is_never_opened_for_reading(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None]
) -> None:
    monkeypatch.chdir(gateway.media_root)  # the name of a socket is short
    make(gateway.media_root / "odd.jpg")
    (gateway.media_root / "link.jpg").symlink_to("odd.jpg")
    for path in ("odd.jpg", "link.jpg"):
        response = infer(gateway, path)
        assert (response.status_code, response.json["frames"][0]["status"]) == (422, "UNREADABLE")


def test_a_hard_link_is_a_file_like_any_other(gateway: Gateway, outside: Path) -> None:
    """Decided: see media_root.py. Linux lets nobody link to files that he may not write (fs.protected_hardlinks)."""
    os.link(outside / "a.jpg", gateway.media_root / "hard.jpg")
    assert infer(gateway, "hard.jpg").json["video_score"] == 99.0


DEEP = "turn/" + "d/" * 60 + "a.jpg"
"""Its folders are checked one by one, which leaves time for a swap between the check and the opening."""

SWAP = """
import os, sys
os.chdir(sys.argv[1])
while True:
    for kind in ("real", "way-out"):
        os.rename(kind, "turn")
        os.rename("turn", kind)
"""


@pytest.fixture
def swapping(gateway: Gateway, outside: Path) -> Iterator[None]:
    """A process that makes `turn` a folder of the root and a symlink out of it, by turns."""
    root = gateway.media_root
    for folder, content in ((root / "real", PUBLIC), (outside, SECRET)):
        frame = folder / Path(DEEP).relative_to("turn")
        frame.parent.mkdir(parents=True)
        frame.write_bytes(content)
    (root / "way-out").symlink_to(outside)
    process = subprocess.Popen([sys.executable, "-I", "-c", SWAP, str(root)])
    yield
    process.kill()
    process.wait()


@pytest.mark.timeout(60)
def test_a_folder_that_is_swapped_for_a_symlink_while_requests_run(
    gateway: Gateway, outside: Path, swapping: None
) -> None:
    outcomes = Counter[int]()
    give_up = time.monotonic() + 20
    while (outcomes[200] < 20 or outcomes[403] < 100 or outcomes[422] < 100) and time.monotonic() < give_up:
        response = infer(gateway, DEEP)
        outcomes[response.status_code] += 1
        if response.status_code == 200:
            assert response.json["video_score"] == 25.0
    assert set(outcomes) == {200, 403, 422}, "read, found outside, or swapped meanwhile"
    assert SECRET not in {image for received in gateway.server.received for image in received.images}


GROW = """
import sys, time
start, chunk = bytes.fromhex(sys.argv[2]), bytes(1000)
while True:
    with open(sys.argv[1], "wb", buffering=0) as file:
        file.write(start)
        for _ in range(30):
            file.write(chunk)
            time.sleep(0.0003)
"""


@pytest.mark.timeout(60)
def test_a_file_that_grows_while_it_is_read(gateway: Gateway) -> None:
    gateway.configure(max_frame_bytes=20_000)
    path = gateway.media_root / "growing.jpg"
    path.write_bytes(PUBLIC)
    process = subprocess.Popen([sys.executable, "-I", "-c", GROW, str(path), PUBLIC.hex()])
    statuses = Counter[str]()
    give_up = time.monotonic() + 20
    try:
        while (statuses["OK"] < 100 or statuses["TOO_MANY_BYTES"] < 100) and time.monotonic() < give_up:
            response = infer(gateway, "growing.jpg")
            assert response.status_code in (200, 422), response.json
            statuses[response.json["frames"][0]["status"]] += 1
    finally:
        process.kill()
        process.wait()
    assert {"OK", "TOO_MANY_BYTES"} <= set(statuses) <= {"OK", "TOO_MANY_BYTES", "UNREADABLE", "EMPTY"}
    assert max(len(image) for received in gateway.server.received for image in received.images) <= 20_000


def test_a_path_of_many_folders_costs_little(gateway: Gateway, outside: Path) -> None:
    """The longest paths that are followed, as many as a body holds."""
    paths = ["sub/../" * 127 + "a.jpg"] * 900
    started = time.process_time()
    response = gateway.infer(mediaType="VIDEO", extractedFrames=paths)
    assert response.status_code == 200
    assert time.process_time() - started < 10

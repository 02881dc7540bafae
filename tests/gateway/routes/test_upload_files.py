"""Temporary files of uploads: bounded, without a name, and gone after every outcome, a killed gateway included."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from deploy.process import children_of
from tests.gateway.gateway_process import GatewayProcess, run_gateway
from tests.inference_server import InferenceServer, jpeg

MAX_BODY_BYTES = 4_000_000
BOUNDARY = b"frontier"
PART = b'--frontier\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
END = b"\r\n--frontier--\r\n"
LARGE = jpeg("p=0.9") + b"\0" * 1_500_000  # werkzeug keeps uploads of less than 500 KB in memory

# Where a file system has no files without a name (O_TMPFILE), Python makes one with a name and removes that at once.
WITHOUT_TMPFILE = "import tempfile\ntempfile._O_TMPFILE_WORKS = False\n"


@pytest.fixture(params=["O_TMPFILE", "named at first"])
def gateway(
    request: pytest.FixtureRequest, server: InferenceServer, tmp_path: Path
) -> Iterator[tuple[GatewayProcess, Path]]:
    """A gateway and the folder of its temporary files."""
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    search = [str(tmp_path / "patch"), *filter(None, [os.environ.get("PYTHONPATH")])]
    (tmp_path / "patch").mkdir()
    if request.param != "O_TMPFILE":
        (tmp_path / "patch" / "sitecustomize.py").write_text(WITHOUT_TMPFILE)
    settings = {"TMPDIR": str(uploads), "MAX_BODY_BYTES": str(MAX_BODY_BYTES), "PYTHONPATH": ":".join(search)}
    with run_gateway(server, tmp_path, **settings) as running:
        yield running, uploads


def open_files(process: int, folder: Path) -> list[int]:
    """Sizes in bytes of the files of a folder that a process has open, those without a name included."""
    sizes = []
    for descriptor in (Path("/proc") / str(process) / "fd").iterdir():
        try:
            if os.readlink(descriptor).startswith(f"{folder}/"):  # noqa: PTH115
                sizes.append(descriptor.stat().st_size)
        except FileNotFoundError:
            continue
    return sizes


def open_anywhere(gateway: GatewayProcess, folder: Path) -> list[int]:
    processes = [gateway.process.pid, *children_of(gateway.process.pid)]
    return [size for process in processes for size in open_files(process, folder)]


def wait_for(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    give_up = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def begin_upload(gateway: GatewayProcess, announced: int, sent: bytes) -> socket.socket:
    """An upload that stops in its middle."""
    connection = socket.create_connection(("127.0.0.1", gateway.port), timeout=10)
    head = (
        "POST /detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=frontier\r\n"
        f"Content-Length: {announced}\r\n\r\n"
    )
    connection.sendall(head.encode() + PART + sent)
    return connection


def post(gateway: GatewayProcess, content: bytes, boundary: bytes = BOUNDARY) -> int:
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary.decode()}"}
    return requests.post(f"{gateway.url}/detect", data=content, headers=headers, timeout=20).status_code


def send_endlessly(gateway: GatewayProcess) -> bytes:
    """Chunks of a body whose length was never told, until the gateway has enough."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
        head = b"POST /detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=frontier\r\n"
        connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(PART), PART))
        chunk = b"10000\r\n" + b"\0" * 0x10000 + b"\r\n"
        try:
            for _ in range(10 * MAX_BODY_BYTES // 0x10000):
                connection.sendall(chunk)
        except OSError:
            pass  # closed on us
        try:
            return connection.recv(100)
        except OSError:
            return b""


def test_nothing_is_left_of_an_upload(gateway: tuple[GatewayProcess, Path]) -> None:
    _after_any_outcome(*gateway)
    _by_a_gateway_that_is_killed(*gateway)


def _after_any_outcome(running: GatewayProcess, uploads: Path) -> None:
    largest, over = [0], threading.Event()

    def watch() -> None:
        while not over.is_set():
            largest[0] = max([largest[0], sum(open_anywhere(running, uploads))])
            time.sleep(0.002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        parts = PART + LARGE + END
        assert post(running, parts) == 200
        assert post(running, PART + b"junk" * 400_000 + END) == 415
        assert post(running, PART + jpeg("status=6") + b"\0" * 1_500_000 + END) == 422
        assert post(running, PART + b"\0" * (MAX_BODY_BYTES + 1) + END) == 413
        assert post(running, parts[:-30]) == 400, "cut off"
        assert post(running, parts, boundary=b"another") == 413, "all of it is preamble"
        assert post(running, (PART + LARGE + b"\r\n") * 2 + END) == 400, "two files"
        other = PART.replace(b'"file"', b'"other"')
        assert post(running, PART + LARGE + b"\r\n" + (other + b"x" * 10 + b"\r\n") * 40 + END) == 413, "too many parts"
        assert post(running, other + LARGE + END) == 400
        assert send_endlessly(running)[:12] in (b"HTTP/1.1 413", b"")
        with begin_upload(running, 3_000_000, LARGE):
            wait_for(lambda: sum(open_anywhere(running, uploads)) > 1_000_000)
        wait_for(lambda: open_anywhere(running, uploads) == [])
    finally:
        over.set()
        watcher.join()
    assert list(uploads.iterdir()) == []
    assert 1_000_000 < largest[0] <= 2 * MAX_BODY_BYTES, "as received, and the file out of it"
    assert requests.get(f"{running.url}/health", timeout=5).status_code == 200


def _by_a_gateway_that_is_killed(running: GatewayProcess, uploads: Path) -> None:
    with begin_upload(running, 3_000_000, LARGE), begin_upload(running, 3_900_000, LARGE + LARGE):
        wait_for(lambda: sum(open_files(running.process.pid, uploads)) > 4_000_000)
        assert list(uploads.iterdir()) == [], "the files have no names"
        running.process.kill()
        running.process.wait(10)
    assert list(uploads.iterdir()) == []

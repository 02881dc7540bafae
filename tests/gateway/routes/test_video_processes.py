"""Videos are decoded in processes of their own, over a real server: what hangs or dies there harms nobody."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from deploy.process import children_of
from gateway import GatewaySettings
from tests.gateway.conftest import Gateway
from tests.gateway.gateway_process import run_gateway
from tests.gateway.routes.test_detect import upload, video
from tests.inference_server import InferenceServer, inference_server, jpeg
from tests.media import VideoSpec, write_long_video


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with (
        inference_server() as server,
        run_gateway(server, tmp_path_factory.mktemp("gateway"), VIDEO_DECODE_S="3") as running,
    ):
        yield running.url


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Takes long enough to be caught at it."""
    spec = VideoSpec(100, size=(1280, 720), rate=30, options={"preset": "ultrafast", "g": "100"})
    return write_long_video(tmp_path_factory.mktemp("long") / "long.mp4", spec, repeats=30).read_bytes()


def send(url: str, content: bytes) -> requests.Response:
    return requests.post(f"{url}/detect", files={"file": content}, timeout=30)


def gateway_pid(url: str) -> int:
    """The process that a test started; those of other tests may run as well."""
    setting = f"PORT={url.rpartition(':')[2]}".encode()
    for pid in children_of(os.getpid()):
        with contextlib.suppress(OSError):  # a child of another test that has just ended
            if setting in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                return pid
    raise LookupError(url)


def helpers(below: int) -> list[int]:
    """The processes below another one that fork the decoders."""
    found = []
    for pid in children_of(below):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        found += [pid] if b"deepfake_client.video.decode_process" in command else helpers(pid)
    return found


def decoders(url: str) -> list[int]:
    return [pid for helper in helpers(gateway_pid(url)) for pid in children_of(helper)]


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def wait_for(found: Callable[[], Any]) -> Any:
    give_up = time.monotonic() + 20
    while not (value := found()):
        assert time.monotonic() < give_up
        time.sleep(0.002)
    return value


def test_a_hung_video_is_422_and_neither_its_neighbours_nor_the_next_one_notice(url: str, long: bytes) -> None:
    assert send(url, video()).status_code == 200
    with ThreadPoolExecutor(1) as pool:
        hung = pool.submit(send, url, long)
        (pid,) = wait_for(lambda: decoders(url))
        os.kill(pid, signal.SIGSTOP)
        assert send(url, video()).status_code == 200
        assert send(url, jpeg("p=0.9")).status_code == 200
        assert requests.get(f"{url}/health", timeout=5).status_code == 200
        answer = hung.result()
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] == "DECODE_TIMEOUT"
    assert "takes longer than 3 s" in answer.json()["message"]
    assert answer.elapsed.total_seconds() < 7
    assert send(url, video()).status_code == 200
    wait_for(lambda: not Path(f"/proc/{pid}").exists())


def test_a_crash_is_422(url: str, long: bytes) -> None:
    with ThreadPoolExecutor(1) as pool:
        crashed = pool.submit(send, url, long)
        (pid,) = wait_for(lambda: decoders(url))
        os.kill(pid, signal.SIGSEGV)
        answer = crashed.result()
    assert (answer.status_code, answer.json()["code"]) == (422, "MEDIA_DECODE_FAILED")
    assert "crashed" in answer.json()["message"]
    assert send(url, video()).status_code == 200


def test_a_lost_helper_is_replaced(url: str) -> None:
    assert send(url, video()).status_code == 200
    (helper,) = helpers(gateway_pid(url))
    os.kill(helper, signal.SIGKILL)
    assert send(url, video()).status_code == 200
    assert helpers(gateway_pid(url)) != [helper]


def test_no_decoder_outlives_the_gateway(long: bytes, tmp_path: Path, server: InferenceServer) -> None:
    with run_gateway(server, tmp_path) as gateway, ThreadPoolExecutor(1) as pool:
        url = gateway.url
        sent = pool.submit(send, url, long)
        (decoder,) = wait_for(lambda: decoders(url))
        helper = parent_of(decoder)
        os.kill(decoder, signal.SIGSTOP)
        parent = parent_of(helper)
        os.kill(parent, signal.SIGKILL)
        for pid in (helper, decoder):
            wait_for(lambda pid=pid: not Path(f"/proc/{pid}").exists())
        with pytest.raises(requests.ConnectionError):
            sent.result()


def test_it_can_be_switched_off(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepfake_client.isolation.tasks.subprocess", None)
    gateway.configure(video_decode_process=False)
    assert upload(gateway, video(4)).status_code == 200
    assert GatewaySettings(media_root=gateway.media_root).video_decode_process

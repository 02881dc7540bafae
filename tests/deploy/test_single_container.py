"""`python -m deploy.single_container` as a plain process, and the size of /dev/shm it makes do with."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from deepfake_client import create_detector
from deploy.errors import PreflightError
from deploy.process import children_of
from deploy.single_container import limits_for
from deploy.triton.shared_memory import SHM
from export.release import Release
from runtime.free_ports import free_ports
from tests.deploy.test_compose import SERVICES
from tests.media import photo
from tests.service import ROOT, service_environment

COMMAND = [sys.executable, "-m", "deploy.single_container"]
START_TIMEOUT_S = 120.0


def environment(releases: Path, folder: Path, **extra: str) -> dict[str, str]:
    port, http, grpc, metrics = (str(port) for port in free_ports(4))
    media = folder / "media"
    media.mkdir(exist_ok=True)
    settings = {
        "PORT": port, "DEEPFAKE_TRITON_HTTP_PORT": http, "DEEPFAKE_TRITON_GRPC_PORT": grpc,
        "DEEPFAKE_TRITON_METRICS_PORT": metrics,
        "MEDIA_ROOT": str(media), "DEEPFAKE_RELEASES_DIR": str(releases), "DEEPFAKE_CACHE_DIR": str(folder / "cache"),
    }  # fmt: skip
    return service_environment(**{**settings, **extra})


@contextmanager
def run(env: dict[str, str], folder: Path) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    log = folder / "container.log"
    with log.open("wb") as output:
        process = subprocess.Popen(COMMAND, cwd=ROOT, env=env, stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while "ready on port" not in log.read_text("utf-8", "replace"):
            assert process.poll() is None, log.read_text("utf-8", "replace")[-4000:]
            assert time.monotonic() < deadline, log.read_text("utf-8", "replace")[-4000:]
            time.sleep(0.1)
        yield process, log
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(40)


def run_to_its_end(env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(COMMAND, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=60)


def await_restart_of_triton(pid: int, log: Path) -> None:
    """Kills it, and waits until it is there again."""
    (triton,) = (p for p in children_of(pid) if "tritonserver" in Path(f"/proc/{p}/cmdline").read_text("utf-8"))
    os.kill(triton, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while "Triton answers again" not in log.read_text("utf-8", "replace"):
        assert time.monotonic() < deadline, log.read_text("utf-8", "replace")[-4000:]
        time.sleep(0.1)


def test_it_serves_the_image_s_release_restarts_triton_and_stops_cleanly(tiny_release: Release, tmp_path: Path) -> None:
    releases = tiny_release.path.parent
    env = environment(releases, tmp_path)
    before = sorted(p.name for p in releases.iterdir())
    with run(env, tmp_path) as (process, log):
        url = f"http://127.0.0.1:{env['PORT']}"
        with photo("astronaut.png").open("rb") as stream:
            answer = requests.post(f"{url}/detect", files={"file": stream}, timeout=60)
        assert answer.status_code == 200, answer.text
        assert answer.json()["metadata"]["model"]["release_id"] == tiny_release.release_id
        _, _, *arguments = SERVICES["gateway"]["healthcheck"]["test"]
        subprocess.run([sys.executable, *arguments], env=env, check=True)
        # The processes' own output, for `docker logs`.
        assert "gateway.access" in log.read_text("utf-8", "replace")
        assert "Started GRPCInferenceService" in log.read_text("utf-8", "replace")
        await_restart_of_triton(process.pid, log)
        output = create_detector(f"127.0.0.1:{env['DEEPFAKE_TRITON_GRPC_PORT']}").detect(photo("astronaut.png"))
        assert 0 <= output.confidence_score <= 1
        children = list(children_of(process.pid))
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0
    assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []
    assert sorted(p.name for p in releases.iterdir()) == before  # the image's file system is not written


@pytest.mark.parametrize("setting", ["CHECKPOINT", "MODEL_PATH", "DEEPFAKE_REVISION"])
def test_another_model_than_the_image_s_is_refused(tiny_release: Release, tmp_path: Path, setting: str) -> None:
    done = run_to_its_end(environment(tiny_release.path.parent, tmp_path, **{setting: "someone/some-model"}))
    assert done.returncode == 1
    assert "the model is part of the image; build it with --build-arg" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_image_without_a_release_says_so(tmp_path: Path) -> None:
    done = run_to_its_end(environment(tmp_path / "releases", tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("deepfake: ")
    assert "Traceback" not in done.stderr


def statvfs(monkeypatch: pytest.MonkeyPatch, mib: int) -> None:
    real = os.statvfs(SHM)
    fields = list(real)
    fields[0], fields[1], fields[4] = 4096, 4096, mib * 256
    monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result(fields))


def test_the_shared_memory_of_a_plain_docker_run_gets_smaller_limits(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    statvfs(monkeypatch, 64)
    limits = limits_for(SHM, {"DEEPFAKE_MAX_IN_FLIGHT": "1", "DEEPFAKE_MAX_FRAME_BYTES": ""})
    assert limits["DEEPFAKE_MAX_FRAME_BYTES"] == str(8 * 2**20)
    assert "DEEPFAKE_MAX_IN_FLIGHT" not in limits  # the user's own stays
    said = capfd.readouterr().out
    assert "has 64 MiB" in said
    assert "--shm-size=1g" in said


def test_enough_shared_memory_changes_nothing_and_too_little_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    statvfs(monkeypatch, 512)
    assert limits_for(SHM, {}) == {}
    statvfs(monkeypatch, 16)
    with pytest.raises(PreflightError, match="--shm-size"):
        limits_for(SHM, {})


def test_no_shared_memory_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match="is not there"):
        limits_for(tmp_path / "nowhere", {})

"""`python -m deploy.triton_container` as a plain process: it serves, breaks loudly, stops cleanly."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deepfake_client import create_detector
from deploy.process import children_of
from deploy.triton.shared_memory import SHM, start_time
from export.release import CURRENT, Release, promote, read_config
from runtime.free_ports import free_ports
from tests.media import photo
from tests.service import ROOT, service_environment
from tests.wrong_golden import wrongly_golden

START_TIMEOUT_S = 120.0
COMMAND = [sys.executable, "-m", "deploy.triton_container"]


@dataclass(frozen=True)
class Container:
    """A running process 1.

    Attributes:
        process: It.
        env: Its environment.
        log: File with its output and Triton's.
        run_dir: Where it keeps its state.
    """

    process: "subprocess.Popen[bytes]"
    env: dict[str, str]
    log: Path
    run_dir: Path

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.env['DEEPFAKE_TRITON_GRPC_PORT']}"

    def triton_pid(self) -> int:
        (pid,) = children_of(self.process.pid)
        return pid

    def stub_pids(self) -> list[int]:
        return [pid for pid, state in children_of(self.triton_pid()).items() if state not in "ZX"]

    def regions(self) -> list[Path]:
        prefixes = [record.stem for record in self.run_dir.glob("deepfake_*.json")]
        return [r for r in SHM.iterdir() if any(r.name.startswith(prefix) for prefix in prefixes)]

    def check(self, *options: str) -> "subprocess.CompletedProcess[str]":
        """The container's health check."""
        return subprocess.run(
            [*COMMAND, "check", *options],
            cwd=ROOT,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


def environment(releases: Path, folder: Path, **extra: str) -> dict[str, str]:
    http, grpc, metrics = (str(port) for port in free_ports(3))
    ports = {
        "DEEPFAKE_TRITON_HTTP_PORT": http,
        "DEEPFAKE_TRITON_GRPC_PORT": grpc,
        "DEEPFAKE_TRITON_METRICS_PORT": metrics,
    }
    return service_environment(
        **{**ports, "DEEPFAKE_RELEASES_DIR": str(releases), "DEEPFAKE_CACHE_DIR": str(folder), **extra}
    )


@contextmanager
def run_container(releases: Path, folder: Path, *options: str, **extra: str) -> Iterator[Container]:
    """Starts process 1 and waits until it says that it is ready; kills what is left at the end."""
    env = environment(releases, folder, **extra)
    log = folder / "container.log"
    with log.open("wb") as output:
        process = subprocess.Popen([*COMMAND, *options], cwd=ROOT, env=env, stdout=output, stderr=subprocess.STDOUT)
    container = Container(process, env, log, folder / "run")
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while "a real inference succeeded" not in log.read_text("utf-8", "replace"):
            assert process.poll() is None, log.read_text("utf-8", "replace")[-4000:]
            assert time.monotonic() < deadline, log.read_text("utf-8", "replace")[-4000:]
            time.sleep(0.1)
        yield container
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(40)


def run_to_its_end(releases: Path, folder: Path, **extra: str) -> "subprocess.CompletedProcess[str]":
    env = environment(releases, folder, **extra)
    return subprocess.run(COMMAND, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=60)


def await_gone(pids: list[int], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while left := [pid for pid in pids if start_time(pid) is not None]:
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.05)


def test_it_scores_images_and_stops_cleanly(tiny_release: Release, tmp_path: Path) -> None:
    with run_container(tiny_release.path.parent, tmp_path) as container:
        output = create_detector(container.grpc).detect(photo("astronaut.png"))
        assert 0 <= output.confidence_score <= 1
        healthy = container.check()
        assert (healthy.returncode, healthy.stderr) == (0, "")
        stubs, regions = container.stub_pids(), container.regions()
        pids = [container.process.pid, container.triton_pid(), *stubs]
        assert len(regions) == len(stubs) > 0
        started = time.monotonic()
        container.process.send_signal(signal.SIGTERM)
        assert container.process.wait(40) == 0
        assert time.monotonic() - started < 15
    await_gone(pids)
    assert [region for region in regions if region.exists()] == []
    assert list(container.run_dir.glob("*.json")) == []
    unhealthy = container.check()
    assert unhealthy.returncode == 1
    assert unhealthy.stderr.startswith("triton: ")
    assert "Traceback" not in unhealthy.stderr


def test_it_fails_when_a_model_process_dies(tiny_release: Release, tmp_path: Path) -> None:
    # No canary within the test: the dead process itself must be noticed.
    with run_container(tiny_release.path.parent, tmp_path, DEEPFAKE_CANARY_INTERVAL_S="600") as container:
        stubs, regions = container.stub_pids(), container.regions()
        triton = container.triton_pid()
        killed = time.monotonic()
        os.kill(stubs[-1], signal.SIGKILL)
        assert container.process.wait(20) == 1
        assert time.monotonic() - killed < 10
    await_gone([triton, *stubs])
    assert f"triton: Triton lost the model process {stubs[-1]}" in container.log.read_text("utf-8", "replace")
    assert [region for region in regions if region.exists()] == []


def test_it_fails_when_inferences_hang(tiny_release: Release, tmp_path: Path) -> None:
    """A stopped process is not dead: the canary notices, or the watch on states where that comes first."""
    with run_container(tiny_release.path.parent, tmp_path, DEEPFAKE_CANARY_INTERVAL_S="0.2") as container:
        stubs = container.stub_pids()
        for pid in stubs:
            os.kill(pid, signal.SIGSTOP)
        assert container.process.wait(60) == 1
    await_gone(stubs)
    log = container.log.read_text("utf-8", "replace")
    assert "Triton fails canary inferences" in log or "Triton has a process that is stopped" in log


def test_it_fails_when_the_server_dies(tiny_release: Release, tmp_path: Path) -> None:
    with run_container(tiny_release.path.parent, tmp_path) as container:
        stubs, regions = container.stub_pids(), container.regions()
        os.kill(container.triton_pid(), signal.SIGKILL)
        assert container.process.wait(20) == 1
    await_gone(stubs)
    assert "Triton ended with code -9" in container.log.read_text("utf-8", "replace")
    assert [region for region in regions if region.exists()] == []


def test_no_release(tmp_path: Path) -> None:
    done = run_to_its_end(tmp_path, tmp_path)
    assert done.returncode == 1
    assert "holds no release" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_damaged_release(tiny_release: Release, tmp_path: Path) -> None:
    releases = tmp_path / "releases"
    shutil.copytree(tiny_release.path.parent, releases, symlinks=True)
    (releases / CURRENT / "model_repository" / "classifier" / "labels.txt").write_text("Real\nFake\n")
    done = run_to_its_end(releases, tmp_path)
    assert done.returncode == 1
    assert "is damaged (classifier/labels.txt)" in done.stderr


def test_golden_images_decide_whether_a_release_is_served(golden_release: Release, tmp_path: Path) -> None:
    releases = tmp_path / "releases"
    shutil.copytree(golden_release.path.parent, releases, symlinks=True)
    with run_container(releases, tmp_path) as container:
        assert container.check().returncode == 0
        next(container.run_dir.glob("proved-*")).unlink()  # as before they are scored
        unproved = container.check()
        assert (unproved.returncode, "golden images have not been scored" in unproved.stderr) == (1, True)
    promote(wrongly_golden(golden_release, releases))
    done = run_to_its_end(releases, tmp_path / "wrong")
    assert done.returncode == 1
    assert "golden image real-1" in done.stderr
    assert "ready" not in done.stdout
    assert not list((tmp_path / "wrong" / "run").glob("proved-*"))


def test_a_wrong_setting(tmp_path: Path) -> None:
    done = run_to_its_end(tmp_path, tmp_path, DEEPFAKE_TRITON_GRPC_PORT="grpc")
    assert done.returncode == 2
    assert done.stderr.startswith("triton: DEEPFAKE_TRITON_GRPC_PORT: ")


def test_it_imports_neither_torch_nor_anything_that_its_image_lacks() -> None:
    code = "import deploy.triton_container, sys; print(*{m.split('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & {"torch", "transformers", "optimum", "onnx", "flask", "gateway"} == set()


def test_dead_orphans_are_reaped_and_the_server_is_not() -> None:
    # In a process of its own: it reaps every dead child.
    code = (
        "import os, subprocess, sys, time\n"
        "from deploy.process import children_of\n"
        "from deploy.supervisor import reap_orphans\n"
        "server, *_ = [subprocess.Popen([sys.executable, '-c', 'exit(7)']) for _ in range(3)]\n"
        "while list(children_of(os.getpid()).values()) != ['Z'] * 3:\n"
        "    time.sleep(0.02)\n"
        "reap_orphans({server.pid})\n"
        "assert list(children_of(os.getpid())) == [server.pid]\n"
        "assert server.wait() == 7\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, check=True, timeout=60)


def test_a_server_that_only_preprocesses_has_no_other_process_and_ends_with_one_of_its_own(
    tiny_release: Release, tmp_path: Path
) -> None:
    config = read_config(tiny_release.repository / "preprocess" / "config.pbtxt")
    with run_container(tiny_release.path.parent, tmp_path, "--only-preprocess") as container:
        assert len(container.stub_pids()) == config.instance_group[0].count
        checked = container.check("--only-preprocess")
        assert (checked.returncode, checked.stderr) == (0, "")
        assert container.check().returncode == 1
        os.kill(container.stub_pids()[0], signal.SIGKILL)
        assert container.process.wait(30) == 1
    assert "lost the model process" in container.log.read_text("utf-8")

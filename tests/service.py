"""Runs the deployed service for integration tests: the same command that `make serve` runs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from assets import default_cache_dir
from deploy.process import children_of
from runtime.free_ports import free_ports

ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT_S = 240.0
_LOG_TAIL = 20_000  # characters; a crash writes the stacks of all threads, and then every extension module's name
_ENDING: "list[Service]" = []


@dataclass(frozen=True)
class Service:
    """A running service.

    Attributes:
        process: The supervisor.
        port: The gateway's port.
        triton_http_port: Triton's HTTP port, 0 if it has none.
        triton_grpc_port: Triton's gRPC port.
        triton_metrics_port: Triton's metrics port.
        media_root: Folder for extractedFrames.
        output: File with what the supervisor printed.
        run_dir: Where it keeps its state.
    """

    process: "subprocess.Popen[bytes]"
    port: int
    triton_http_port: int
    triton_grpc_port: int
    triton_metrics_port: int
    media_root: Path
    output: Path
    run_dir: Path

    @property
    def url(self) -> str:
        """The gateway."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def grpc(self) -> str:
        """Triton's gRPC address."""
        return f"127.0.0.1:{self.triton_grpc_port}"

    def printed(self) -> str:
        """What the supervisor has printed so far."""
        return self.output.read_text("utf-8")

    def triton_pid(self) -> int:
        """The tritonserver process."""
        return self._child("tritonserver")

    def stub_pids(self) -> list[int]:
        """The live model processes of Triton's Python backend."""
        return [pid for pid, state in children_of(self.triton_pid()).items() if state not in "ZX"]

    def gateway_pid(self) -> int:
        """The gateway's process."""
        return self._child("-m gateway")

    def _child(self, program: str) -> int:
        for pid in children_of(self.process.pid):
            if program in Path(f"/proc/{pid}/cmdline").read_text("utf-8").replace("\0", " "):
                return pid
        raise LookupError(f"no {program} below the supervisor; it printed:\n{self.printed()}")


def service_environment(**settings: str) -> dict[str, str]:
    """The environment of a service that shares this run's cached assets but none of its state."""
    kept = {k: v for k, v in os.environ.items() if k not in ("CHECKPOINT", "MODEL_PATH", "MEDIA_ROOT", "PORT", "HOST")}
    return {**kept, **settings}


@contextmanager
def run_service(
    checkpoint: Path | None,
    releases: Path,
    folder: Path,
    extra: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    prefix: Sequence[str] = (),
    python: Path | str = sys.executable,
) -> Iterator[Service]:
    """Starts the service, waits until it says that it is ready, and asks it to end with SIGTERM.

    `prefix`: a command that ends by executing its arguments, the service's own command.
    """
    port, grpc, metrics = free_ports(3)
    media_root = folder / "media"
    media_root.mkdir(parents=True, exist_ok=True)
    cache = folder / "cache"
    cache.mkdir()
    (default_cache_dir() / "assets").mkdir(parents=True, exist_ok=True)
    (cache / "assets").symlink_to(default_cache_dir() / "assets")
    settings = {
        "PORT": str(port),
        "DEEPFAKE_TRITON_GRPC_PORT": str(grpc),
        "DEEPFAKE_TRITON_METRICS_PORT": str(metrics),
        "MEDIA_ROOT": str(media_root),
        "DEEPFAKE_RELEASES_DIR": str(releases),
        "DEEPFAKE_CACHE_DIR": str(cache),
        "DEEPFAKE_PRECISION": "fp32",  # as the tests' releases are; `auto` would try every precision at every start
        **({"CHECKPOINT": str(checkpoint)} if checkpoint else {}),
        **(extra or {}),
    }
    output = folder / "supervisor.log"
    with output.open("wb") as log:
        process = subprocess.Popen(
            [*prefix, python, "-m", "deploy.local"],
            cwd=cwd, env=service_environment(**settings), stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    http = int(settings.get("DEEPFAKE_TRITON_HTTP_PORT", 0))
    running = Service(process, port, http, grpc, metrics, media_root, output, cache / "run")
    try:
        _await_ready(running)
        yield running
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        _ENDING.append(running)


def await_ends() -> None:
    """Waits for the services that `run_service` has asked to end. Triton takes some seconds, beside the next tests."""
    while _ENDING:
        stop(_ENDING.pop())


def _await_ready(running: Service) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while "try it:" not in running.printed():
        if running.process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"the service did not start:\n{running.printed()}\n{_logs(running)}")
        time.sleep(0.1)


def _logs(running: Service) -> str:
    return "\n".join(
        f"--- {log.name}\n{log.read_text('utf-8')[-_LOG_TAIL:]}" for log in running.run_dir.glob("logs-*/*.log")
    )


def stop(running: Service, timeout_s: float = 40.0) -> int:
    """Ends the service as a service manager would; returns its exit code."""
    if running.process.poll() is None:
        running.process.send_signal(signal.SIGTERM)
    try:
        return running.process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        running.process.kill()
        running.process.wait()
        raise

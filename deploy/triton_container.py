"""`python -m deploy.triton_container`: what the Triton container runs; with `check`, its health check.

Triton never restarts a dead Python-backend process and goes on calling itself ready. So this process verifies the
release, runs Triton, watches its model processes, proves the rest by canary inferences, and ends with an error when the
server can no longer be trusted: the container's restart policy then brings a new one.
"""

import argparse
import contextlib
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import FrameType

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from deploy.canary import Canary
from deploy.errors import DeployError, StartError
from deploy.preflight import check_numpy, check_python, check_shared_memory, find_shared_libpython
from deploy.process import children_of
from deploy.shared_memory import SHM, region_prefix
from deploy.triton_wheel import (
    ServerAddresses,
    find_wheel,
    make_backend_directory,
    server_command,
    server_environment,
)
from export.errors import ExportError
from export.release import CURRENT, Release, read_release, verify_files

_POLL_S = 0.2
_CANARY_TIMEOUT_S = 10.0
_CANARY_FAILURES = 2  # in a row, before the server counts as broken
_STOP_GRACE_S = 10.0  # Triton's own --exit-timeout-secs is less


class TritonContainerSettings(BaseSettings):
    """The container's settings: environment over defaults."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    host: str = Field(default="127.0.0.1", description="Address that Triton listens on.")
    triton_http_port: int = Field(default=8000, ge=1, le=65535, description="Triton's HTTP port.")
    triton_grpc_port: int = Field(default=8001, ge=1, le=65535, description="Triton's gRPC port.")
    triton_metrics_port: int = Field(default=8002, ge=1, le=65535, description="Triton's metrics port.")
    releases_dir: Path = Field(default=Path("releases"), description="Folder of releases; `current` in it is served.")
    run_dir: Path = Field(
        default_factory=lambda: Path(tempfile.gettempdir()) / "deepfake-triton", description="Where run state is kept."
    )
    canary_interval_s: float = Field(default=5.0, gt=0, description="Pause between canary inferences.")
    start_timeout_s: float = Field(default=180.0, gt=0, description="How long Triton may take to answer at first.")

    @property
    def addresses(self) -> ServerAddresses:
        """Where Triton listens."""
        return ServerAddresses(self.host, self.triton_http_port, self.triton_grpc_port, self.triton_metrics_port)

    @property
    def grpc_url(self) -> str:
        """host:port of Triton's gRPC endpoint, from inside the container."""
        host = "127.0.0.1" if self.host == "0.0.0.0" else self.host
        return f"{host}:{self.triton_grpc_port}"


def main() -> None:
    """Exit codes: 0 stopped on request or healthy, 1 not started, broken or unhealthy, 2 usage."""
    parser = argparse.ArgumentParser(prog="python -m deploy.triton_container", description=__doc__)
    parser.add_argument("command", nargs="?", choices=("serve", "check"), default="serve")
    command = parser.parse_args().command
    try:
        settings = TritonContainerSettings()
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(str(p) for p in e['loc']).upper()}: {e['msg']}" for e in error.errors())
        print(f"triton: {problems}", file=sys.stderr)
        sys.exit(2)
    try:
        if command == "check":
            check(settings)
        else:
            serve(settings)
    except (DeployError, ExportError) as error:
        sys.exit(f"triton: {error}")


def check(settings: TritonContainerSettings) -> None:
    """Runs one real inference against the running server.

    Raises:
        DeployError: It failed.
    """
    canary = Canary(settings.grpc_url)
    try:
        if failure := canary.failure(_CANARY_TIMEOUT_S):
            raise DeployError(failure)
    finally:
        canary.close()


def serve(settings: TritonContainerSettings) -> None:
    """Runs Triton until SIGTERM or SIGINT.

    Raises:
        DeployError: The container cannot run it, or it broke.
        ExportError: There is no release, or it is damaged.
    """
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    # Before anything else: as process 1 of a container, without an init, it ignores signals that have no handler.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    check_container()
    release = current_release(settings.releases_dir)
    if stopping.is_set():
        return
    with region_prefix(settings.run_dir) as prefix:
        server = Server(settings, release, prefix)
        prober = Prober(settings.grpc_url, settings.canary_interval_s)
        prober.start()
        try:
            _watch(server, prober, stopping, settings.start_timeout_s)
            _say("stopping")
            server.end(_STOP_GRACE_S)
        finally:
            prober.stop()
            server.end(0)  # of a broken server nothing is to be expected
    _say("stopped")


def check_container() -> None:
    """Checks what an image or a `docker run` can get wrong.

    Raises:
        PreflightError: With one line that says what is wrong and what to do.
    """
    check_python(sys.version_info[:2], platform.system(), platform.machine())
    check_numpy()
    find_shared_libpython()
    check_shared_memory(SHM)


def current_release(releases_dir: Path) -> Release:
    """The release to serve, every file of it verified.

    Raises:
        ExportError: There is none, or it is damaged.
    """
    release = read_release(releases_dir / CURRENT)
    verify_files(release)
    _say(f"model {release.manifest['description']['model']}, release {release.release_id}")
    return release


def _watch(server: "Server", prober: "Prober", stopping: threading.Event, start_timeout_s: float) -> None:
    """Returns when a stop is requested.

    Raises:
        StartError: The server broke, or never answered.
    """
    deadline = time.monotonic() + start_timeout_s
    announced = False
    while not stopping.wait(_POLL_S):
        reap_orphans(server.pid)
        if reason := server.failure() or prober.failure:
            raise StartError(f"Triton {reason}")
        if announced:
            continue
        if prober.answered.is_set():
            announced = True
            server.remember_stubs()
            _say("ready: a real inference succeeded")
        elif time.monotonic() > deadline:
            raise StartError(f"Triton did not answer within {start_timeout_s:g} s")


class Server:
    """A tritonserver in a process group of its own; its log goes where this process's output goes."""

    def __init__(self, settings: TritonContainerSettings, release: Release, shm_prefix: str) -> None:
        """Starts it."""
        wheel = find_wheel()
        backends = make_backend_directory(wheel, settings.run_dir / "backends")
        self._process = subprocess.Popen(
            server_command(wheel, backends, release.repository, settings.addresses, shm_prefix),
            env=server_environment(wheel), stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self.pid = self._process.pid
        self._stubs: set[int] = set()

    def remember_stubs(self) -> None:
        """Notes the model processes; call it when an inference has just shown that all models are loaded."""
        self._stubs = self._living_children()

    def failure(self) -> str:
        """Why the server cannot be trusted any more, or ""."""
        code = self._process.poll()
        if code is not None:
            return f"ended with code {code}"
        dead = self._stubs - self._living_children()
        return f"lost the model process {min(dead)}" if dead else ""

    def end(self, grace_s: float) -> None:
        """Asks it to end, waits up to `grace_s`, then kills it and its model processes; harmless when repeated."""
        if self._process.poll() is None and grace_s > 0:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace_s)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        reap_orphans(self.pid)

    def _living_children(self) -> set[int]:
        return {pid for pid, state in children_of(self.pid).items() if state not in "ZX"}


class Prober(threading.Thread):
    """Canary inferences in a thread, so that one that waits delays neither a stop nor the watch over processes.

    Attributes:
        answered: Set by the first success.
        failure: Why the server counts as broken; "" while it does not.
    """

    def __init__(self, grpc_url: str, interval_s: float) -> None:
        super().__init__(name="prober", daemon=True)
        self.answered = threading.Event()
        self.failure = ""
        self._canary = Canary(grpc_url)
        self._interval_s = interval_s
        self._stopping = threading.Event()

    def run(self) -> None:
        """Probes until `stop`."""
        failures = 0
        while not self._stopping.wait(self._interval_s if self.answered.is_set() else _POLL_S):
            before = self._canary.completed_requests()
            reason = self._canary.failure(_CANARY_TIMEOUT_S)
            if not reason:
                failures = 0
                self.answered.set()
            elif self.answered.is_set():
                # An overloaded server may keep a canary waiting while it answers others: that is no fault.
                failures = 0 if self._progressed(before) else failures + 1
                if failures >= _CANARY_FAILURES:
                    self.failure = f"fails canary inferences ({reason})"

    def stop(self) -> None:
        """Ends the thread; a canary in flight is left behind."""
        self._stopping.set()
        self.join(1.0)

    def _progressed(self, before: int | None) -> bool:
        after = self._canary.completed_requests()
        return before is not None and after is not None and after > before


def reap_orphans(server_pid: int) -> None:
    """Reaps dead processes inherited as process 1, but not the server, whose exit code is still to be read."""
    for pid, state in children_of(os.getpid()).items():
        if state == "Z" and pid != server_pid:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} triton: {line}", flush=True)


if __name__ == "__main__":
    main()

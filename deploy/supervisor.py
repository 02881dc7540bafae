"""Keeps Triton and the gateway running: starts them in order, restarts what dies, ends them for certain.

Triton never restarts a dead Python-backend process and goes on calling itself ready, so the supervisor watches those
processes themselves, and proves the rest by canary inferences.
"""

import os
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deploy.canary import Canary
from deploy.errors import StartError
from deploy.process import Child, children_of
from deploy.settings import LocalSettings
from deploy.shared_memory import remove_regions
from deploy.triton_wheel import (
    ServerAddresses,
    find_wheel,
    make_backend_directory,
    server_command,
    server_environment,
)

_POLL_S = 0.2
_CANARY_TIMEOUT_S = 15.0
_CANARY_FAILURES = 2  # in a row, before Triton is restarted
_BACKOFF_S = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0)
_STABLE_S = 60.0  # a process that ran this long starts its back-off anew
_STOP_GRACE_S = 10.0


@dataclass
class _Restarts:
    """Back-off of one process."""

    count: int = 0
    last_start: float = 0.0

    def pause_s(self) -> float:
        if time.monotonic() - self.last_start > _STABLE_S:
            self.count = 0
        self.count += 1
        return _BACKOFF_S[min(self.count - 1, len(_BACKOFF_S) - 1)]


class Supervisor:
    """Runs one Triton and one gateway until told to stop."""

    def __init__(
        self, settings: LocalSettings, repository: Path, shm_prefix: str, say: Callable[[str], None], logs: Path
    ) -> None:
        """Starts nothing yet.

        Args:
            settings: The deployment's settings.
            repository: Model repository of the release.
            shm_prefix: Prefix of this deployment's shared memory regions.
            say: Shows one line to the user.
            logs: Folder for the processes' logs.
        """
        self._settings = settings
        self._repository = repository
        self._shm_prefix = shm_prefix
        self._say = say
        self._logs = logs
        self._wheel = find_wheel()
        self._backends = make_backend_directory(self._wheel, logs.parent / "backends")
        self._canary = Canary(settings.triton_grpc_url)
        self._stopping = threading.Event()
        self._triton: Child | None = None
        self._gateway: Child | None = None
        self._stubs: set[int] = set()
        self._restarts = {"triton": _Restarts(), "gateway": _Restarts()}
        self._canary_failures = 0
        self._next_canary = 0.0

    @property
    def stopping(self) -> bool:
        """Whether a stop was requested."""
        return self._stopping.is_set()

    def request_stop(self) -> None:
        """Ends `run` soon; safe in a signal handler."""
        self._stopping.set()

    def start(self) -> None:
        """Starts Triton, proves it with a real inference, then starts the gateway and waits until it is healthy.

        Raises:
            StartError: One of them ended or never answered; the end of its log is in the message.
        """
        self._start_triton()
        self._await(self._triton_answers, lambda: self._triton, "Triton")
        self._start_gateway()
        self._await(self._gateway_healthy, lambda: self._gateway, "the gateway")

    def run(self) -> None:
        """Watches both processes until `request_stop`."""
        self._next_canary = time.monotonic() + self._settings.canary_interval_s
        while not self._stopping.wait(_POLL_S):
            if reason := self._triton_failure():
                self._restart_triton(reason)
            elif self._gateway is not None and self._gateway.exit_code is not None:
                self._restart_gateway(f"ended with code {self._gateway.exit_code}")

    def stop(self) -> None:
        """Ends the gateway, then Triton, and removes Triton's shared memory regions."""
        self._stopping.set()
        if self._gateway is not None:
            self._gateway.end(_STOP_GRACE_S)
        if self._triton is not None:
            self._end_triton(_STOP_GRACE_S)
        self._canary.close()

    def _start_triton(self) -> None:
        settings = self._settings
        addresses = ServerAddresses(
            settings.host, settings.triton_http_port, settings.triton_grpc_port, settings.triton_metrics_port
        )
        command = server_command(self._wheel, self._backends, self._repository, addresses, self._shm_prefix)
        self._stubs = set()
        self._canary_failures = 0
        self._restarts["triton"].last_start = time.monotonic()
        self._triton = Child("triton", command, server_environment(self._wheel), self._logs / "triton.log")

    def _start_gateway(self) -> None:
        settings = self._settings
        env = {
            **os.environ,
            "HOST": settings.host,
            "PORT": str(settings.port),
            "MEDIA_ROOT": str(settings.media_root.resolve()),
            "TRITON_URL": settings.triton_grpc_url,
        }
        self._restarts["gateway"].last_start = time.monotonic()
        self._gateway = Child("gateway", [sys.executable, "-m", "gateway"], env, self._logs / "gateway.log")

    def _await(self, answers: Callable[[], bool], child: Callable[[], Child | None], name: str) -> None:
        deadline = time.monotonic() + self._settings.start_timeout_s
        while not self._stopping.is_set():
            process = child()
            if process is not None and process.exit_code is not None:
                raise StartError(f"{name} ended with code {process.exit_code}; its log ends:\n{process.log_tail()}")
            if answers():
                return
            if time.monotonic() > deadline:
                tail = process.log_tail() if process else ""
                raise StartError(f"{name} did not answer within {self._settings.start_timeout_s:g} s:\n{tail}")
            self._stopping.wait(_POLL_S)

    def _triton_answers(self) -> bool:
        if self._canary.failure(_CANARY_TIMEOUT_S):
            return False
        self._remember_stubs()
        return True

    def _remember_stubs(self) -> None:
        """Notes the model processes; it is called when a canary has just shown that all models are loaded."""
        if self._triton is not None:
            self._stubs = {pid for pid, state in children_of(self._triton.pid).items() if state not in "ZX"}

    def _gateway_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._settings.gateway_url}/health", timeout=6) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _triton_failure(self) -> str:
        """Why Triton must be restarted, or ""."""
        if self._triton is None or self._triton.exit_code is not None:
            return f"ended with code {self._triton.exit_code if self._triton else None}"
        if self._stubs:
            alive = {pid for pid, state in children_of(self._triton.pid).items() if state not in "ZX"}
            if dead := self._stubs - alive:
                return f"lost the model process {min(dead)}"
        return self._canary_verdict()

    def _canary_verdict(self) -> str:
        if time.monotonic() < self._next_canary:
            return ""
        before = self._canary.completed_requests()
        failure = self._canary.failure(_CANARY_TIMEOUT_S)
        after = self._canary.completed_requests()
        self._next_canary = time.monotonic() + self._settings.canary_interval_s
        # An overloaded server may keep a canary waiting while it answers others: that is no reason to restart it.
        makes_progress = before is not None and after is not None and after > before
        if not failure or (self._stubs and makes_progress):
            self._canary_failures = 0
            if not self._stubs:
                self._remember_stubs()
                self._say("Triton answers again")
            return ""
        if not self._stubs:
            # Loading: it answers when it can, or ends, or uses up its time.
            self._next_canary = time.monotonic() + _POLL_S
            loading_s = time.monotonic() - self._restarts["triton"].last_start
            return "never answered" if loading_s > self._settings.start_timeout_s else ""
        self._canary_failures += 1
        return f"fails canary inferences ({failure})" if self._canary_failures >= _CANARY_FAILURES else ""

    def _restart_triton(self, reason: str) -> None:
        pause_s = self._restarts["triton"].pause_s()
        self._say(f"Triton {reason}: restarting it" + (f" in {pause_s:g} s" if pause_s else ""))
        self._end_triton(0)
        if not self._stopping.wait(pause_s):
            self._start_triton()
            self._next_canary = 0.0

    def _restart_gateway(self, reason: str) -> None:
        pause_s = self._restarts["gateway"].pause_s()
        self._say(f"the gateway {reason}: restarting it" + (f" in {pause_s:g} s" if pause_s else ""))
        if self._gateway is not None:
            self._gateway.end(0)  # workers that outlive their master hold its port for seconds
        if not self._stopping.wait(pause_s):
            self._start_gateway()

    def _end_triton(self, grace_s: float) -> None:
        """Ends the server and its model processes, which share its process group, then removes their regions."""
        if self._triton is not None:
            self._triton.end(grace_s)
            self._triton = None
        remove_regions(self._shm_prefix)

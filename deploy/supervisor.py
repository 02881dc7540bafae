"""Keeps Triton and the gateway running: starts them in order, restarts what dies, ends them for certain."""

import os
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deploy.errors import StartError
from deploy.process import Child
from deploy.settings import LocalSettings
from deploy.shared_memory import remove_regions
from deploy.triton_server import TritonServer
from export.plan_file import PlanFile

_POLL_S = 0.2
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

        Raises:
            ExportError: There is a serving plan, and it cannot be read.
        """
        self._client_env = _planned_client(settings)
        self._settings = settings
        self._repository = repository
        self._shm_prefix = shm_prefix
        self._say = say
        self._logs = logs
        self._stopping = threading.Event()
        self._triton: TritonServer | None = None
        self._gateway: Child | None = None
        self._restarts = {"triton": _Restarts(), "gateway": _Restarts()}
        self._announced = True

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
        timeout_s = self._settings.start_timeout_s
        first_s = timeout_s / 3
        if not self._triton_answers(first_s):
            # Seen once in many starts: the model processes hang while they load. The next start is a new chance.
            self._say(f"Triton has not answered within {first_s:g} s; starting it again")
            self._end_triton(grace_s=0)
            if not self._triton_answers(timeout_s - first_s):
                assert self._triton is not None
                raise _no_answer("Triton", timeout_s, self._triton.child)
        gateway = self._start_gateway()
        if not self._answers(self._gateway_healthy, gateway, "the gateway", timeout_s):
            raise _no_answer("the gateway", timeout_s, gateway)

    def run(self) -> None:
        """Watches both processes until `request_stop`."""
        while not self._stopping.wait(_POLL_S):
            if self._triton is not None and (reason := self._triton_failure(self._triton)):
                self._restart_triton(reason)
            elif self._gateway is not None and self._gateway.exit_code is not None:
                self._restart_gateway(f"ended with code {self._gateway.exit_code}")

    def stop(self) -> None:
        """Ends the gateway, then Triton, and removes Triton's shared memory regions."""
        self._stopping.set()
        if self._gateway is not None:
            self._gateway.end(_STOP_GRACE_S)
        self._end_triton(_STOP_GRACE_S)

    def _start_triton(self) -> TritonServer:
        self._restarts["triton"].last_start = time.monotonic()
        self._triton = TritonServer(
            self._repository,
            self._settings.triton_addresses,
            self._shm_prefix,
            self._logs.parent,
            self._settings.canary_interval_s,
            self._logs / "triton.log",
        )
        return self._triton

    def _start_gateway(self) -> Child:
        settings = self._settings
        env = {
            **self._client_env,
            **os.environ,
            "HOST": settings.host,
            "PORT": str(settings.port),
            "MEDIA_ROOT": str(settings.media_root.resolve()),
            "TRITON_URL": settings.triton_addresses.grpc_url,
        }
        self._restarts["gateway"].last_start = time.monotonic()
        # -P: a gateway.py in the user's current folder is not what is meant.
        self._gateway = Child("gateway", [sys.executable, "-P", "-m", "gateway"], env, self._logs / "gateway.log")
        return self._gateway

    def _triton_answers(self, timeout_s: float) -> bool:
        triton = self._start_triton()
        return self._answers(lambda: triton.ready, triton.child, "Triton", timeout_s)

    def _answers(self, answers: Callable[[], bool], child: Child, name: str, timeout_s: float) -> bool:
        """Whether a process that was started answers in time (or a stop is requested).

        Raises:
            StartError: It ended.
        """
        deadline = time.monotonic() + timeout_s
        while not self._stopping.is_set():
            if child.exit_code is not None:
                raise StartError(f"{name} ended with code {child.exit_code}; its log ends:\n{child.log_tail()}")
            if answers():
                return True
            if time.monotonic() > deadline:
                return False
            self._stopping.wait(_POLL_S)
        return True

    def _gateway_healthy(self) -> bool:
        # Without the machine's proxy settings, which are not meant for this machine's own services.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self._settings.gateway_url}/health", timeout=6) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _triton_failure(self, triton: TritonServer) -> str:
        """Why Triton must be restarted, or ""."""
        if reason := triton.failure():
            return reason
        if triton.ready:
            if not self._announced:
                self._announced = True
                self._say("Triton answers again")
            return ""
        loading_s = time.monotonic() - self._restarts["triton"].last_start
        return "never answered" if loading_s > self._settings.start_timeout_s else ""

    def _restart_triton(self, reason: str) -> None:
        pause_s = self._restarts["triton"].pause_s()
        self._say(f"Triton {reason}: restarting it" + (f" in {pause_s:g} s" if pause_s else ""))
        self._end_triton(0)
        if not self._stopping.wait(pause_s):
            self._announced = False
            self._start_triton()

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


def _planned_client(settings: LocalSettings) -> dict[str, str]:
    """What the serving plan says to the gateway's client; its own environment wins."""
    if settings.serving_plan is None:
        return {}
    return {"DEEPFAKE_CLIENT_CHUNK_FRAMES": str(PlanFile.load(settings.serving_plan).chunk_frames)}


def _no_answer(name: str, timeout_s: float, child: Child) -> StartError:
    return StartError(f"{name} did not answer within {timeout_s:g} s; its log ends:\n{child.log_tail()}")

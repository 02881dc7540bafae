"""Keeps Triton and the gateway running: starts them in order, restarts what dies, ends them for certain.

While it runs, a release that `current` points to next takes over (see rollout.py).
"""

import os
import ssl
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from deploy.addresses import ServerAddresses
from deploy.backoff import Backoff
from deploy.errors import StartError
from deploy.kept_triton import KeptTriton
from deploy.preflight import require_free_ports
from deploy.process import Child, StopWatch
from deploy.rollout import Rollout
from deploy.settings import LocalSettings
from deploy.target_file import TargetFile
from export.plan_file import PlanFile
from export.release import Release

_POLL_S = 0.2
_STOP_GRACE_S = 10.0


class Supervisor:
    """Runs Triton and one gateway until told to stop."""

    def __init__(
        self,
        settings: LocalSettings,
        release: Release,
        shm_prefix: str,
        say: Callable[[str], None],
        logs: Path,
        follows: bool,
        show_output: bool = False,
    ) -> None:
        """Starts nothing yet.

        Args:
            settings: The deployment's settings.
            release: What is served first.
            shm_prefix: Prefix of this deployment's shared memory regions.
            say: Shows one line to the user.
            logs: Folder for the processes' logs.
            follows: Whether a release that `current` points to later takes over.
            show_output: Whether the processes write to this program's own output, not to their logs.

        Raises:
            ExportError: There is a serving plan, and it cannot be read.
        """
        self._client_env = _planned_client(settings)
        self._settings = settings
        self._shm_prefix = shm_prefix
        self._say = say
        self._logs = logs
        self._follows = follows
        self._show_output = show_output
        self._stopping = threading.Event()
        self._first = self._triton(release, settings.triton_addresses)
        self._rollout: Rollout | None = None
        self._gateway: Child | None = None
        self._gateway_backoff = Backoff()
        self._stop_watch = StopWatch()

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
            self._first.end(grace_s=0)
            if not self._triton_answers(timeout_s - first_s):
                raise _no_answer("Triton", timeout_s, self._first.child)
        target = TargetFile(self._target_path, self._first.addresses.grpc_url)
        self._rollout = Rollout(
            self._first,
            self._settings.standby_addresses,
            self._newcomer,
            target,
            self._settings.rollout_drain_s,
            self._follows,
            self._say,
        )
        gateway = self._start_gateway()
        if not self._answers(self._gateway_healthy, gateway, "the gateway", timeout_s):
            raise _no_answer("the gateway", timeout_s, gateway)

    def run(self) -> None:
        """Watches all processes until `request_stop`."""
        while not self._stopping.wait(_POLL_S):
            if self._rollout is not None:
                self._rollout.tick()
            if self._gateway is not None and (reason := self._gateway_failure(self._gateway)):
                self._restart_gateway(reason)

    def stop(self) -> None:
        """Ends the gateway, then Triton, and removes Triton's shared memory regions."""
        self._stopping.set()
        if self._gateway is not None:
            self._gateway.end(_STOP_GRACE_S)
        if self._rollout is not None:
            self._rollout.end()
        else:
            self._first.end()

    def _triton(self, release: Release, addresses: ServerAddresses) -> KeptTriton:
        usual = addresses == self._settings.triton_addresses
        prefix = f"{self._shm_prefix}{'a' if usual else 'b'}_"
        log = self._log("triton.log" if usual else "triton-standby.log")
        return KeptTriton(release, addresses, prefix, self._settings, self._logs.parent, log, self._say, self._stopping)

    def _newcomer(self, release: Release, addresses: ServerAddresses) -> KeptTriton:
        require_free_ports(addresses)
        triton = self._triton(release, addresses)
        triton.start()
        return triton

    def _log(self, name: str) -> Path | None:
        return None if self._show_output else self._logs / name

    @property
    def _target_path(self) -> Path:
        return self._logs / "triton-url"

    def _start_gateway(self) -> Child:
        settings = self._settings
        env = {
            **self._client_env,
            **os.environ,
            "HOST": settings.host,
            "PORT": str(settings.port),
            "MEDIA_ROOT": str(settings.media_root.resolve()),
            "TLS_CERT_FILE": str(settings.tls_cert_file or ""),
            "TLS_KEY_FILE": str(settings.tls_key_file or ""),
            "TRITON_URL": settings.triton_addresses.grpc_url,
            "TRITON_URL_FILE": str(self._target_path.resolve()),
            "OTEL_EXPORTER_OTLP_ENDPOINT": settings.otel_exporter_otlp_endpoint,
        }
        self._gateway_backoff.started()
        # -P: a gateway.py in the user's current folder is not what is meant.
        self._gateway = Child("gateway", [sys.executable, "-P", "-m", "gateway"], env, self._log("gateway.log"))
        return self._gateway

    def _triton_answers(self, timeout_s: float) -> bool:
        self._first.start()
        return self._answers(self._first_ready, self._first.child, "Triton", timeout_s)

    def _first_ready(self) -> bool:
        """Whether Triton serves.

        Raises:
            StartError: It answers, and its release must not be served.
        """
        if reason := self._first.refusal:
            raise StartError(f"Triton {reason}. Release {self._first.release.path} is not served; export it again")
        return self._first.ready

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
        handlers = [urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=_own_gateway_context())]
        opener = urllib.request.build_opener(*handlers)
        try:
            with opener.open(f"{self._settings.gateway_url}/health", timeout=6) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _gateway_failure(self, gateway: Child) -> str:
        """Why the gateway must be restarted, or "". Gunicorn itself looks after its workers."""
        if gateway.exit_code is not None:
            return f"ended with code {gateway.exit_code}"
        return "is stopped" if self._stop_watch.overdue({gateway.pid: gateway.state}) else ""

    def _restart_gateway(self, reason: str) -> None:
        pause_s = self._gateway_backoff.pause_s()
        self._say(f"the gateway {reason}: restarting it" + (f" in {pause_s:g} s" if pause_s else ""))
        if self._gateway is not None:
            self._gateway.end(0)  # workers that outlive their master hold its port for seconds
        if not self._stopping.wait(pause_s):
            self._start_gateway()


def _own_gateway_context() -> ssl.SSLContext:
    """Trusts any certificate: it is made out to the name that callers use, and nothing secret is sent or believed."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _planned_client(settings: LocalSettings) -> dict[str, str]:
    """What the serving plan says to the gateway's client; its own environment wins."""
    if settings.serving_plan is None:
        return {}
    return {"DEEPFAKE_CLIENT_CHUNK_FRAMES": str(PlanFile.load(settings.serving_plan).chunk_frames)}


def _no_answer(name: str, timeout_s: float, child: Child) -> StartError:
    return StartError(f"{name} did not answer within {timeout_s:g} s; its log ends:\n{child.log_tail()}")

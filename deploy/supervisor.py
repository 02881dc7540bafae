"""Starts Triton, proves it with a real inference, starts the gateway, and watches both until told to stop.

This is the one start-up path: `make serve` and the single container run Triton and the gateway and restart what fails;
the Triton container runs Triton alone and ends when it fails, because its platform restarts it.
"""

import contextlib
import json
import os
import secrets
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import FrameType
from typing import Protocol

from deploy.errors import DeployError, StartError
from deploy.ports import listening
from deploy.process import Child, StopWatch, children_of
from deploy.settings import DeploySettings
from deploy.triton.addresses import ServerAddresses
from deploy.triton.server import TritonServer
from deploy.triton.shared_memory import region_prefix
from export.errors import ExportError
from export.release import Release

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
DRAIN_S = 35.0  # the gateway's own limit: the deadline of a request, and 5 s
_POLL_S = 0.2
_PAUSES_S = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0)  # before the first, second, ... start after a failure
SAMPLING_SECRET = "DEEPFAKE_CLIENT_SAMPLING_SECRET"
_STABLE_S = 60.0  # a server that ran this long starts again at the first pause


@dataclass(frozen=True)
class Plan:
    """What one deployment runs.

    Attributes:
        settings: Its settings.
        release: What Triton serves.
        say: Shows one line to the user.
        on_ready: Called once, with the seconds that the start took.
        with_gateway: Whether the gateway runs beside Triton.
        restarts: Whether a server that fails is started again; otherwise `supervise` raises StartError.
        only_preprocess: Whether its Triton does nothing else.
        logs: Folder for the output of the servers; None: they write to this program's output.
    """

    settings: DeploySettings
    release: Release
    say: Callable[[str], None]
    on_ready: Callable[[float], None]
    with_gateway: bool
    restarts: bool
    logs: Path | None = None
    only_preprocess: bool = False

    def log(self, name: str) -> Path | None:
        """Where one server's output goes."""
        return self.logs / f"{name}.log" if self.logs else None


def supervise(plan: Plan) -> None:
    """Runs the deployment until SIGINT, SIGTERM or SIGHUP.

    Raises:
        StartError: A server did not start, or failed where nothing is restarted. The message ends with its log.
    """
    stopping = StopRequest()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    on_stop_signals(stop)
    started = time.monotonic()
    with region_prefix(plan.settings.run_dir) as prefix, contextlib.ExitStack() as running:
        kept: list[KeptServer] = []
        sockets: list[socket.socket] = []
        for name, start in _servers(plan, prefix, sockets):
            server = KeptServer(name, start, plan.settings.start_timeout_s, plan.say, stopping)
            running.callback(server.end)
            server.await_start()
            kept.append(server)
        if not stopping.is_set():
            plan.on_ready(time.monotonic() - started)
        while not stopping.wait(_POLL_S):
            for server in kept:
                server.watch(plan.restarts)
            reap_orphans({server.pid for server in kept})
        plan.say("stopping")
        for one in sockets:  # the gateway closes its own, and finishes what it has before Triton ends
            one.close()
    plan.say("stopped")


def on_stop_signals(handler: Callable[[int, FrameType | None], None]) -> None:
    """Sets what handles the signals that end a deployment, but leaves a SIGHUP ignored, as nohup wants it."""
    for number in STOP_SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


class StopRequest:
    """Whether a signal asked for the end. An Event's lock, taken in a signal handler, could be held by this thread."""

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        """Safe in a signal handler."""
        self._is_set = True

    def is_set(self) -> bool:
        """Whether it was."""
        return self._is_set

    def wait(self, limit_s: float) -> bool:
        """Waits for it, so long at most; whether it was set."""
        deadline = time.monotonic() + limit_s
        while not self._is_set and (left_s := deadline - time.monotonic()) > 0:
            time.sleep(min(left_s, _POLL_S))
        return self._is_set


class Server(Protocol):
    """A process that serves, and what proves it."""

    child: Child
    grace_s: float

    @property
    def ready(self) -> bool:
        """Whether it serves."""

    def failure(self) -> str:
        """Why it cannot be trusted any more, or ""."""

    def end(self, grace_s: float) -> None:
        """Asks it to end, waits up to `grace_s`, then kills it."""


class KeptServer:
    """A server that is started again, after a pause that grows, when it fails."""

    def __init__(
        self,
        name: str,
        start: Callable[[], Server],
        start_timeout_s: float,
        say: Callable[[str], None],
        stopping: "StopRequest",
    ) -> None:
        """Starts it.

        Args:
            name: For messages.
            start: Starts one.
            start_timeout_s: How long it may take until it is ready.
            say: Shows one line to the user.
            stopping: Set when the deployment is to end, which cuts pauses short.
        """
        self._name = name
        self._start = start
        self._start_timeout_s = start_timeout_s
        self._say = say
        self._stopping = stopping
        self._failures = 0
        self._announced = True
        self._started_at = time.monotonic()
        self._start_at = 0.0
        self._server: Server | None = start()

    @property
    def pid(self) -> int | None:
        """Its process, None between two."""
        return self._server.child.pid if self._server else None

    def await_start(self) -> None:
        """Returns when it is ready, or a stop is requested.

        Raises:
            StartError: It failed, or is not ready in time.
        """
        assert self._server is not None
        while not self._server.ready and not self._stopping.wait(_POLL_S):
            self._raise(self._failure(self._server), self._server)

    def watch(self, restarts: bool) -> None:
        """Starts it again if it failed, once its pause is over.

        Raises:
            StartError: It failed and `restarts` is false.
        """
        if self._server is None:
            if time.monotonic() >= self._start_at:
                self._start_again()
        elif reason := self._failure(self._server):
            if not restarts:
                self._raise(reason, self._server)
            self._server.end(0)
            self._server = None
            self._pause(reason)
        elif self._server.ready and not self._announced:
            self._announced = True
            self._say(f"{self._name} answers again")

    def end(self) -> None:
        """Ends it: after a stop in order, after an error at once."""
        if self._server is not None:
            self._server.end(self._server.grace_s if self._stopping.is_set() else 0)

    def _failure(self, server: Server) -> str:
        if reason := server.failure():
            return reason
        late = time.monotonic() - self._started_at > self._start_timeout_s
        return f"did not answer within {self._start_timeout_s:g} s" if late and not server.ready else ""

    def _raise(self, reason: str, server: Server) -> None:
        if reason:
            tail = server.child.log_tail()
            raise StartError(f"{self._name} {reason}" + (f"; its log ends:\n{tail}" if tail else ""))

    def _pause(self, reason: str) -> None:
        """Sets when it is started again."""
        if time.monotonic() - self._started_at > _STABLE_S:
            self._failures = 0
        pause_s = _PAUSES_S[min(self._failures, len(_PAUSES_S) - 1)]
        self._failures += 1
        self._say(f"{self._name} {reason}: restarting it" + (f" in {pause_s:g} s" if pause_s else ""))
        self._start_at = time.monotonic() + pause_s

    def _start_again(self) -> None:
        self._announced = False
        self._started_at = time.monotonic()
        try:
            self._server = self._start()
        except (DeployError, ExportError, OSError) as error:
            self._pause(f"cannot be started ({error})")


def _servers(plan: Plan, shm_prefix: str, sockets: list[socket.socket]) -> list[tuple[str, Callable[[], Server]]]:
    """Name and start of each server, in order.

    Args:
        plan: What runs.
        shm_prefix: Of Triton's shared memory.
        sockets: Gets the gateway's when it is started first; they outlive its processes.
    """
    settings = plan.settings

    def triton(name: str, addresses: ServerAddresses, only_preprocess: bool) -> Server:
        return TritonServer(
            plan.release,
            addresses,
            f"{shm_prefix}{name}_",  # a server that ends removes its own regions alone
            settings.run_dir,
            settings.canary_interval_s,
            plan.log(name),
            settings.otel_exporter_otlp_endpoint,
            only_preprocess,
        )

    def gateway() -> Server:
        if not sockets:
            sockets.extend(listening(settings))
        return GatewayServer(settings, sockets, plan.log("gateway"))

    servers: list[tuple[str, Callable[[], Server]]] = [
        ("Triton", partial(triton, "triton", settings.triton_addresses, plan.only_preprocess))
    ]
    if not plan.with_gateway:
        return servers
    for number, addresses in enumerate(settings.preprocess_addresses, 1):
        start = partial(triton, f"preprocess-{number}", addresses, only_preprocess=True)
        servers.append((f"preprocess server {number}", start))
    return [*servers, ("the gateway", gateway)]


class GatewayServer:
    """The gateway's process, started at once."""

    grace_s = DRAIN_S

    def __init__(self, settings: DeploySettings, sockets: Sequence[socket.socket], log: Path | None) -> None:
        """Starts it with this process's environment and these settings, on sockets that nobody else has."""
        self._url = f"{settings.gateway_url}/health"
        self._answered = False
        self._stop_watch = StopWatch()
        env = {
            **os.environ,
            "DEEPFAKE_HOST": settings.host,
            "PORT": str(settings.port),
            "MEDIA_ROOT": str(settings.media_root.resolve()),
            "DEEPFAKE_TRITON_URL": settings.triton_addresses.grpc_url,
            "DEEPFAKE_LISTEN_FDS": json.dumps([one.fileno() for one in sockets]),
            "OTEL_EXPORTER_OTLP_ENDPOINT": settings.otel_exporter_otlp_endpoint,
        }
        if settings.preprocess_url:  # else the user's own, of servers elsewhere
            env["DEEPFAKE_PREPROCESS_URL"] = settings.preprocess_url
        if not has_own_secret():
            env[f"{SAMPLING_SECRET}_FILE"] = str(kept_secret(settings.cache_dir))
        # -P: a gateway.py in the user's current folder is not what is meant.
        self.child = Child("gateway", [sys.executable, "-P", "-m", "gateway"], env, log, sockets=sockets)

    @property
    def ready(self) -> bool:
        """Whether it has called itself healthy, once."""
        self._answered = self._answered or self._is_healthy()
        return self._answered

    def failure(self) -> str:
        """Why it must be restarted, or "". An unhealthy gateway is not restarted: Triton is the one that fails."""
        if self.child.exit_code is not None:
            return f"ended with code {self.child.exit_code}"
        return "is stopped" if self._stop_watch.overdue({self.child.pid: self.child.state}) else ""

    def end(self, grace_s: float) -> None:
        """Lets it finish the requests that it accepted, up to `grace_s`, then kills it."""
        self.child.end(grace_s)

    def _is_healthy(self) -> bool:
        # Without the machine's proxy settings, which are not meant for this machine's own services.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(self._url, timeout=6) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def has_own_secret() -> bool:
    """Whether the user has set what decides which frames of a video are scored."""
    return any(os.environ.get(name) for name in (SAMPLING_SECRET, f"{SAMPLING_SECRET}_FILE"))


def kept_secret(folder: Path) -> Path:
    """A file with the secret that decides which frames of a video are scored, made once in this folder."""
    path = folder.resolve() / "sampling-secret"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=folder, delete=False) as made:  # readable by this user alone
            made.write(secrets.token_hex(32))
        Path(made.name).replace(path)
    return path


def reap_orphans(servers: set[int | None]) -> None:
    """Reaps dead processes that were inherited as process 1, but not servers, whose exit codes are still to be read."""
    for pid, state in children_of(os.getpid()).items():
        if state == "Z" and pid not in servers:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)

"""A Triton over one release that is started again whenever it cannot be trusted any more."""

import threading
from collections.abc import Callable
from pathlib import Path

from deploy.addresses import ServerAddresses
from deploy.backoff import Backoff
from deploy.process import Child
from deploy.settings import LocalSettings
from deploy.triton.shared_memory import remove_regions
from deploy.triton.server import TritonServer
from export.release import Release

_STOP_GRACE_S = 10.0


class KeptTriton:
    """One release at one set of addresses."""

    def __init__(
        self,
        release: Release,
        addresses: ServerAddresses,
        shm_prefix: str,
        settings: LocalSettings,
        run_dir: Path,
        log: Path | None,
        say: Callable[[str], None],
        stopping: threading.Event,
    ) -> None:
        """Starts nothing yet.

        Args:
            release: What it serves.
            addresses: Where it listens.
            shm_prefix: Prefix of its shared memory regions, its own.
            settings: The deployment's settings.
            run_dir: Where the deployment keeps its state.
            log: File for its output; this program's own output if None.
            say: Shows one line to the user.
            stopping: Set when the deployment is to end, which cuts pauses short.
        """
        self.release = release
        self.addresses = addresses
        self._shm_prefix = shm_prefix
        self._settings = settings
        self._run_dir = run_dir
        self._log = log
        self._say = say
        self._stopping = stopping
        self._server: TritonServer | None = None
        self._backoff = Backoff()
        self._announced = True

    @property
    def child(self) -> Child:
        """The tritonserver process.

        Raises:
            AssertionError: None was started.
        """
        assert self._server is not None, "not started"
        return self._server.child

    @property
    def ready(self) -> bool:
        """Whether a real inference has succeeded and every model process lives."""
        return self._server is not None and self._server.ready

    def start(self) -> None:
        """Starts it; it answers later."""
        self._backoff.started()
        self._server = TritonServer(
            self.release,
            self.addresses,
            self._shm_prefix,
            self._run_dir,
            self._settings.canary_interval_s,
            self._log,
            self._settings.otel_exporter_otlp_endpoint,
        )

    def failure(self) -> str:
        """Why it cannot be trusted, or ""."""
        if self._server is None:
            return "is not running"
        if reason := self._server.failure():
            return reason
        late = not self._server.ready and self._backoff.running_s() > self._settings.start_timeout_s
        return "never answered" if late else ""

    @property
    def refusal(self) -> str:
        """Why its release must not be served, or ""."""
        return "" if self._server is None else self._server.refusal

    def watch(self) -> None:
        """Starts it again, after a pause that grows, if it cannot be trusted."""
        if reason := self.failure():
            pause_s = self._backoff.pause_s()
            self._say(f"Triton {reason}: restarting it" + (f" in {pause_s:g} s" if pause_s else ""))
            self.end(0)
            if not self._stopping.wait(pause_s):
                self._announced = False
                self.start()
        elif self.ready and not self._announced:
            self._announced = True
            self._say("Triton answers again")

    def end(self, grace_s: float = _STOP_GRACE_S) -> None:
        """Ends the server and its model processes, which share its process group, then removes their regions."""
        if self._server is not None:
            self._server.end(grace_s)
            self._server = None
        remove_regions(self._shm_prefix)

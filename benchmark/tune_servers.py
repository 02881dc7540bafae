"""Tritons to measure: one for each of the two configurations that are compared, the older ones ended."""

import os
import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from benchmark.contenders.process_tree import end_tree
from benchmark.tune_load import measure_server
from benchmark.tune_release import planned_release
from benchmark.tune_search import Configuration, Figures, TrialError
from export.release import Release
from runtime.free_ports import free_ports

_AT_ONCE = 2
_START_TIMEOUT_S = 300.0
_GRACE_S = 20.0
_NO_CANARIES_S = "86400"  # they would compute beside what is measured
_READY = "ready: a real inference succeeded"


@dataclass(frozen=True)
class _Server:
    """A Triton that answers."""

    process: "subprocess.Popen[bytes]"
    grpc: str


class Servers:
    """Measures configurations of one release; a context manager that ends what it started."""

    def __init__(self, release: Release, frames: Sequence[bytes], seconds: float, scratch: Path) -> None:
        """Starts nothing yet.

        Args:
            release: What is served; it stays as it is.
            frames: Encoded frames of a video.
            seconds: Of each of the two loads.
            scratch: Gets releases and logs.
        """
        self._release = release
        self._frames = frames
        self._seconds = seconds
        self._scratch = scratch
        self._servers: OrderedDict[Configuration, _Server] = OrderedDict()
        self._started = 0

    def measure(self, configuration: Configuration) -> Figures:
        """Starts its Triton unless it runs, and loads it.

        Raises:
            TrialError: It does not start, or does not answer.
        """
        grpc = self._server(configuration).grpc
        return measure_server(grpc, configuration.chunk_frames, self._frames, self._seconds)

    def __enter__(self) -> "Servers":
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        while self._servers:
            self._end_oldest()

    def _server(self, configuration: Configuration) -> _Server:
        key = replace(configuration, chunk_frames=1)  # the client's business
        if key not in self._servers:
            while len(self._servers) >= _AT_ONCE:
                self._end_oldest()
            self._servers[key] = self._start(configuration)
        self._servers.move_to_end(key)
        return self._servers[key]

    def _end_oldest(self) -> None:
        _key, server = self._servers.popitem(last=False)
        end_tree(server.process, _GRACE_S)

    def _start(self, configuration: Configuration) -> _Server:
        self._started += 1
        folder = self._scratch / f"server-{self._started}"
        planned_release(self._release, configuration, folder / "releases")
        http, grpc, metrics = free_ports(3)
        settings = {
            "RELEASES_DIR": str(folder / "releases"),
            "DEEPFAKE_CACHE_DIR": str(folder),
            "TRITON_HOST": "127.0.0.1",
            "TRITON_HTTP_PORT": str(http),
            "TRITON_GRPC_PORT": str(grpc),
            "TRITON_METRICS_PORT": str(metrics),
            "CANARY_INTERVAL_S": _NO_CANARIES_S,
            "START_TIMEOUT_S": str(_START_TIMEOUT_S),
        }
        log = folder / "triton.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "deploy.triton_container"], env={**os.environ, **settings},
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        try:
            _await_ready(process, log)
        except BaseException:
            end_tree(process, _GRACE_S)
            raise
        return _Server(process, f"127.0.0.1:{grpc}")


def _await_ready(process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Waits until a real inference has succeeded and every model process lives.

    Raises:
        TrialError: It ends, or is not ready in time.
    """
    deadline = time.monotonic() + _START_TIMEOUT_S
    while _READY not in (text := log.read_text("utf-8", errors="replace")):
        if process.poll() is not None or time.monotonic() > deadline:
            state = "is not ready" if process.poll() is None else f"ended with code {process.returncode}"
            raise TrialError(f"Triton {state}; its log ends: {' '.join(text.split())[-400:]}")
        time.sleep(0.1)

"""One running Triton: its process, the model processes below it, and the canaries that prove it.

Triton never restarts a dead Python-backend process and goes on calling itself ready, so every deployment watches it
from outside, with this.
"""

import contextlib
import secrets
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

from deepfake_client.triton.stages import PREPROCESS
from deploy.process import Child, StopWatch, children_of
from deploy.triton.addresses import ServerAddresses
from deploy.triton.canary import Canary, PreprocessCanary, Prober
from deploy.triton.program import find_server, link_for_shell, server_command, server_environment
from deploy.triton.shared_memory import hide_regions, remove_regions
from export.golden import read_golden
from export.release import Release, model_process_count, verify_files, warmed_batches

STOP_GRACE_S = 10.0  # Triton's own --exit-timeout-secs is less


class TritonServer:
    """A tritonserver over one release, started at once.

    Its ensemble and `preprocess` answer nobody else until it is `ready`. Who brings its classifier the pixels of a pool
    may be answered before.
    """

    grace_s = STOP_GRACE_S

    def __init__(
        self,
        release: Release,
        addresses: ServerAddresses,
        shm_prefix: str,
        run_dir: Path,
        canary_interval_s: float,
        log: Path | None = None,
        trace_collector: str = "",
        only_preprocess: bool = False,
    ) -> None:
        """Starts it.

        Args:
            release: What it serves.
            addresses: Where it listens.
            shm_prefix: Prefix of its shared memory regions.
            run_dir: Where links for its command line are made.
            canary_interval_s: Pause between canary inferences.
            log: File for its output; this process's own output if None.
            trace_collector: Base URL of an OTLP/HTTP collector for its traces; "" for none.
            only_preprocess: Whether it makes pixels for a classifier elsewhere. It is then proved by canaries alone:
                the golden images need both models.

        Raises:
            PreflightError: There is no usable server, or no path can be given to it.
            ReleaseError: The release's files are not those that were exported.
            GoldenError: The release's golden images cannot be read.
        """
        verify_files(release)
        golden = None if only_preprocess else read_golden(release.path)
        batches = () if only_preprocess else warmed_batches(release.repository)
        files = find_server()
        self._shm_prefix = shm_prefix
        self._links = link_for_shell(files, release.repository, run_dir, PREPROCESS if only_preprocess else "")
        self._gate = self._links / secrets.token_hex(16)
        command = server_command(files, self._links, addresses, shm_prefix, trace_collector)
        self._expected_processes = model_process_count(self._links / "repository")
        self._processes: set[int] = set()
        self._stop_watch = StopWatch()
        try:
            self.child = Child(
                "triton", command, server_environment(files, self._links, self._gate), log, cwd=self._links,
                stop_signal=signal.SIGINT,
            )  # fmt: skip
        except OSError:
            shutil.rmtree(self._links, ignore_errors=True)
            raise
        kind = PreprocessCanary if only_preprocess else Canary
        canary = kind(addresses.grpc_url, golden, self._gate.name)
        self._prober = Prober(canary, canary_interval_s, batches)
        self._prober.start()

    @property
    def ready(self) -> bool:
        """Whether a real inference and the golden images have succeeded, and every model process lives."""
        if not self._processes and self._prober.answered.is_set():
            processes = self._living_processes()
            if len(processes) >= self._expected_processes:
                hide_regions(self._shm_prefix)
                with contextlib.suppress(OSError):  # a full disk: tried again
                    self._gate.touch()
                    self._processes = processes
        return bool(self._processes)

    def failure(self) -> str:
        """Why the server cannot be trusted any more, or ""."""
        hide_regions(self._shm_prefix)  # models may make more of them at any time
        states = children_of(self.child.pid)
        code = self.child.exit_code  # looked at last: a server that has just ended has no children either
        if code is not None:
            return f"ended with code {code}"
        if pid := self._stop_watch.overdue({**states, self.child.pid: self.child.state}):
            return f"has a process that is stopped ({pid})"
        living = _living(states)
        if self.ready and (dead := self._processes - living):
            return f"lost the model process {min(dead)}"
        if self._prober.answered.is_set() and len(living) < self._expected_processes:
            return f"runs {len(living)} of {self._expected_processes} model processes"
        return self.refusal or self._prober.failure

    @property
    def refusal(self) -> str:
        """Why the release must not be served: it scores its golden images otherwise than recorded. "" if not so."""
        reason = self._prober.refusal
        return f"serves a release that is not what it should be: {reason}" if reason else ""

    def end(self, grace_s: float) -> None:
        """Asks it to end, waits up to `grace_s`, then kills it and its model processes; removes what it left."""
        self._prober.stop()
        self.child.end(grace_s)
        remove_regions(self._shm_prefix)
        shutil.rmtree(self._links, ignore_errors=True)

    def _living_processes(self) -> set[int]:
        return _living(children_of(self.child.pid))


def _living(states: Mapping[int, str]) -> set[int]:
    return {pid for pid, state in states.items() if state not in "ZX"}

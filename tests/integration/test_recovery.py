"""Kill -9 of each process under load: the service comes back by itself, and every answer is right or an error."""

import contextlib
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from export.release import Release
from tests.media import photo
from tests.service import Service, run_service

RECOVERY_BOUND_S = 60.0  # generous: some seconds are expected, docs/verified.md has the measured ones


@pytest.fixture(scope="module")
def victim(tiny_checkpoint: Path, tiny_release: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of its own, so that no other test meets a killed process. RECOVERY_CHECKPOINT: another model.

    It remembers no scores: every request of the load shall need the processes that are killed.
    """
    other = os.environ.get("RECOVERY_CHECKPOINT")
    checkpoint = Path(other) if other else tiny_checkpoint
    folder = tmp_path_factory.mktemp("victim")
    with run_service(checkpoint, tiny_release.path.parent, folder, {"SCORE_CACHE_FRAMES": "0"}) as running:
        yield running


class Load:
    """Requests in a loop from several threads; every answer is kept."""

    def __init__(self, service: Service, threads: int = 3) -> None:
        self.answers: list[tuple[float, int, float | None]] = []
        self._service = service
        self._image = photo("coffee.png").read_bytes()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                answer = requests.post(f"{self._service.url}/detect", files={"file": self._image}, timeout=40)
                score = answer.json()["confidence_score"] if answer.status_code == 200 else None
                self.answers.append((time.monotonic(), answer.status_code, score))
            except requests.RequestException:
                self.answers.append((time.monotonic(), 0, None))  # the worker that held this connection was killed
                time.sleep(0.05)

    def await_success(self, count: int, after: float) -> float:
        """Waits for `count` successes in a row; returns when the first of them came, in seconds after `after`."""
        deadline = time.monotonic() + RECOVERY_BOUND_S
        while time.monotonic() < deadline:
            last = [a for a in list(self.answers) if a[0] > after][-count:]
            if len(last) == count and all(status == 200 for _, status, _ in last):
                return last[0][0] - after
            time.sleep(0.05)
        raise AssertionError(f"not back after {RECOVERY_BOUND_S} s: {self.answers[-10:]}\n{self._service.printed()}")


@dataclass(frozen=True)
class Loss:
    """A process to kill, which process must be a new one afterwards, and what the supervisor says about it."""

    pick: Callable[[Service], int]
    replaced: Callable[[Service], int]
    said: str = ""


LOSSES = {
    "stub": Loss(lambda service: service.stub_pids()[-1], Service.triton_pid, "lost the model process {pid}"),
    "tritonserver": Loss(Service.triton_pid, Service.triton_pid, "Triton ended with code -9"),
    "gateway worker": Loss(lambda service: service.worker_pids()[0], lambda service: max(service.worker_pids())),
    "gunicorn master": Loss(Service.gunicorn_pid, Service.gunicorn_pid, "the gateway ended with code -9"),
}


@pytest.mark.parametrize("name", LOSSES)
def test_it_comes_back_after_kill_9(name: str, victim: Service) -> None:
    loss = LOSSES[name]
    stubs, workers = len(victim.stub_pids()), len(victim.worker_pids())
    with Load(victim) as load:
        load.await_success(6, after=time.monotonic())
        before, pid = loss.replaced(victim), loss.pick(victim)
        os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
        whole_s = _await_whole(victim, loss, before, stubs, workers) - killed
        load.await_success(12, after=time.monotonic())
    failed = [status for at, status, _ in load.answers if at > killed and status != 200]
    gap_s = _longest_gap_s([at for at, status, _ in load.answers if status == 200 and at > killed - 1])
    print(f"{name}: whole {whole_s:.1f} s after kill -9; {len(failed)} requests failed; no answer for {gap_s:.1f} s")
    assert loss.said.format(pid=pid) in victim.printed()
    scores = [score for _, status, score in load.answers if status == 200 and score is not None]
    assert max(scores) - min(scores) <= 1e-6  # one image, one score, before and after
    assert set(failed) <= {503, 504, 0}


def _await_whole(service: Service, loss: Loss, before: int, stubs: int, workers: int) -> float:
    """When the killed process has a successor and no process is missing: client retries cannot fake that."""
    deadline = time.monotonic() + RECOVERY_BOUND_S
    while time.monotonic() < deadline:
        with contextlib.suppress(LookupError, OSError):
            counts = (len(service.stub_pids()), len(service.worker_pids()))
            if loss.replaced(service) != before and counts == (stubs, workers):
                return time.monotonic()
        time.sleep(0.05)
    raise AssertionError(f"not whole after {RECOVERY_BOUND_S} s:\n{service.printed()}")


def _longest_gap_s(times: list[float]) -> float:
    return max((b - a for a, b in itertools.pairwise(sorted(times))), default=0.0)


def test_no_region_is_left_by_the_killed_servers(victim: Service) -> None:
    """Four regions of the running server at most; those of the killed ones are gone."""
    prefix = next(victim.run_dir.glob("deepfake_*.json")).stem
    regions = [region for region in Path("/dev/shm").iterdir() if region.name.startswith(prefix)]
    assert len(regions) == len(victim.stub_pids())

"""Each process killed (SIGKILL) or stopped (SIGSTOP) under load.

The service comes back by itself, and every answer is right or an error.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from export.release import Release
from tests.media import photo
from tests.service import Service, run_service
from tests.steady_load import RECOVERY_BOUND_S, SteadyLoad


@pytest.fixture(scope="module")
def victim(tiny_checkpoint: Path, tiny_release: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of its own, so that no other test meets a killed process. RECOVERY_CHECKPOINT: another model.

    It remembers no scores: every request of the load shall need the processes that are killed.
    """
    other = os.environ.get("RECOVERY_CHECKPOINT")
    checkpoint = Path(other) if other else tiny_checkpoint
    folder = tmp_path_factory.mktemp("victim")
    with run_service(checkpoint, tiny_release.path.parent, folder, {"DEEPFAKE_SCORE_CACHE_FRAMES": "0"}) as running:
        yield running


def load_of(service: Service) -> SteadyLoad:
    return SteadyLoad(service.url, photo("coffee.png").read_bytes())


@dataclass(frozen=True)
class Loss:
    """A process to lose, which process must be a new one afterwards, and what the supervisor says about it."""

    pick: Callable[[Service], int]
    replaced: Callable[[Service], object]
    said_if_killed: str = ""
    said_if_stopped: str = ""


LOSSES = {
    "stub": Loss(
        lambda service: service.stub_pids()[-1], Service.triton_pid, "lost the model process {pid}",
        "Triton has a process that is stopped ({pid})",
    ),
    "tritonserver": Loss(
        Service.triton_pid, Service.triton_pid, "Triton ended with code -9",
        "Triton has a process that is stopped ({pid})",
    ),
    "gateway": Loss(
        Service.gateway_pid, Service.gateway_pid, "the gateway ended with code -9", "the gateway is stopped"
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "signal_number"),
    [
        ("stub", signal.SIGKILL),
        ("stub", signal.SIGSTOP),
        ("tritonserver", signal.SIGKILL),
        pytest.param("tritonserver", signal.SIGSTOP, marks=pytest.mark.long),  # noticed as a stopped stub is
        ("gateway", signal.SIGKILL),
        ("gateway", signal.SIGSTOP),
    ],
)
def test_it_comes_back(name: str, signal_number: signal.Signals, victim: Service) -> None:
    loss = LOSSES[name]
    stubs = len(victim.stub_pids())
    with load_of(victim) as load:
        load.await_success(6, after=time.monotonic())
        before, pid = loss.replaced(victim), loss.pick(victim)
        os.kill(pid, signal_number)
        killed = time.monotonic()
        whole_s = _await_whole(victim, loss, before, stubs) - killed
        load.await_success(12, after=time.monotonic())
    failed, gap_s = [answer.status for answer in load.failures(killed)], load.longest_gap_s(killed)
    print(
        f"{name}, {signal_number.name}: whole after {whole_s:.1f} s; {len(failed)} failed; {gap_s:.1f} s without answer"
    )
    said = loss.said_if_killed if signal_number is signal.SIGKILL else loss.said_if_stopped
    assert said.format(pid=pid) in victim.printed()
    scores = [answer.score for answer in load.answers if answer.score is not None]
    assert max(scores) - min(scores) <= 1e-6  # one image, one score, before and after
    assert set(failed) <= {503, 504, 0}


def _await_whole(service: Service, loss: Loss, before: object, stubs: int) -> float:
    """When the killed process has a successor and no process is missing: client retries cannot fake that."""
    deadline = time.monotonic() + RECOVERY_BOUND_S
    while time.monotonic() < deadline:
        with contextlib.suppress(LookupError, OSError):
            whole = len(service.stub_pids()) == stubs and service.gateway_pid() > 0
            if loss.replaced(service) != before and whole:
                return time.monotonic()
        time.sleep(0.05)
    raise AssertionError(f"not whole after {RECOVERY_BOUND_S} s:\n{service.printed()}")


def test_no_region_is_left_by_the_killed_servers(victim: Service) -> None:
    """Four regions of the running server at most; those of the killed ones are gone."""
    prefix = next(victim.run_dir.glob("deepfake_*.json")).stem
    regions = [region for region in Path("/dev/shm").iterdir() if region.name.startswith(prefix)]
    assert len(regions) == len(victim.stub_pids())

"""Faults of the machine under load: `python -m reliability.faults`.

Each fault is made while requests go on, and mended after a while, unless the service is to mend it itself. Reported:
how long nothing was scored, what the callers got meanwhile, whether any score was wrong, and what was left behind.

It needs root, since file systems are filled: it runs in a mount namespace of its own, with small ones for uploads and
as /dev/shm, and nobody else's is touched.
"""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from assets import SAMPLE_PHOTOS, default_cache_dir, fetch_assets
from benchmark.contenders.start import OurService, serve_ours
from benchmark.seeded_checkpoint import make_untrained_checkpoint
from deploy.process import children_of
from deploy.triton.shared_memory import SHM
from tests.steady_load import RECOVERY_BOUND_S, SteadyLoad

_HELD_S = 5.0
_SETTLE_S = 2.0  # after the load, until connections are closed
_SPOOL_BYTES = 8 * 2**20  # of the file system for uploads
_SHM_BYTES = 400 * 2**20
_PIECE_BYTES = 4096
_INSIDE = "DEEPFAKE_FAULTS_NAMESPACE"


@dataclass(frozen=True)
class Outcome:
    """What a fault did.

    Attributes:
        fault: Its name.
        gap_s: The longest time without a success.
        last_failure_s: From the fault to the last answer that was none; 0 if there was no such.
        answered: Answers with a score since the fault.
        failed: The others by status; 0: the connection broke.
        wrong_scores: Scores that differ from the image's by more than 1e-6.
        processes: Processes of the service afterwards, more or fewer than before.
        descriptors: Their open files, likewise.
        regions: Shared memory regions, likewise.
    """

    fault: str
    gap_s: float
    last_failure_s: float
    answered: int
    failed: dict[int, int]
    wrong_scores: int
    processes: int
    descriptors: int
    regions: int


@dataclass(frozen=True)
class _Holdings:
    """What a service holds."""

    processes: int
    descriptors: int
    regions: int


def faults(
    checkpoint: Annotated[
        Path | None, typer.Option(help="Directory of the model; default: a tiny seeded one, so that starts are quick.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write the figures here as JSON.")] = None,
) -> None:
    """Makes each fault in turn and prints a table."""
    if _INSIDE not in os.environ:
        command = ["unshare", "--mount", sys.executable, "-m", "reliability.faults", *sys.argv[1:]]
        os.execvpe(command[0], command, {**os.environ, _INSIDE: "1"})
    image = fetch_assets(SAMPLE_PHOTOS)["astronaut.png"].read_bytes()
    folder = default_cache_dir() / "reliability"
    source = checkpoint or folder / "tiny"
    if not source.exists():
        make_untrained_checkpoint(source, hidden_size=64, layers=2)
    with tempfile.TemporaryDirectory(prefix="deepfake-faults-") as scratch:
        state = Path(scratch)
        spool = state / "spool"
        for needed in (state / "media", spool):
            needed.mkdir()
        _mount_small(spool, _SPOOL_BYTES)
        _mount_small(SHM, _SHM_BYTES)
        settings = {"PRECISION": "fp32", "TMPDIR": str(spool)}
        try:
            with serve_ours(source, folder / "releases-tiny", state / "media", state / "service", settings) as service:
                outcomes = [_suffer(name, fault, service, image) for name, fault in _faults_of(service, spool).items()]
        finally:
            subprocess.run(["umount", "--lazy", str(spool)], check=False)
    if output:
        output.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1) + "\n", "utf-8")


def _suffer(name: str, fault: AbstractContextManager[None], service: OurService, image: bytes) -> Outcome:
    before = _holdings(service)
    with SteadyLoad(service.url, image) as load:
        load.await_success(6, after=time.monotonic())
        expected = load.answers[0].score or 0.0
        began = time.monotonic()
        with fault:
            time.sleep(_HELD_S)
        mended = time.monotonic()
        load.await_success(12, after=mended)
        _await_processes(service, before.processes)
    time.sleep(_SETTLE_S)
    after = _holdings(service)
    scores = [answer.score for answer in load.answers if answer.score is not None and answer.at_s > began]
    outcome = Outcome(
        fault=name,
        gap_s=load.longest_gap_s(began),
        last_failure_s=max((a.at_s - began for a in load.failures(began)), default=0.0),
        answered=len(scores),
        failed=dict(Counter(answer.status for answer in load.failures(began))),
        wrong_scores=sum(abs(score - expected) > 1e-6 for score in scores),
        processes=after.processes - before.processes,
        descriptors=after.descriptors - before.descriptors,
        regions=after.regions - before.regions,
    )
    print(_line(outcome), flush=True)
    return outcome


def _line(outcome: Outcome) -> str:
    parts = [
        f"{outcome.fault:<34} gap {outcome.gap_s:4.1f} s",
        f"last failure at {outcome.last_failure_s:4.1f} s",
        f"{outcome.answered:4d} answered",
        f"failed {outcome.failed or 0}",
        f"wrong {outcome.wrong_scores}",
        f"left {outcome.processes:+d} processes, {outcome.descriptors:+d} files, {outcome.regions:+d} regions",
    ]
    return ", ".join(parts)


def _faults_of(service: OurService, spool: Path) -> dict[str, AbstractContextManager[None]]:
    """Every fault by name; each is made when its context is entered."""
    faults: dict[str, AbstractContextManager[None]] = {}
    for number in (signal.SIGKILL, signal.SIGSTOP):
        faults[f"{number.name} tritonserver"] = _signal(service, "tritonserver", number)
        faults[f"{number.name} a model process"] = _signal(service, "stub", number)
        faults[f"{number.name} gunicorn"] = _signal(service, "gunicorn", number)
        faults[f"{number.name} a gateway worker"] = _signal(service, "worker", number)
    faults["no room for uploads"] = _full(spool)
    faults["no room in /dev/shm"] = _full(SHM)
    faults["no descriptors in the gateway"] = _no_descriptors(service, "worker")
    faults["no descriptors in Triton"] = _no_descriptors(service, "tritonserver")
    return faults


def _pids(service: OurService, role: str) -> list[int]:
    """The processes of a role: tritonserver, stub, gunicorn or worker."""
    found: dict[str, list[int]] = {}
    for pid in children_of(service.pid):
        command = Path(f"/proc/{pid}/cmdline").read_text("utf-8", errors="replace")
        kind = "tritonserver" if "tritonserver" in command else "gunicorn"
        found.setdefault(kind, []).append(pid)
        found.setdefault("stub" if kind == "tritonserver" else "worker", []).extend(children_of(pid))
    return found.get(role, [])


@contextmanager
def _signal(service: OurService, role: str, number: signal.Signals) -> Iterator[None]:
    os.kill(_pids(service, role)[0], number)
    yield


@contextmanager
def _full(folder: Path) -> Iterator[None]:
    """Leaves a file system next to nothing."""
    filler = folder / "deepfake-faults-filler"
    try:
        # Piece by piece: the load takes and frees room meanwhile.
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(_PIECE_BYTES)):
                pass
        yield
    finally:
        filler.unlink(missing_ok=True)


@contextmanager
def _no_descriptors(service: OurService, role: str) -> Iterator[None]:
    """Allows a process no more open files than it has."""
    pids = _pids(service, role)
    limits = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in pids}
    try:
        for pid, (_soft, hard) in limits.items():
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (_descriptors(pid), hard))
        yield
    finally:
        for pid, limit in limits.items():
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)


def _mount_small(folder: Path, size_bytes: int) -> None:
    """Mounts a file system in this namespace, where it ends with the last process."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "none", str(folder)]
    if subprocess.run(mount, check=False).returncode != 0:
        sys.exit("faults: a small file system cannot be mounted; run this as root")


def _holdings(service: OurService) -> _Holdings:
    pids = service.pids()
    prefixes = [path.stem for path in (service.log.parent / "cache" / "run").glob("deepfake_*.json")]
    regions = [region for region in SHM.iterdir() if any(region.name.startswith(prefix) for prefix in prefixes)]
    return _Holdings(len(pids), sum(_descriptors(pid) for pid in pids), len(regions))


def _await_processes(service: OurService, count: int) -> None:
    """Waits until as many processes run as before, for a while."""
    deadline = time.monotonic() + RECOVERY_BOUND_S
    while len(service.pids()) != count and time.monotonic() < deadline:
        time.sleep(0.2)


def _descriptors(pid: int) -> int:
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return 0


if __name__ == "__main__":
    typer.run(faults)

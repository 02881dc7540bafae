"""Full file systems and exhausted descriptors under load: the callers get errors, the service comes back by itself.

Killed and stopped processes are in test_recovery.py. It needs root: the service runs in a mount namespace of its own,
with small file systems for uploads and as /dev/shm, which are filled through /proc. In the long form a fault is held
longer, and all are made.
"""

import contextlib
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.process import children_of
from export.release import Release
from tests.media import photo
from tests.service import Service, run_service
from tests.steady_load import SteadyLoad

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")

_SPOOL_BYTES = 8 * 2**20  # of the file system for uploads
_SHM_BYTES = 400 * 2**20
_PIECE_BYTES = 4096


@pytest.fixture(scope="module")
def cramped(
    tiny_checkpoint: Path, tiny_release: Release, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A service with little room. It remembers no scores, so that every request needs all of it."""
    folder = tmp_path_factory.mktemp("cramped")
    (folder / "spool").mkdir()
    mounts = (
        f"mount -t tmpfs -o size={_SPOOL_BYTES} none {folder / 'spool'} && "
        f'mount -t tmpfs -o size={_SHM_BYTES} none /dev/shm && exec "$@"'
    )
    prefix = ["unshare", "--mount", "sh", "-c", mounts, "sh"]
    extra = {"DEEPFAKE_SCORE_CACHE_FRAMES": "0", "TMPDIR": str(folder / "spool")}
    with run_service(tiny_checkpoint, tiny_release.path.parent, folder, extra, prefix=prefix) as running:
        yield running


def gateway_pids(service: Service) -> list[int]:
    others = [pid for pid in children_of(service.process.pid) if pid != service.triton_pid()]
    return [*others, *(child for pid in others for child in children_of(pid))]


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@contextmanager
def full(service: Service, folder: str) -> Iterator[None]:
    """Leaves a file system of the service next to nothing; piece by piece, since the load takes and frees room."""
    filler = Path(f"/proc/{service.process.pid}/root{folder}/deepfake-filler")
    try:
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(_PIECE_BYTES)):
                pass
        yield
    finally:
        filler.unlink(missing_ok=True)


@contextmanager
def no_descriptors(pids: list[int]) -> Iterator[None]:
    """Allows processes no more open files than they have."""
    limits = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in pids}
    try:
        for pid, (_soft, hard) in limits.items():
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (descriptors(pid), hard))
        yield
    finally:
        for pid, limit in limits.items():
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)


FAULTS = {
    "no room for uploads": lambda service: full(service, str(service.media_root.parent / "spool")),
    "no descriptors in the gateway": lambda service: no_descriptors(gateway_pids(service)),
    "no room in /dev/shm": lambda service: full(service, "/dev/shm"),
    "no descriptors in Triton": lambda service: no_descriptors([service.triton_pid()]),
}
_SHORT = list(FAULTS)[:2]


def suffer(service: Service, name: str, held_s: float) -> None:
    before = (len(service.stub_pids()), len(gateway_pids(service)))
    with SteadyLoad(service.url, photo("astronaut.png").read_bytes()) as load:
        load.await_success(6, after=time.monotonic())
        began = time.monotonic()
        with FAULTS[name](service):
            time.sleep(held_s)
        mended = time.monotonic()
        load.await_success(12, after=mended)
    failed = {answer.status for answer in load.failures(began)}
    print(f"{name}: failed with {failed or 0}, {load.longest_gap_s(began):.1f} s without an answer")
    assert failed <= {0, 503, 504}
    scores = [answer.score for answer in load.answers if answer.score is not None]
    assert max(scores) - min(scores) <= 1e-6
    assert (len(service.stub_pids()), len(gateway_pids(service))) == before


@pytest.mark.parametrize("name", _SHORT)
def test_it_comes_back(name: str, cramped: Service) -> None:
    suffer(cramped, name, held_s=1.5)


@pytest.mark.long
@pytest.mark.parametrize("name", FAULTS)
def test_it_comes_back_after_longer(name: str, cramped: Service) -> None:
    suffer(cramped, name, held_s=5)

"""Starts what is compared, each on free ports, waits for its first real answer, and ends it for certain."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from assets import SAMPLE_PHOTOS, default_cache_dir, fetch_assets
from benchmark.contenders.process_tree import end_tree, tree_pids
from benchmark.contenders.release_parts import RELEASE_VARIABLE
from benchmark.http_requests import HttpRequests, detect_requests, predict_requests
from runtime.free_ports import free_ports

START_TIMEOUT_S = 300.0
_FIRST_ANSWER_TIMEOUT_S = 60.0
# Without the machine's proxy settings, which are not meant for servers on this machine.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_GRACE_S = 20.0
_SEED_THREADS = 8
# Settings of whoever runs the benchmark that would lead the service elsewhere.
_NOT_INHERITED = frozenset(
    {"CHECKPOINT", "MODEL_PATH", "MEDIA_ROOT", "PORT", "HOST", "REVISION", "RELEASES_DIR", "SERVING_PLAN"}
)


class ContenderError(Exception):
    """A server that is to be measured does not run."""


@dataclass(frozen=True)
class Contender:
    """A running server.

    Attributes:
        name: What results call it.
        url: Base URL of its HTTP endpoint.
        pid: The process that was started; it leads its own session.
        log: What it prints.
    """

    name: str
    url: str
    pid: int
    log: Path

    def pids(self) -> list[int]:
        """All its processes."""
        return tree_pids(self.pid)


@dataclass(frozen=True)
class OurService(Contender):
    """The service of this project.

    Attributes:
        grpc: Triton's gRPC address, host:port.
        triton_http: Triton's HTTP address, host:port.
        metrics_url: Triton's Prometheus metrics.
        media_root: Folder below which extractedFrames are read.
    """

    grpc: str
    triton_http: str
    metrics_url: str
    media_root: Path


@contextmanager
def serve_seed(checkpoint: Path, media_root: Path, batch_size: int, folder: Path) -> Iterator[Contender]:
    """The seed system: POST /api/v1/inference, POST /predict.

    Args:
        checkpoint: Directory of the model.
        media_root: Folder below which extractedFrames are read.
        batch_size: Frames in one batch of its pipeline.
        folder: Gets its log; made if it is not there.

    Raises:
        ContenderError: It does not start.
    """
    port = free_ports(1)[0]
    command = [
        sys.executable, "-m", "gunicorn", "--workers", "1", "--worker-class", "gthread", "--threads",
        str(_SEED_THREADS), "--bind", f"127.0.0.1:{port}", "--timeout", "600", "--keep-alive", "75",
        "--no-control-socket", "benchmark.contenders.seed_server:create_app()",
    ]  # fmt: skip
    settings = {
        "SEED_CHECKPOINT": str(checkpoint.resolve()),
        "SEED_MEDIA_ROOT": str(media_root.resolve()),
        "SEED_BATCH_SIZE": str(batch_size),
    }
    with _started(f"seed-batch-{batch_size}", command, settings, folder) as (process, log):
        server = Contender(f"seed-batch-{batch_size}", f"http://127.0.0.1:{port}", process.pid, log)
        _await_answer(process, server, predict_requests(_sample()))
        yield server


@contextmanager
def serve_litserve(release: Path, folder: Path) -> Iterator[Contender]:
    """The release behind LitServe: POST /predict.

    Args:
        release: Folder of a release.
        folder: Gets its log; made if it is not there.

    Raises:
        ContenderError: It does not start.
    """
    port = free_ports(1)[0]
    command = [sys.executable, "-m", "benchmark.contenders.litserve_server", str(port)]
    with _started("litserve", command, {RELEASE_VARIABLE: str(release.resolve())}, folder) as (process, log):
        server = Contender("litserve", f"http://127.0.0.1:{port}", process.pid, log)
        _await_answer(process, server, predict_requests(_sample()))
        yield server


@contextmanager
def serve_mosec(release: Path, folder: Path) -> Iterator[Contender]:
    """The release behind Mosec: POST /predict.

    Args:
        release: Folder of a release.
        folder: Gets its log; made if it is not there.

    Raises:
        ContenderError: It does not start.
    """
    port = free_ports(1)[0]
    # Its sockets; the path of one may hold some 100 characters.
    sockets = Path(tempfile.mkdtemp(prefix="mosec-"))
    command = [
        sys.executable, "-m", "benchmark.contenders.mosec_server", "--address", "127.0.0.1", "--port", str(port),
        "--path", str(sockets / "ipc"), "--timeout", "300000", "--log-level", "warning",
    ]  # fmt: skip
    try:
        with _started("mosec", command, {RELEASE_VARIABLE: str(release.resolve())}, folder) as (process, log):
            server = Contender("mosec", f"http://127.0.0.1:{port}", process.pid, log)
            _await_answer(process, server, predict_requests(_sample()))
            yield server
    finally:
        shutil.rmtree(sockets, ignore_errors=True)


@contextmanager
def serve_ours(
    checkpoint: Path, releases: Path, media_root: Path, folder: Path, env: Mapping[str, str] | None = None
) -> Iterator[OurService]:
    """The service of this project, as `make serve` starts it, without its cache of scores.

    Args:
        checkpoint: Directory of the model.
        releases: Folder of releases; one is exported into it unless it is there.
        media_root: Folder below which extractedFrames are read.
        folder: Gets its logs and state; made if it is not there.
        env: More settings, such as PRECISION; they win.

    Raises:
        ContenderError: It does not start.
    """
    port, http, grpc, metrics = free_ports(4)
    settings = {
        "CHECKPOINT": str(checkpoint.resolve()),
        "RELEASES_DIR": str(releases.resolve()),
        "MEDIA_ROOT": str(media_root.resolve()),
        "PORT": str(port),
        "TRITON_HTTP_PORT": str(http),
        "TRITON_GRPC_PORT": str(grpc),
        "TRITON_METRICS_PORT": str(metrics),
        "DEEPFAKE_CACHE_DIR": str(_own_cache(folder)),
        "SCORE_CACHE_FRAMES": "0",
        **(env or {}),
    }
    with _started("ours", [sys.executable, "-m", "deploy.local"], settings, folder) as (process, log):
        server = OurService(
            name="ours", url=f"http://127.0.0.1:{port}", pid=process.pid, log=log, grpc=f"127.0.0.1:{grpc}",
            triton_http=f"127.0.0.1:{http}", metrics_url=f"http://127.0.0.1:{metrics}/metrics", media_root=media_root,
        )  # fmt: skip
        _await_answer(process, server, detect_requests(_sample()))
        yield server


def _own_cache(folder: Path) -> Path:
    """A state folder that shares this machine's fetched files and nothing else."""
    cache, shared = folder.resolve() / "cache", default_cache_dir() / "assets"
    cache.mkdir(parents=True, exist_ok=True)
    shared.mkdir(parents=True, exist_ok=True)
    if not (cache / "assets").exists():
        (cache / "assets").symlink_to(shared)
    return cache


@contextmanager
def _started(
    name: str, command: Sequence[str], settings: Mapping[str, str], folder: Path
) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    """A process of its own session; its whole tree is gone in the end."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{name}.log"
    inherited = {key: value for key, value in os.environ.items() if key not in _NOT_INHERITED}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env={**inherited, **settings}, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield process, log
    finally:
        end_tree(process, _GRACE_S)


def _await_answer(process: "subprocess.Popen[bytes]", server: Contender, requests: HttpRequests) -> None:
    """Asks until one inference is answered.

    Raises:
        ContenderError: It ends, or does not answer in time.
    """
    request = urllib.request.Request(
        server.url + requests.path, requests.body(0), {"Content-Type": requests.content_type}, method="POST"
    )
    deadline = time.monotonic() + START_TIMEOUT_S
    problem = "no answer"
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with _OPENER.open(request, timeout=_FIRST_ANSWER_TIMEOUT_S):
                return
        except OSError as error:  # not listening yet, or HTTP 4xx or 5xx
            problem = str(error)
        time.sleep(0.2)
    state = "is still starting" if process.poll() is None else f"ended with code {process.returncode}"
    tail = "\n".join(server.log.read_text("utf-8", errors="replace").splitlines()[-15:])
    raise ContenderError(f"{server.name} {state} ({problem}); the end of {server.log}:\n{tail}")


def _sample() -> list[Path]:
    return [fetch_assets(SAMPLE_PHOTOS)["astronaut.png"]]

"""Starts the servers that are compared, each on free ports, waits for the first real answer, and ends them."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets import SAMPLE_PHOTOS, default_cache_dir, fetch_assets
from benchmark.contenders import RELEASE_VARIABLE
from benchmark.frames import image_body
from runtime.free_ports import free_ports

ROOT = Path(__file__).resolve().parent.parent

_CALL_TIMEOUT_S = 120.0
_START_TIMEOUT_S = 600.0  # the first start exports the checkpoint
_END_S = 30.0
_PLAIN_THREADS = 8
_MOSEC_SETTINGS = {"MOSEC_ADDRESS": "127.0.0.1", "MOSEC_TIMEOUT": "300000", "MOSEC_LOG_LEVEL": "warning"}
# A canary of an idle service would compute beside the measured one; a score cache would answer in place of the model.
_OUR_SETTINGS = {"CANARY_INTERVAL_S": "60", "SCORE_CACHE_FRAMES": "0"}
_UNPREFIXED = frozenset({"CHECKPOINT", "MEDIA_ROOT", "PORT"})
# Settings of whoever runs the benchmark that would lead a service elsewhere.
_NOT_INHERITED = frozenset({"CHECKPOINT", "MODEL_PATH", "MEDIA_ROOT", "PORT", "HOST", "REVISION", "RELEASES_DIR"})
# Without the machine's proxy settings, which are not meant for this machine's own services.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class BenchError(Exception):
    """Something cannot be measured: a server does not start or answer, a load fails, or the options forbid it."""


@dataclass(frozen=True)
class Server:
    """A running server. Its calls have no HTTP library between the clock and the socket.

    Attributes:
        name: For tables: `plain b1`, `ours bf16`, ...
        url: Base URL.
        route: Where a single image is posted: `/detect` takes a form, `/predict` the bytes.
        pid: The process that was started; 0 for a deployment elsewhere.
    """

    name: str
    url: str
    route: str = "/predict"
    pid: int = 0

    def score_frames(self, frames: Sequence[str], media_type: str = "VIDEO") -> dict[str, Any]:
        """Has listed frames scored: POST /api/v1/inference.

        Args:
            frames: Paths below the service's media root.
            media_type: `VIDEO` or `IMAGE`.

        Raises:
            BenchError: It failed.
        """
        body = json.dumps({"mediaType": media_type, "extractedFrames": list(frames)}).encode()
        return self._post("/api/v1/inference", body, "application/json")

    def score_image(self, image: bytes) -> dict[str, Any]:
        """Has one encoded image scored.

        Raises:
            BenchError: It failed.
        """
        return self._post(self.route, *image_body(self.route, image))

    def _post(self, route: str, body: bytes, content_type: str) -> dict[str, Any]:
        request = urllib.request.Request(self.url + route, body, {"Content-Type": content_type})
        try:
            with _OPENER.open(request, timeout=_CALL_TIMEOUT_S) as answer:
                found: dict[str, Any] = json.loads(answer.read())
                return found
        except (OSError, ValueError) as error:
            said = error.read()[:300] if isinstance(error, urllib.error.HTTPError) else b""
            raise BenchError(f"{self.name}, {route}: {error} {said.decode(errors='replace')}") from error


def serve_ours(
    name: str, checkpoint: Path, precision: str, media_root: Path, folder: Path, checkout: Path = ROOT
) -> AbstractContextManager[Server]:
    """The service of a checkout, as its `make serve` starts it.

    Args:
        name: What results call it.
        checkpoint: Directory of the model; exported at the first start.
        precision: PRECISION.
        media_root: Folder below which extractedFrames are read.
        folder: Gets its releases, log and state, which the next start uses again.
        checkout: This one, or another version of the project with its own `.venv`.

    Raises:
        BenchError: It does not start.
    """
    port, http, grpc, metrics = free_ports(4)
    cache, shared = folder.resolve() / "cache", default_cache_dir() / "assets"
    for needed in (cache, shared):
        needed.mkdir(parents=True, exist_ok=True)
    if not (cache / "assets").exists():
        (cache / "assets").symlink_to(shared)
    settings = {
        **_OUR_SETTINGS, "CHECKPOINT": str(checkpoint.resolve()), "PRECISION": precision,
        "MEDIA_ROOT": str(media_root.resolve()),
        "RELEASES_DIR": str(folder.resolve() / "releases"), "PORT": str(port), "TRITON_HTTP_PORT": str(http),
        "TRITON_GRPC_PORT": str(grpc), "TRITON_METRICS_PORT": str(metrics), "CACHE_DIR": str(cache),
    }  # fmt: skip
    # Versions before 0.2.0 read most settings without the prefix.
    both = {**settings, **{f"DEEPFAKE_{key}": value for key, value in settings.items() if key not in _UNPREFIXED}}
    python = sys.executable if checkout == ROOT else str(checkout / ".venv" / "bin" / "python")
    server = Server(name, f"http://127.0.0.1:{port}", "/detect")
    return _running(server, [python, "-m", "deploy.local"], both, folder, checkout)


def serve_plain(checkpoint: Path, media_root: Path, batch: int, folder: Path) -> AbstractContextManager[Server]:
    """A plain Flask + transformers service: POST /api/v1/inference, POST /predict.

    Raises:
        BenchError: It does not start.
    """
    port = free_ports(1)[0]
    command = [
        sys.executable, "-m", "gunicorn", "--worker-class", "gthread", "--threads", str(_PLAIN_THREADS), "--bind",
        f"127.0.0.1:{port}", "--timeout", "600", "benchmark.contenders.plain_server:create_app()",
    ]  # fmt: skip
    settings = {
        "PLAIN_CHECKPOINT": str(checkpoint.resolve()),
        "PLAIN_MEDIA_ROOT": str(media_root.resolve()),
        "PLAIN_BATCH_SIZE": str(batch),
    }
    return _running(Server(f"plain b{batch}", f"http://127.0.0.1:{port}"), command, settings, folder)


def serve_framework(name: str, release: Path, folder: Path) -> AbstractContextManager[Server]:
    """A release behind `LitServe` or `mosec`: POST /predict.

    Raises:
        BenchError: It does not start.
    """
    port = free_ports(1)[0]
    command = [sys.executable, "-m", f"benchmark.contenders.{name.lower()}_app", "--port", str(port)]
    settings = {RELEASE_VARIABLE: str(release.resolve()), **_MOSEC_SETTINGS}
    return _running(Server(name, f"http://127.0.0.1:{port}"), command, settings, folder)


@contextmanager
def stopped(servers: Sequence[Server]) -> Iterator[None]:
    """Holds servers still (SIGSTOP): what polls while idle takes nothing from the one that is measured."""
    held = [process for server in servers for process in _tree(server.pid)]
    for process in held:
        process.suspend()
    try:
        yield
    finally:
        for process in held:
            process.resume()


@contextmanager
def _running(
    server: Server, command: Sequence[str], env: Mapping[str, str], folder: Path, checkout: Path = ROOT
) -> Iterator[Server]:
    """The server's process, from its first answer on; all that it started is gone in the end."""
    import psutil  # type: ignore[import-untyped]  # --help does without it

    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "server.log"
    inherited = {key: value for key, value in os.environ.items() if key.removeprefix("DEEPFAKE_") not in _NOT_INHERITED}
    paths = [checkout, *([checkout / "client"] if (checkout / "client" / "pyproject.toml").exists() else [])]
    environment = {**inherited, **env, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=checkout, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        _await_answer(process, server, log)
        yield Server(server.name, server.url, server.route, process.pid)
    finally:
        tree = _tree(process.pid)
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        for survivor in psutil.wait_procs(tree, timeout=5)[1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                survivor.kill()
        process.wait()


def _tree(pid: int) -> list[Any]:
    import psutil

    try:
        leader = psutil.Process(pid)
        return [leader, *leader.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _await_answer(process: "subprocess.Popen[bytes]", server: Server, log: Path) -> None:
    """Asks until one image is scored.

    Raises:
        BenchError: The process ends, or does not answer in time.
    """
    image = fetch_assets(SAMPLE_PHOTOS)["astronaut.png"].read_bytes()
    deadline = time.monotonic() + _START_TIMEOUT_S
    problem = "no answer"
    while process.poll() is None and time.monotonic() < deadline:
        try:
            server.score_image(image)
            return
        except BenchError as error:  # not listening yet, or not ready
            problem = str(error)
        time.sleep(0.2)
    state = "is still starting" if process.poll() is None else f"ended with code {process.returncode}"
    tail = "\n".join(log.read_text("utf-8", errors="replace").splitlines()[-15:])
    raise BenchError(f"{server.name} {state} ({problem}); the end of {log}:\n{tail}")

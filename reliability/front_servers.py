"""The servers that could stand in front of the application, each as its own processes on a free port."""

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from benchmark.contenders.process_tree import end_tree, tree_pids
from runtime.free_ports import free_ports

_START_S = 30.0
_GRACE_S = 1.0  # what is under way when a measurement ends is of no use to anybody
_GUNICORN = (sys.executable, "-P", "-m", "gateway.gunicorn_start", "-c", "python:gateway.gunicorn_conf")


class FrontError(Exception):
    """A server does not start."""


@dataclass(frozen=True)
class Front:
    """A running server.

    Attributes:
        port: Where clients connect, on 127.0.0.1.
        leaders: Process ids, each of which leads a session.
    """

    port: int
    leaders: tuple[int, ...]

    def pids(self) -> list[int]:
        """All its processes."""
        return [pid for leader in self.leaders for pid in tree_pids(leader)]

    def memory_mib(self) -> float:
        """Memory of its own, without what is shared through files."""
        return sum(_anonymous_kib(pid) for pid in self.pids()) / 1024


Starter = Callable[[Path, Mapping[str, str]], AbstractContextManager[Front]]


@contextmanager
def ours(folder: Path, settings: Mapping[str, str]) -> Iterator[Front]:
    """What ships: gunicorn with `gateway.gunicorn_worker`."""
    with _process("ours", [sys.executable, "-P", "-m", "gateway"], folder, settings) as front:
        yield front


@contextmanager
def gthread(folder: Path, settings: Mapping[str, str]) -> Iterator[Front]:
    """Gunicorn with the threaded worker that it brings."""
    with _process("gthread", [*_GUNICORN, "--worker-class", "gthread"], folder, settings) as front:
        yield front


@contextmanager
def waitress(folder: Path, settings: Mapping[str, str]) -> Iterator[Front]:
    """Waitress: one process, with the threads and places of all of gunicorn's workers."""
    workers = int(settings["GATEWAY_WORKERS"])
    threads, places = workers * 24, workers * int(settings.get("MAX_IN_FLIGHT", "6"))
    port = free_ports(1)[0]
    command = [
        sys.executable, "-m", "waitress", f"--listen=127.0.0.1:{port}", f"--threads={threads}",
        "--connection-limit=1000", "--call", "gateway.app:create_app",
    ]  # fmt: skip
    more = {"MAX_IN_FLIGHT": str(places), "GATEWAY_THREADS": str(threads), "METRICS_ENABLED": "false"}
    with _process("waitress", command, folder, {**settings, **more}, port) as front:
        yield front


@contextmanager
def nginx(folder: Path, settings: Mapping[str, str]) -> Iterator[Front]:
    """Nginx with its buffers as they come, in front of what ships."""
    with ours(folder, {**settings, "TRUSTED_PROXIES": "1"}) as behind:
        port = free_ports(1)[0]
        configuration = folder / "nginx.conf"
        configuration.write_text(_NGINX.format(folder=folder, port=port, behind=behind.port), "utf-8")
        command = [str(shutil.which("nginx")), "-p", str(folder), "-c", str(configuration), "-e", "stderr"]
        with _process("nginx", command, folder, {}, port) as front:
            yield Front(port, (*front.leaders, *behind.leaders))


_NGINX = """daemon off; worker_processes 1; pid {folder}/nginx.pid; user root;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_max_body_size 200m; client_body_temp_path {folder}/bodies; proxy_temp_path {folder}/answers;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  client_header_timeout 10s; client_body_timeout 10s; send_timeout 10s;
  upstream gateway {{ server 127.0.0.1:{behind}; keepalive 32; }}
  server {{ listen 127.0.0.1:{port} backlog=1024; location / {{
    proxy_pass http://gateway; proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme; proxy_read_timeout 60s;
  }} }}
}}
"""


def installed() -> dict[str, Starter]:
    """Those that are on this machine. Nginx is looked for on the PATH, waitress among the Python packages."""
    found: dict[str, Starter] = {"ours": ours, "gthread": gthread}
    if importlib.util.find_spec("waitress"):
        found["waitress"] = waitress
    if shutil.which("nginx"):
        found["nginx + ours"] = nginx
    return found


@contextmanager
def _process(
    name: str, command: list[str], folder: Path, settings: Mapping[str, str], port: int = 0
) -> Iterator[Front]:
    port = port or free_ports(1)[0]
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **settings, "PORT": str(port)}, stdin=subprocess.DEVNULL,
            stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        _await_answer(process, port, log)
        yield Front(port, (process.pid,))
    finally:
        end_tree(process, _GRACE_S)


def _await_answer(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    give_up = time.monotonic() + _START_S
    while True:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/openapi.json")
            connection.getresponse().read()
            return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > give_up:
                raise FrontError(f"no answer; its log ends with {log.read_text('utf-8')[-1500:]}") from error
            time.sleep(0.1)
        finally:
            connection.close()


def _anonymous_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    except OSError:  # gone
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))

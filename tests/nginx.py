"""nginx as it stands before the gateway: the real program with deploy/nginx, on a free port of the loopback address."""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.free_ports import free_ports
from tests.service import ROOT

CONFIGURATION = ROOT / "deploy" / "nginx"
_PLACES = f"{sys.prefix}/nginx/usr/sbin:/usr/sbin:/usr/local/sbin"
"""Where deploy/install.sh puts it, and where it is that is not in everybody's PATH."""


def program() -> str:
    """Path of nginx.

    Raises:
        RuntimeError: It is not installed.
    """
    found = shutil.which("nginx") or shutil.which("nginx", path=_PLACES)
    if found is None:
        raise RuntimeError("this needs nginx; run: sudo apt-get install --no-install-recommends nginx")
    return found


@contextmanager
def run_nginx(gateway_port: int, timeouts_s: int = 10, **settings: str) -> Iterator[str]:
    """Starts it before a gateway; yields its base URL.

    Args:
        gateway_port: Of the gateway on 127.0.0.1.
        timeouts_s: Time limit of headers and between two pieces of a body, instead of the 10 s of the configuration.
        settings: Environment variables of start.sh.
    """
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="nginx-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # started by root, its workers are somebody else
        shutil.copytree(CONFIGURATION, folder / "configuration")
        configuration = folder / "configuration" / "nginx.conf"
        text = configuration.read_text("utf-8")
        assert text.count("_timeout 10s;") == 2
        configuration.write_text(text.replace("_timeout 10s;", f"_timeout {timeouts_s}s;"), "utf-8")
        env = {
            "PATH": "/usr/bin:/bin", "NGINX": program(), "WORK_DIR": str(folder / "work"),
            "LISTEN": f"127.0.0.1:{port}", "GATEWAY": f"127.0.0.1:{gateway_port}", **settings,
        }  # fmt: skip
        log = folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["/bin/sh", folder / "configuration" / "start.sh"], env=env, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            _await_port(port, process, log)
            yield f"{'https' if 'TLS_CERT_FILE' in settings else 'http'}://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


def _await_port(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert process.poll() is None, log.read_text("utf-8")
            assert time.monotonic() < deadline, log.read_text("utf-8")
        time.sleep(0.02)

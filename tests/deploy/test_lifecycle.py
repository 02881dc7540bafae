"""Start errors and ends of the real command: exit codes, one clear line, nothing left behind."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from deploy.process import Child, children_of
from deploy.triton.shared_memory import SHM
from export.release import Release
from runtime.free_ports import free_ports
from tests.media import photo
from tests.service import ROOT, Service, run_service, service_environment, stop


def serve(folder: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    port, grpc, metrics = (str(port) for port in free_ports(3))
    settings = {
        "PORT": port, "DEEPFAKE_TRITON_GRPC_PORT": grpc,
        "DEEPFAKE_TRITON_METRICS_PORT": metrics,
        "MEDIA_ROOT": str(folder), "DEEPFAKE_RELEASES_DIR": str(folder / "releases"),
        "DEEPFAKE_CACHE_DIR": str(folder / "cache"), "HF_HOME": str(folder / "hub"),
        "HF_ENDPOINT": "http://127.0.0.1:9",
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "deploy.local"],
        cwd=ROOT, env=service_environment(**{**settings, **env}), capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip


def last_line(done: "subprocess.CompletedProcess[str]") -> str:
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = serve(tmp_path, PORT=str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "stop what uses it or set PORT" in last_line(done)


def test_a_wrong_setting(tmp_path: Path) -> None:
    done = serve(tmp_path, PORT="http")
    assert done.returncode == 2
    assert "port" in last_line(done).lower()


def test_a_checkpoint_that_is_not_there(tmp_path: Path) -> None:
    done = serve(tmp_path, CHECKPOINT=str(tmp_path / "no\x1b[2Jwhere"))
    assert done.returncode == 1
    assert "no\\x1b[2Jwhere: no such directory" in last_line(done)


def test_a_chosen_hub_model_never_falls_back(tmp_path: Path) -> None:
    done = serve(tmp_path, CHECKPOINT="someone/some-model")
    assert done.returncode == 1
    assert "the hub cannot be reached" in last_line(done)


def test_the_fallback_can_be_forbidden(tmp_path: Path) -> None:
    done = serve(tmp_path, DEEPFAKE_EMBEDDED_FALLBACK="false")
    assert done.returncode == 1
    assert "the hub cannot be reached" in last_line(done)


def test_a_damaged_release_is_not_served(tiny_checkpoint: Path, tiny_release: Release, tmp_path: Path) -> None:
    releases = tmp_path / "releases"
    shutil.copytree(tiny_release.path.parent, releases, symlinks=True)
    model = releases / tiny_release.release_id / "model_repository" / "classifier" / "1" / "model.onnx"
    model.write_bytes(model.read_bytes()[:-100])
    done = serve(tmp_path, CHECKPOINT=str(tiny_checkpoint), DEEPFAKE_PRECISION="fp32")
    assert done.returncode == 1
    assert "is damaged (classifier/1/model.onnx)" in last_line(done)


def all_pids(service: Service) -> list[int]:
    return [service.process.pid, service.triton_pid(), *service.stub_pids(), service.gateway_pid()]


def regions_of(service: Service) -> list[str]:
    prefixes = [record.stem for record in service.run_dir.glob("deepfake_*.json")]
    return [r.name for r in SHM.iterdir() if any(r.name.startswith(prefix) for prefix in prefixes)]


# Every service of the tests is ended with SIGTERM.
@pytest.mark.parametrize("signal_number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_it_stops_cleanly(
    signal_number: signal.Signals, tiny_checkpoint: Path, tiny_release: Release, tmp_path: Path
) -> None:
    """A request under way is finished, also where all processes get the signal at once."""
    with run_service(tiny_checkpoint, tiny_release.path.parent, tmp_path) as service:
        pids, regions = all_pids(service), regions_of(service)
        assert len(regions) == len(service.stub_pids()) > 0
        for pid in service.stub_pids():
            os.kill(pid, signal.SIGSTOP)
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(
                requests.post, f"{service.url}/detect", files={"file": photo("coffee.png").read_bytes()}
            )
            time.sleep(0.5)  # it waits for a model process
            for pid in pids if signal_number is signal.SIGTERM else pids[:1]:
                os.kill(pid, signal_number)
            time.sleep(0.5)
            for pid in service.stub_pids():
                os.kill(pid, signal.SIGCONT)
            assert answer.result().status_code == 200, answer.result().text
        assert service.process.wait(40) == 0
    assert [pid for pid in pids if _runs(pid)] == []
    assert [region for region in regions if (SHM / region).exists()] == []


def test_a_hanging_triton_does_not_delay_the_stop(tiny_checkpoint: Path, tiny_release: Release, tmp_path: Path) -> None:
    with run_service(tiny_checkpoint, tiny_release.path.parent, tmp_path) as service:
        os.kill(service.triton_pid(), signal.SIGSTOP)
        time.sleep(6)  # a canary is now waiting for it
        service.process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        assert service.process.wait(60) == 0
    assert time.monotonic() - started < 20  # Triton's grace and no more


def test_a_triton_that_hangs_at_its_start_ends_the_command(
    tiny_checkpoint: Path, tiny_release: Release, tmp_path: Path
) -> None:
    def stop_it() -> None:
        links = f"{tmp_path}/cache/run/deepfake-links-"
        while True:
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    if links in entry.read_text("utf-8", errors="replace"):
                        os.kill(int(entry.parent.name), signal.SIGSTOP)
                        return
            time.sleep(0.005)

    stopper = threading.Thread(target=stop_it)
    stopper.start()
    done = serve(
        tmp_path,
        CHECKPOINT=str(tiny_checkpoint),
        DEEPFAKE_PRECISION="fp32",
        DEEPFAKE_RELEASES_DIR=str(tiny_release.path.parent),
    )
    stopper.join()
    assert done.returncode == 1
    assert "deepfake-serve: Triton has a process that is stopped" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_time_for_a_start_is_the_whole_of_start_timeout_s(
    tiny_checkpoint: Path, tiny_release: Release, tmp_path: Path
) -> None:
    model = {
        "CHECKPOINT": str(tiny_checkpoint),
        "DEEPFAKE_PRECISION": "fp32",
        "DEEPFAKE_RELEASES_DIR": str(tiny_release.path.parent),
    }
    done = serve(tmp_path, **model, DEEPFAKE_START_TIMEOUT_S="0.5")
    assert done.returncode == 1
    assert "deepfake-serve: Triton did not answer within 0.5 s; its log ends:" in done.stderr


OTHER_SERVERS = {
    "AIP_MODE": "PREDICTION", "AIP_HTTP_PORT": "{port}", "FLASK_DEBUG": "1",
    "GUNICORN_CMD_ARGS": "--bind=0.0.0.0:{port}", "WEB_CONCURRENCY": "4",
}  # fmt: skip


def test_awkward_surroundings(tiny_checkpoint: Path, tiny_release: Release, tmp_path: Path) -> None:
    """Spaces and accents in every path, Python's too, an ASCII locale, a dead proxy, all interfaces, other servers'
    variables, and modules with the names of ours in the current folder. No hang-up ends it, as under nohup."""
    folder = tmp_path / "mon dossier é; touch x"
    folder.mkdir()
    releases = folder / "the releases"
    shutil.copytree(tiny_release.path.parent, releases, symlinks=True)
    for name in ("gateway", "preprocessing", "runtime", "client", "numpy"):
        (folder / f"{name}.py").write_text(f"raise SystemExit('not {name}')")
    (folder / "venv").symlink_to(sys.prefix)
    (other_port,) = free_ports(1)
    environment = {
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY", "HTTP_PROXY"), "http://127.0.0.1:9"),
        **{name: value.format(port=other_port) for name, value in OTHER_SERVERS.items()},
        "DEEPFAKE_HOST": "::", "LC_ALL": "C", "PYTHONPATH": f"{ROOT}:{ROOT / 'client'}", "PYTHONSAFEPATH": "1",
    }  # fmt: skip
    python = folder / "venv" / "bin" / "python"
    nohup = ["env", "--ignore-signal=HUP"]
    with run_service(tiny_checkpoint, releases, folder, environment, folder, nohup, python) as service:
        listening = _listening_addresses()
        assert listening[service.port] == {"0" * 32}  # of IPv6 and IPv4
        assert listening[service.triton_grpc_port] == {"127.0.0.1"}
        assert other_port not in listening
        service.process.send_signal(signal.SIGHUP)
        for host in ("127.0.0.1", "[::1]"):
            with photo("astronaut.png").open("rb") as stream:
                answer = requests.post(f"http://{host}:{service.port}/detect", files={"file": stream}, timeout=30)
            assert answer.status_code == 200, answer.text
        assert "stopping" not in service.printed()


def _listening_addresses() -> dict[int, set[str]]:
    """Addresses that something listens on, by port, from the kernel's tables (words in little-endian hexadecimal)."""
    addresses: dict[int, set[str]] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text("ascii").splitlines()[1:]:
            fields = line.split()
            address, port = fields[1].split(":")
            if fields[3] == "0A":
                mapped = address.removeprefix("0000000000000000FFFF0000")  # an IPv4 address on an IPv6 socket
                known = socket.inet_ntoa(bytes.fromhex(mapped)[::-1]) if len(mapped) == 8 else address
                addresses.setdefault(int(port, 16), set()).add(known)
    return addresses


def test_a_killed_supervisor_takes_its_processes_along(
    tiny_checkpoint: Path, tiny_release: Release, tmp_path: Path
) -> None:
    releases = tiny_release.path.parent
    with run_service(tiny_checkpoint, releases, tmp_path) as service:
        pids, regions = all_pids(service), regions_of(service)
        service.process.kill()
        deadline = time.monotonic() + 30
        while alive := [pid for pid in pids[1:] if _runs(pid)]:
            assert time.monotonic() < deadline, f"still running: {alive}"
            time.sleep(0.1)
        stop(service)
    # It could not clean up itself; the next start does.
    shutil.rmtree(tmp_path / "media")
    (tmp_path / "cache" / "assets").unlink()
    saved = tmp_path / "cache-of-killed"
    (tmp_path / "cache").rename(saved)
    with run_service(tiny_checkpoint, releases, tmp_path, {"DEEPFAKE_CACHE_DIR": str(saved)}):
        assert [region for region in regions if (SHM / region).exists()] == []


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    child = Child("stubborn", [sys.executable, "-c", code], os.environ, tmp_path / "log")
    while "up" not in child.log_tail():
        time.sleep(0.02)
    assert child.pid in children_of(os.getpid())
    child.end(grace_s=0.2)
    assert child.exit_code == -signal.SIGKILL
    assert child.pid not in children_of(os.getpid())

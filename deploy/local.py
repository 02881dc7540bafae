"""`make serve`, `deepfake-serve`: the whole service on this machine with one command."""

import shlex
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from pydantic import ValidationError
from pydantic_settings import CliApp

from assets import SAMPLE_PHOTOS, AssetError, fetch_assets
from deploy.errors import DeployError
from deploy.following import sole_follower
from deploy.model import ensure_release
from deploy.preflight import check_machine
from deploy.settings import LocalSettings
from deploy.triton.shared_memory import region_prefix
from deploy.supervisor import Supervisor
from export.errors import ExportError
from export.release import Release

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    """Console script. Exit codes: 0 stopped on request, 1 could not start, 2 usage."""
    try:
        settings = CliApp.run(LocalSettings)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors())
        print(f"deepfake-serve: {problems}", file=sys.stderr)
        sys.exit(2)
    try:
        serve(settings)
    except (DeployError, ExportError, AssetError) as error:
        sys.exit(f"deepfake-serve: {error}")
    except OSError as error:
        sys.exit(f"deepfake-serve: {error.filename or 'file system'}: {error.strerror}")


def serve(settings: LocalSettings) -> None:
    """Runs the service until Ctrl-C or SIGTERM.

    Raises:
        DeployError: This machine cannot run it, or a process did not start.
        ExportError: The model cannot be had or served.
        AssetError: A file of the catalogue cannot be fetched.
    """
    started = time.monotonic()
    # During an export a signal unwinds the stack, so that nothing half-written is left behind.
    for number in _STOP_SIGNALS:
        signal.signal(number, _exit)
    check_machine(settings)
    with sole_follower(settings.releases_dir) as follows:
        if not follows:
            say(f"another deployment runs on {settings.releases_dir}: its `current` is neither moved nor followed here")
        release = ensure_release(settings, follows, say)
        _serve(settings, release, follows, started)


def _serve(settings: LocalSettings, release: Release, follows: bool, started: float) -> None:
    sample = fetch_assets(SAMPLE_PHOTOS, settings.cache_dir)["astronaut.png"]
    run_dir = settings.cache_dir / "run"
    logs = run_dir / f"logs-{settings.port}"
    with region_prefix(run_dir) as prefix:
        supervisor = Supervisor(settings, release, prefix, say, logs, follows)

        def stop(_number: int, _frame: FrameType | None) -> None:
            supervisor.request_stop()

        for number in _STOP_SIGNALS:
            signal.signal(number, stop)
        try:
            say(f"starting Triton and the gateway; logs in {logs}")
            supervisor.start()
            if not supervisor.stopping:
                _print_addresses(settings, sample, time.monotonic() - started)
            supervisor.run()
        finally:
            say("stopping")
            supervisor.stop()
    say("stopped")


def _exit(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _print_addresses(settings: LocalSettings, sample: Path, elapsed_s: float) -> None:
    say(f"ready after {elapsed_s:.1f} s: a real inference went through the gateway")
    print(f"  HTTP gateway   {settings.gateway_url}        (/api/v1/inference, /detect, /health)")
    triton = settings.triton_addresses
    print(f"  Triton         {triton.grpc_url} gRPC, port {triton.http_port} HTTP, port {triton.metrics_port} metrics")
    print(f"  media root     {settings.media_root.resolve()}")
    print("try it:")
    print(f"  curl -s -F file=@{shlex.quote(str(sample))} {settings.gateway_url}/detect", flush=True)


def say(line: str) -> None:
    """Shows one line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


if __name__ == "__main__":
    main()

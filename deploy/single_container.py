"""`python -m deploy.single_container`: Triton and the gateway in one container, over the release in its image.

`make serve` without the export: the supervisor is the same, so what dies is started again inside the container. The
container's health check is the gateway's, GET /health.
"""

import os
import platform
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from pydantic import ValidationError

from deploy.errors import DeployError, PreflightError
from deploy.preflight import (
    MIN_SHM_BYTES,
    check_media_root,
    check_numpy,
    check_ports,
    check_python,
    check_shared_memory,
    find_shared_libpython,
)
from deploy.settings import LocalSettings
from deploy.triton.shared_memory import SHM, region_prefix
from deploy.supervisor import Supervisor
from deploy.triton_container import current_release
from export.errors import ExportError

_MIB = 2**20
_SMALL_SHM_BYTES = 48 * _MIB
_SMALL_SHM_LIMITS = {
    "MAX_FRAME_BYTES": str(8 * _MIB),
    "DEEPFAKE_CLIENT_CHUNK_BYTES": str(4 * _MIB),
    "DEEPFAKE_CLIENT_REQUESTS_IN_FLIGHT": "1",
    "GATEWAY_WORKERS": "1",
    "MAX_IN_FLIGHT": "2",
}
"""At most 16 MiB of images are under way at once: the regions of two preprocess instances, which never shrink, and of
the classifier then fit into the 64 MiB of /dev/shm that `docker run` gives."""

_BAKED = ("checkpoint", "revision", "serving_plan")


def main() -> None:
    """Exit codes: 0 stopped on request, 1 could not start, 2 usage."""
    try:
        settings = LocalSettings()
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(str(p) for p in e['loc']).upper()}: {e['msg']}" for e in error.errors())
        print(f"deepfake: {problems}", file=sys.stderr)
        sys.exit(2)
    try:
        serve(settings)
    except (DeployError, ExportError) as error:
        sys.exit(f"deepfake: {error}")
    except OSError as error:
        sys.exit(f"deepfake: {error.filename or 'file system'}: {error.strerror}")


def serve(settings: LocalSettings) -> None:
    """Runs the service until SIGTERM or SIGINT.

    Raises:
        DeployError: The container cannot run it, or a process did not start.
        ExportError: The image's release is damaged.
    """
    refuse_baked_settings(settings)
    check_python(sys.version_info[:2], platform.system(), platform.machine())
    check_numpy()
    find_shared_libpython()
    check_ports(settings)
    check_media_root(settings)
    os.environ.update(limits_for(SHM, os.environ))
    release = current_release(settings.releases_dir)
    if notice := release.manifest["description"]["notice"]:
        _say(f"WARNING: {notice}")
    run_dir = settings.cache_dir / "run"
    with region_prefix(run_dir) as prefix:
        supervisor = Supervisor(settings, release, prefix, _say, run_dir / "logs", follows=False, show_output=True)

        def stop(_number: int, _frame: FrameType | None) -> None:
            supervisor.request_stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        try:
            supervisor.start()
            if not supervisor.stopping:
                _say(f"ready on port {settings.port}: a real inference went through the gateway")
            supervisor.run()
        finally:
            _say("stopping")
            supervisor.stop()
    _say("stopped")


def refuse_baked_settings(settings: LocalSettings) -> None:
    """Refuses settings that only the image's build obeys, rather than serve another model than the one asked for.

    Raises:
        PreflightError: One is set.
    """
    if given := [name.upper() for name in _BAKED if getattr(settings, name) is not None]:
        raise PreflightError(
            f"{', '.join(given)}: the model is part of the image; build it with --build-arg, or mount a folder of "
            "releases at /releases"
        )


def limits_for(shm: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Settings of the gateway that keep what is under way within /dev/shm; none where it has room enough.

    Args:
        shm: Where shared memory is.
        environment: Settings that are there already; they win.

    Raises:
        PreflightError: It is too small even so.
    """
    try:
        stats = os.statvfs(shm)
        free = stats.f_bavail * stats.f_frsize
    except OSError:
        free = 0
    if not _SMALL_SHM_BYTES <= free < MIN_SHM_BYTES:
        check_shared_memory(shm)
        return {}
    limits = {name: value for name, value in _SMALL_SHM_LIMITS.items() if not environment.get(name)}
    _say(
        f"{shm} has {free // _MIB} MiB, so: {', '.join(f'{k}={v}' for k, v in limits.items()) or 'as set'}. "
        "With --shm-size=1g there are no such limits"
    )
    return limits


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} deepfake: {line}", flush=True)


if __name__ == "__main__":
    main()

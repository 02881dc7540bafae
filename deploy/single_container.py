"""`python -m deploy.single_container`: Triton and the gateway in one container, over the release in its image.

`make serve` without the export: what dies is started again inside the container. The container's health check is the
gateway's, GET /health.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from deploy.console import exits_with_one_line, say
from deploy.errors import PreflightError
from deploy.gpu_release import served_release
from deploy.ports import claimed
from deploy.preflight import (
    MIN_SHM_BYTES,
    check_media_root,
    check_ports,
    check_python_and_libraries,
    check_shared_memory,
)
from deploy.settings import DeploySettings
from deploy.supervisor import Plan, supervise
from deploy.triton.shared_memory import SHM

_MIB = 2**20
_SMALL_SHM_BYTES = 48 * _MIB
_SMALL_SHM_LIMITS = {
    "DEEPFAKE_MAX_FRAME_BYTES": str(8 * _MIB),
    "DEEPFAKE_CLIENT_CHUNK_BYTES": str(4 * _MIB),
    "DEEPFAKE_CLIENT_REQUESTS_IN_FLIGHT": "1",
    "DEEPFAKE_MAX_IN_FLIGHT": "2",
}
"""At most 16 MiB of images are under way at once: the regions of two preprocess instances, which never shrink, and of
the classifier then fit into the 64 MiB of /dev/shm that `docker run` gives."""

_BAKED = ("checkpoint", "revision")


def main() -> None:
    """Exit codes: 0 stopped on request, 1 could not start, 2 usage."""
    with exits_with_one_line("deepfake"):
        serve(DeploySettings())


def serve(settings: DeploySettings) -> None:
    """Runs the service until SIGTERM or SIGINT.

    Raises:
        DeployError: The container cannot run it, or a process did not start.
        ExportError: The image's release is damaged.
    """
    refuse_baked_settings(settings)
    check_python_and_libraries()
    check_ports(settings)
    check_media_root(settings)
    os.environ.update(limits_for(SHM, os.environ))
    release = served_release(settings.releases_dir, say)

    def on_ready(elapsed_s: float) -> None:
        say(f"ready on port {settings.port} after {elapsed_s:.1f} s: a real inference went through the gateway")

    with claimed(settings, with_gateway=True):
        supervise(Plan(settings, release, say, on_ready, with_gateway=True, restarts=True))


def refuse_baked_settings(settings: DeploySettings) -> None:
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
    say(
        f"{shm} has {free // _MIB} MiB, so: {', '.join(f'{k}={v}' for k, v in limits.items()) or 'as set'}. "
        "With --shm-size=1g there are no such limits"
    )
    return limits


if __name__ == "__main__":
    main()

"""`python -m deploy.triton_container`: what the Triton container runs; with `check`, its health check.

With `--only-preprocess` it is a server of a preprocess pool (docs/deploy.md).

Triton never restarts a dead Python-backend process and goes on calling itself ready. So this process verifies the
release, runs Triton, watches its model processes, proves the rest by canary inferences, and ends with an error when the
server can no longer be trusted: the container's restart policy then brings a new one.
"""

import argparse
import sys
from types import FrameType

from deploy.console import exits_with_one_line, say
from deploy.errors import DeployError
from deploy.gpu_release import served_release
from deploy.ports import claimed
from deploy.preflight import check_python_and_libraries, check_shared_memory, warn_of_old_server
from deploy.settings import DeploySettings
from deploy.supervisor import Plan, on_stop_signals, supervise
from deploy.triton.canary import Canary, PreprocessCanary
from deploy.triton.shared_memory import SHM
from export.golden import read_golden
from export.release import CURRENT, REPOSITORY, warmed_batches


def main() -> None:
    """Exit codes: 0 stopped on request or healthy, 1 not started, broken or unhealthy, 2 usage."""
    parser = argparse.ArgumentParser(prog="python -m deploy.triton_container", description=__doc__)
    parser.add_argument("command", nargs="?", choices=("serve", "check"), default="serve")
    parser.add_argument("--only-preprocess", action="store_true")
    chosen = parser.parse_args()
    with exits_with_one_line("triton"):
        (check if chosen.command == "check" else serve)(DeploySettings(), chosen.only_preprocess)


def check(settings: DeploySettings, only_preprocess: bool) -> None:
    """Runs one real inference against the running server.

    Raises:
        DeployError: It failed, or the server has not scored its golden images, or batches of every size, yet.
        ExportError: They cannot be read.
    """
    served = settings.releases_dir / CURRENT
    needs_proof = not only_preprocess and (
        read_golden(served) is not None or len(warmed_batches(served / REPOSITORY)) > 1
    )
    if needs_proof and not settings.proof.exists():
        raise DeployError("the release's batches and golden images have not been scored as recorded yet")
    canary = (PreprocessCanary if only_preprocess else Canary)(settings.triton_addresses.grpc_url)
    try:
        if failure := canary.failure():
            raise DeployError(failure)
    finally:
        canary.close()


def serve(settings: DeploySettings, only_preprocess: bool) -> None:
    """Runs Triton until SIGTERM or SIGINT.

    Raises:
        DeployError: The container cannot run it, or it broke.
        ExportError: There is no release, or it is damaged.
    """
    # Before anything else: as process 1 of a container, without an init, it ignores signals that have no handler.
    on_stop_signals(_exit)
    check_python_and_libraries()
    check_shared_memory(SHM)
    warn_of_old_server(settings, say)
    release = served_release(settings.releases_dir, say, for_classifier=not only_preprocess)

    def on_ready(elapsed_s: float) -> None:
        settings.proof.touch()
        say(f"ready after {elapsed_s:.1f} s: a real inference succeeded")

    settings.proof.unlink(missing_ok=True)
    with claimed(settings, with_gateway=False):
        supervise(
            Plan(settings, release, say, on_ready, with_gateway=False, restarts=False, only_preprocess=only_preprocess)
        )


def _exit(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main()

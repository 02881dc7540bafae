"""`python -m deploy.gpu_release`: may the current release run on this machine's GPU? To be asked before Triton starts.

A release for TensorRT belongs to the compute capability and the TensorRT that it was built with. Elsewhere, and with an
old driver, Triton would end with a message about serialisation, or with a number of CUDA's.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from deepfake_client.command_line.exits import USAGE, run
from deepfake_client.command_line.help import new_app, styled
from deploy.console import Say, exits_with_one_line, say
from deploy.errors import PreflightError
from deploy.settings import DeploySettings
from export.release import CURRENT, Release, classifier_folders, read_release, verify_files
from runtime import BuiltOn, ClassifierLoadError, RuntimeSpec
from runtime.gpu import check_driver, visible_gpus

PROGRAM = "python -m deploy.gpu_release"

EXIT_CODES = {0: "the current release may run here", 1: "it may not, or there is none", **USAGE}
EXAMPLES = ("python -m deploy.gpu_release --releases-dir /releases",)

app = new_app(PROGRAM)


def check_gpu(release: Release, here: Callable[[], BuiltOn] = BuiltOn.here) -> list[str]:
    """Checks that a release may run here; those for processors run anywhere.

    Args:
        release: What is to be served.
        here: Tells this machine's GPU, driver and TensorRT; asked only where the release belongs to some.

    Returns:
        What to warn of, one line each.

    Raises:
        PreflightError: It may not; the message says what to do.
    """
    try:
        # Several classifiers are made for one machine.
        spec = RuntimeSpec.load(classifier_folders(release.repository)[0] / "1")
        if spec.built_on is not None:
            return spec.built_on.check(here())
        if spec.runtime == "onnxruntime":
            _check_drivers()
    except ClassifierLoadError as error:
        raise PreflightError(f"release {release.release_id} cannot be served here: {error}") from error
    return []


def _check_drivers() -> None:
    try:
        gpus = visible_gpus()
    except ClassifierLoadError:
        return  # Triton says itself that there is no GPU
    for gpu in gpus:
        check_driver(gpu.driver)


def served_release(releases_dir: Path, say: Say, for_classifier: bool = True) -> Release:
    """The release that `current` points to, every file of it verified, and the GPU it was built for.

    Args:
        releases_dir: Folder of releases.
        say: Shows one line to the user.
        for_classifier: Whether its classifier is to run here.

    Raises:
        ExportError: There is none, or it is damaged.
        PreflightError: It cannot run on this GPU, driver or TensorRT.
    """
    release = read_release(releases_dir / CURRENT)
    verify_files(release)
    for warning in check_gpu(release) if for_classifier else ():
        say(f"WARNING: {warning}")
    if release.info.notice:
        say(f"WARNING: {release.info.notice}")
    say(f"model {release.info.name}, release {release.release_id}")
    return release


@app.command(cls=styled(EXIT_CODES, EXAMPLES))
def check_command(
    releases_dir: Annotated[
        Path | None, typer.Option(envvar="DEEPFAKE_RELEASES_DIR", help="Where releases are kept.")
    ] = None,
) -> None:
    """Says whether the current release may run on this machine's GPU.

    Ask it before Triton starts. A release for TensorRT belongs to the GPU, driver and TensorRT that it was built on.
    """
    with exits_with_one_line("gpu_release"):
        release = served_release(releases_dir or DeploySettings().releases_dir, say)
    print(f"release {release.release_id} may run here")


if __name__ == "__main__":
    run(app, PROGRAM)

"""`make serve`, `deepfake-serve`: the whole service on this machine with one command."""

import os
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from assets import SAMPLE_PHOTOS, fetch_assets
from deepfake_client.command_line.exits import USAGE, run
from deepfake_client.command_line.help import new_app, styled
from deepfake_client.command_line.settings import options_of
from deploy.console import exits_with_one_line, others_to
from deploy.ports import claimed
from deploy.preflight import check_machine, warn_of_old_server
from deploy.settings import DeploySettings
from deploy.supervisor import SAMPLING_SECRET, Plan, has_own_secret, kept_secret, on_stop_signals, supervise

_EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "astronaut.png"


PROGRAM = "deepfake-serve"

EXIT_CODES = {
    0: "stopped by Ctrl-C or SIGTERM",
    1: "could not start, or broke: the message says why",
    **USAGE,
    130: "interrupted before it was ready",
    143: "ended by SIGTERM before it was ready",
}
EXAMPLES = (
    "deepfake-serve",
    "deepfake-serve --checkpoint someone/some-model --precision fp32",
    "PORT=8080 MEDIA_ROOT=/srv/media deepfake-serve",
)
GROUPS = {
    "host": "Addresses",
    "preprocess_servers": "Preprocessing apart",
    "triton_tls_cert_file": "Encrypted gRPC",
    "checkpoint": "Model",
    "face_detection": "Pictures",
    "media_root": "Folders",
    "instances": "Operation",
}
OLD_NAMES = {"--model-path": "--checkpoint"}

app = new_app(PROGRAM)


@app.command(cls=styled(EXIT_CODES, EXAMPLES, GROUPS, OLD_NAMES))
@options_of(DeploySettings)
def serve_command(read_settings: Callable[[], DeploySettings]) -> None:
    """Serves deepfake detection on this machine, until Ctrl-C or SIGTERM.

    Exports the model if needed, then runs Triton and the HTTP gateway. docs/settings.md has these settings, and those
    of the gateway and of its connection to Triton, which are environment variables alone.
    """
    serve(read_settings())


def main() -> None:
    """Console script."""
    with exits_with_one_line(PROGRAM):
        run(app, PROGRAM)


def serve(settings: DeploySettings) -> None:
    """Runs the service until Ctrl-C or SIGTERM.

    Raises:
        DeployError: This machine cannot run it, or a process did not start.
        ExportError: The model cannot be had or served.
        AssetError: A file of the catalogue cannot be fetched.
    """
    from deploy.model import ensure_release  # with all that an export needs: --help does without
    from runtime.process import show_crashes

    # During an export a signal unwinds the stack, so that nothing half-written is left behind.
    on_stop_signals(_exit)
    check_machine(settings)
    logs = settings.logs
    with claimed(settings, with_gateway=True), others_to(logs / "serve.log") as show:
        show_crashes()

        def say(line: str) -> None:
            show(f"{time.strftime('%H:%M:%S')} {line}")

        say(f"logs are in {logs}")
        warn_of_old_server(settings, say)
        release = ensure_release(settings, say)
        photo = _example_photo(settings)
        say("starting Triton and the gateway")

        def on_ready(elapsed_s: float) -> None:
            triton = settings.triton_addresses
            http = f"HTTP at port {triton.http_port}, " if triton.http_port else ""
            ports = f"gRPC at {triton.grpc_url}, {http}metrics at port {triton.metrics_port}"
            say(f"ready after {elapsed_s:.1f} s; Triton: {ports}")
            if settings.preprocess_url:
                say(f"servers that only preprocess: gRPC at {settings.preprocess_url}")
            show(f"Open {settings.gateway_url}/ (Ctrl-C stops the service)")
            show(f"try it: curl -s -F file=@{shlex.quote(photo)} {settings.gateway_url}/detect")
            show(f"    or: {shlex.join(_detect_command(settings, photo))}")

        supervise(Plan(settings, release, say, on_ready, with_gateway=True, restarts=True, logs=logs))


def _example_photo(settings: DeploySettings) -> str:
    """A photo with a face: that of the checkout, as seen from the current folder, or a fetched one."""
    if _EXAMPLE.is_file():
        return os.path.relpath(_EXAMPLE)
    return str(fetch_assets(SAMPLE_PHOTOS, settings.cache_dir)["astronaut.png"])


def _detect_command(settings: DeploySettings, photo: str) -> list[str]:
    """`deepfake-detect` of this installation, as typed in the current folder."""
    program = os.path.relpath(Path(sys.executable).with_name("deepfake-detect"))
    default = DeploySettings.model_fields["triton_grpc_port"].default
    elsewhere = [] if settings.triton_grpc_port == default else ["--url", settings.triton_addresses.grpc_url]
    # With the gateway's secret it samples the same frames of a video, and gives the page's number.
    secret = [f"{SAMPLING_SECRET}_FILE={kept_secret(settings.cache_dir)}"]
    shared = [] if has_own_secret() else ["env", *secret]
    return [*shared, program, photo, *elsewhere]


def _exit(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    main()

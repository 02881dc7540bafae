"""`deepfake-export` and `python -m export`: a checkpoint becomes a served release."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from assets import AssetError
from deepfake_client.command_line.exits import INTERRUPTED, USAGE, fail, require_packages, run
from deepfake_client.command_line.help import new_app, styled
from deepfake_client.command_line.options import NAMED, WHOLE_IMAGE, FakeLabels, FakeWhenOption, Version, split_names
from deepfake_client.plain_text import shown
from export.checkpoint.fusion import Sources, find_sources
from export.checkpoint.head import Labelling
from export.errors import ExportError
from export.settings import ExportSettings, Step
from export.settings import Progress as ReportStep
from preprocessing import FaceDetector
from runtime.process import show_crashes

if TYPE_CHECKING:
    from export.release import Release


def _names(name: str) -> list[str]:
    """Variables of an option: with the prefix, and as it was called before."""
    return [f"DEEPFAKE_{name}", name]


PROGRAM = "deepfake-export"

DEFAULT_CHECKPOINT = "prithivMLmods/Deepfake-Detect-Siglip2"

EXIT_CODES = {
    0: "released",
    1: "refused or failed: what is served has not changed",
    **USAGE,
    **INTERRUPTED,
    143: "ended by SIGTERM",
}
EXAMPLES = (
    "deepfake-export --checkpoint my-checkpoint",
    "deepfake-export --checkpoint someone/some-model --precision auto",
    "deepfake-export --checkpoint face-model,scene-model --whole-image scene-model",
    "deepfake-export --checkpoint my-checkpoint --backend onnxruntime --gpu",
)
GROUPS = {
    "checkpoint": "Model",
    "precision": "Release",
    "face_detection": "Pictures",
    "instances": "Speed",
    "allow_flat_scores": "Parity gate",
}
OLD_NAMES = {"--fake-label": "--fake-labels"}

_PACKAGES = {
    "torch": "export", "transformers": "export", "onnx": "export", "nncf": "export",
    "openvino": "export", "simplejpeg": "preprocessing",
}  # fmt: skip

app = new_app(PROGRAM)


Precision = Literal["fp32", "bf16", "fp16", "int8", "auto"]
Backend = Literal["python", "onnxruntime", "tensorrt"]


@app.command(cls=styled(EXIT_CODES, EXAMPLES, GROUPS, OLD_NAMES))
def export(
    checkpoint: Annotated[str, typer.Option(envvar=["CHECKPOINT", "MODEL_PATH"], help=NAMED)] = DEFAULT_CHECKPOINT,
    revision: Annotated[
        str | None,
        typer.Option(help="Branch, tag or commit of the hub repository; of several, one for each, with commas."),
    ] = None,
    whole_image: Annotated[str, typer.Option(envvar=_names("WHOLE_IMAGE"), help=WHOLE_IMAGE)] = "",
    fake_labels: FakeLabels = None,
    fake_when: FakeWhenOption = None,
    precision: Annotated[
        Precision | None,
        typer.Option(
            envvar=_names("PRECISION"),
            help="Numeric format; auto: the fastest that passes on this machine.",
            show_default="fp32, on a GPU auto",
        ),
    ] = None,
    backend: Annotated[
        Backend,
        typer.Option(
            envvar=_names("BACKEND"),
            help="python: OpenVINO behind the Python backend; onnxruntime, tensorrt: NVIDIA's image. A plan for "
            "tensorrt is built, and runs, on this machine's GPU alone.",
        ),
    ] = "python",
    gpu: Annotated[
        bool, typer.Option("--gpu", help="Run the onnxruntime backend on a GPU. The gate runs there too.")
    ] = False,
    releases_dir: Annotated[
        Path,
        typer.Option(
            envvar=_names("RELEASES_DIR"),
            help="Where releases are kept; `current` points to the served one.",
        ),
    ] = Path("releases"),
    promote_release: Annotated[
        bool, typer.Option("--promote/--no-promote", help="Make the release the current one.")
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Export even if the same release exists.")] = False,
    face_detection: Annotated[
        bool,
        typer.Option(envvar=_names("FACE_DETECTION"), help="Crop each frame to its faces."),
    ] = True,
    face_detector: Annotated[
        FaceDetector,
        typer.Option(
            envvar=_names("FACE_DETECTOR"),
            help="What runs the face models: OpenVINO, or MediaPipe itself.",
        ),
    ] = FaceDetector.DIRECT,
    pipeline_pixels: Annotated[
        bool,
        typer.Option(
            "--pipeline-pixels",
            envvar=_names("PIPELINE_PIXELS"),
            help="Ignore colour profiles and transparency, as transformers' image pipelines do.",
        ),
    ] = False,
    max_image_bytes: Annotated[
        int,
        typer.Option(
            envvar=_names("MAX_IMAGE_BYTES"),
            min=1,
            help="Largest encoded image that is accepted.",
        ),
    ] = ExportSettings.max_image_bytes,
    max_image_pixels: Annotated[
        int,
        typer.Option(
            envvar=_names("MAX_IMAGE_PIXELS"),
            min=1,
            help="Largest width x height that is accepted.",
        ),
    ] = ExportSettings.max_image_pixels,
    instances: Annotated[
        int,
        typer.Option(
            envvar=_names("INSTANCES"),
            min=0,
            help="Instances of preprocess; 0: one per core, at most 8 and what fits.",
        ),
    ] = 0,
    classifier_instances: Annotated[
        int, typer.Option(min=0, help="Instances of the classifier (python backend); 0: one per 16 cores.")
    ] = 0,
    cores_per_instance: Annotated[
        int, typer.Option(min=0, help="Cores of each instance of the classifier; 0: an equal share.")
    ] = 0,
    preferred_batch: Annotated[int, typer.Option(min=1, max=32, help="Frames that Triton gathers for one run.")] = 8,
    queue_delay_us: Annotated[
        int, typer.Option(min=0, help="How long Triton waits for them, in microseconds; 0: not at all.")
    ] = 0,
    allow_flat_scores: Annotated[
        bool,
        typer.Option(
            "--allow-flat-scores",
            envvar=_names("ALLOW_FLAT_SCORES"),
            help="Take a model that says nearly the same of every picture.",
        ),
    ] = False,
    tolerance: Annotated[
        float | None,
        typer.Option(min=0.0, show_default="the precision's own", help="Limit of max |dp| from PyTorch."),
    ] = None,
    parity_images: Annotated[
        int, typer.Option(min=8, help="Generated images in the gate; twice as many photos for low precisions.")
    ] = 32,
    _version: Version = False,
) -> None:
    """Turns an image classifier into a release: a Triton model repository that passed the parity gate."""
    if gpu and backend != "onnxruntime":
        raise typer.BadParameter("--gpu needs --backend onnxruntime")
    require_packages(PROGRAM, _PACKAGES)
    show_crashes()
    settings = ExportSettings(
        releases_dir=releases_dir,
        precision=precision or ("auto" if gpu or backend == "tensorrt" else "fp32"),
        backend=backend,
        gpu=gpu,
        instances=instances,
        classifier_instances=classifier_instances,
        cores_per_instance=cores_per_instance,
        preferred_batch=preferred_batch,
        queue_delay_us=queue_delay_us,
        face_detection=face_detection,
        face_detector=face_detector,
        max_image_bytes=max_image_bytes,
        max_image_pixels=max_image_pixels,
        pipeline_pixels=pipeline_pixels,
        labelling=Labelling(split_names(fake_labels), fake_when),
        allow_flat_scores=allow_flat_scores,
        tolerance=tolerance,
        parity_images=parity_images,
    )
    with _ends_on_signals() as check:
        find = partial(find_sources, checkpoint, revision, split_names([whole_image]))
        release = _release(find, settings, promote_release, force, check)
    _print_release(release)


def _release(
    find: Callable[[], Sources],
    settings: ExportSettings,
    promote_release: bool,
    force: bool,
    check: Callable[[], None],
) -> "Release":
    """Finds or makes the release; ends the program with a message where that fails."""
    from export.release import promote, verify_files
    from export.run import existing_release, export_checkpoint

    try:
        sources = find()
        release = None if force else existing_release(sources, settings)
        if release is not None:
            verify_files(release)
            _say(f"release {release.release_id} of {sources.name} is up to date", err=True)
        else:
            with _step_reporter(check) as report:
                release = export_checkpoint(sources, settings, report)
        check()
        if promote_release:
            promote(release)
    except (ExportError, AssetError) as error:
        check()
        fail(PROGRAM, str(error), 1)
    return release


@contextmanager
def _ends_on_signals() -> Iterator[Callable[[], None]]:
    """SIGTERM and Ctrl-C unwind the stack, so that nothing half-written is left behind, and the exit code says so.

    Libraries with a bare `except:` swallow the exception that the handler raises, or make another of it: what is
    yielded raises it again, and so does leaving the block.
    """
    received: list[int] = []

    def check() -> None:
        if received:
            sys.exit(128 + received[0])

    def handler(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        check()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)
    try:
        yield check
        check()
    except BaseException:
        if not received:
            raise
        fail(PROGRAM, f"ended by {signal.Signals(received[0]).name}; what is served has not changed", 128 + received[0])


def _say(line: str, *, err: bool = False) -> None:
    typer.echo(shown(line), err=err)


def _print_release(release: "Release") -> None:
    from export.report import explain_choice

    info = release.info
    _say(f"model        {info.name}  ({info.architecture}, {info.precision})")
    neither = f"; neither fake nor real: {', '.join(info.other_labels)}" if info.other_labels else ""
    together = " or " if info.activation == "softmax" else "), P("
    highest = "the highest of " if info.activation == "sigmoid" and len(info.fake_labels) > 1 else ""
    _say(f"labels       {', '.join(info.labels)}; fake = {highest}P({together.join(info.fake_labels)}){neither}")
    _say(f"release      {release.path}")
    _say(f"export id    {info.export_id}")
    if built := release.manifest.get("built_on"):
        capability = built["compute_capability"]
        _say(
            f"for          {built['gpu']} (compute capability {capability}), TensorRT {built['tensorrt']}, and no other"
        )
    for member in info.members:
        seen = "the whole image" if member.whole_image else "the face"
        _say(f"member       {member.name}: {seen}, weight {member.weight:.4g}, fake = {', '.join(member.fake_labels)}")
    for line in explain_choice(release.path):
        _say(line)
    if info.notice:
        _say(f"notice       {info.notice}")


@contextmanager
def _step_reporter(check: Callable[[], None]) -> Iterator[ReportStep]:
    """Shows steps as a live display on a terminal and as one line each elsewhere, on standard error.

    Args:
        check: Called at every step.
    """
    console, last, started = Console(stderr=True), "", time.monotonic()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as display:
        task = display.add_task("", total=None)

        def report(step: Step) -> None:
            nonlocal last
            check()
            display.update(task, description=step.name, completed=step.done, total=step.total or None)
            if not console.is_terminal and step.name != last:
                last = step.name
                print(f"{time.monotonic() - started:4.0f} s  {step.name}", file=sys.stderr, flush=True)

        yield report


def main() -> None:
    """Console script."""
    run(app, PROGRAM)

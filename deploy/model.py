"""Which release is served: found, or exported from the checkpoint that the settings or the hub give."""

import time
from pathlib import Path

from deepfake_client.command_line.options import split_names
from deploy.console import Say
from deploy.errors import StartError
from deploy.settings import DeploySettings
from export.checkpoint.fusion import Sources, find_sources
from export.checkpoint.head import Labelling
from export.cli import DEFAULT_CHECKPOINT
from export.errors import HubUnreachableError
from export.release import Release, promote, verify_files
from export.report import SERVED, explain_choice
from export.run import existing_release, export_checkpoint
from export.settings import ExportSettings, Step
from preprocessing import FaceDetector

EMBEDDED_CHECKPOINT = Path(__file__).resolve().parent / "embedded_checkpoint"
"""A small trained model, made by `make embedded`: what is served where the default model's hub cannot be reached. It
exercises every part of the service, and its card says what it reaches: a demonstration, no detector to rely on."""

_PROGRESS_S = 30.0
"""How often a long export says what it does."""


def ensure_release(settings: DeploySettings, say: Say) -> Release:
    """The release for these settings, verified; `current` points to it.

    Args:
        settings: The deployment's settings.
        say: Shows one line to the user.

    Raises:
        ExportError: The checkpoint cannot be had or served, or fails the parity gate.
        AssetError: The face models cannot be fetched.
        StartError: The hub is out of reach, and this installation has no embedded checkpoint.
    """
    sources = _locate(settings, say)
    export_settings = ExportSettings(
        releases_dir=settings.releases_dir,
        precision=settings.precision,
        instances=settings.instances,
        face_detection=settings.face_detection,
        face_detector=FaceDetector(settings.face_detector),
        max_image_bytes=settings.max_image_bytes,
        max_image_pixels=settings.max_image_pixels,
        pipeline_pixels=settings.pipeline_pixels,
        labelling=Labelling(split_names([settings.fake_labels]), settings.fake_when),
        allow_flat_scores=settings.allow_flat_scores,
        cache_dir=settings.cache_dir,
    )
    release = existing_release(sources, export_settings)
    if release is None:
        say(f"exporting {sources.name} ({settings.precision}), once for each model ...")
        progress = _Progress(say)
        release = export_checkpoint(sources, export_settings, progress.report)
        say(f"exported in {progress.elapsed_s:.0f} s")
    verify_files(release)
    promote(release)
    say(f"model {release.info.name}, release {release.release_id}")
    choice = explain_choice(release.path)
    for line in choice:
        if line.endswith(SERVED):
            say(line)
    print("\n".join(choice), flush=True)  # for the log
    return release


class _Progress:
    """Says now and then what a long export does."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._started = time.monotonic()
        self._said = self._started

    @property
    def elapsed_s(self) -> float:
        """Time since the export began."""
        return time.monotonic() - self._started

    def report(self, step: Step) -> None:
        """Takes note of a step."""
        if time.monotonic() - self._said >= _PROGRESS_S:
            self._said = time.monotonic()
            self._say(f"  {step.name} ({self.elapsed_s:.0f} s)")


def _locate(settings: DeploySettings, say: Say) -> Sources:
    """The chosen checkpoints. Only the unchosen default falls back: whoever names a model gets that one or an error."""
    whole_image = split_names([settings.whole_image])
    if settings.checkpoint is not None:
        return find_sources(settings.checkpoint, settings.revision, whole_image)
    try:
        return find_sources(DEFAULT_CHECKPOINT, settings.revision, whole_image)
    except HubUnreachableError as error:
        if not settings.embedded_fallback:
            raise
        say(f"WARNING: {error}")
        say("WARNING: serving the small EMBEDDED model instead, a demonstration; CHECKPOINT=DIRECTORY serves yours")
        return find_sources(str(embedded_checkpoint()))


def embedded_checkpoint() -> Path:
    """The embedded checkpoint's directory.

    Raises:
        StartError: This installation has none.
    """
    if not (EMBEDDED_CHECKPOINT / "model.safetensors").is_file():
        raise StartError(f"the embedded checkpoint is not in {EMBEDDED_CHECKPOINT}; install again, or set CHECKPOINT")
    return EMBEDDED_CHECKPOINT

"""Which release is served: found, or exported from the checkpoint that the settings or the hub give."""

from collections.abc import Callable

from deploy.embedded import embedded_checkpoint
from deploy.settings import LocalSettings
from export.checkpoint.hub import LocatedCheckpoint, locate_checkpoint
from export.cli import DEFAULT_CHECKPOINT, step_reporter
from export.errors import HubUnreachableError
from export.plan_file import PlanFile
from export.release import Release, promote, verify_files
from export.report import explain_choice
from export.run import ExportSettings, existing_release, export_checkpoint


def ensure_release(settings: LocalSettings, make_current: bool, say: Callable[[str], None]) -> Release:
    """The release for these settings, verified.

    Args:
        settings: The deployment's settings.
        make_current: Whether `current` is to point to it.
        say: Shows one line to the user.

    Raises:
        ExportError: The checkpoint cannot be had or served, or fails the parity gate.
        AssetError: The face models cannot be fetched.
        StartError: The hub is out of reach, and this installation has no embedded checkpoint.
    """
    located = _locate(settings, say)
    export_settings = ExportSettings(
        releases_dir=settings.releases_dir,
        precision=settings.precision,
        instances=settings.instances,
        face_detection=settings.face_detection,
        max_image_bytes=settings.max_image_bytes,
        max_image_pixels=settings.max_image_pixels,
        fake_labels=tuple(label.strip() for label in settings.fake_labels.split(",") if label.strip()),
        cache_dir=settings.cache_dir,
    )
    if settings.serving_plan is not None:
        plan = PlanFile.load(settings.serving_plan)
        export_settings = plan.applied_to(export_settings)
        say(plan.warning() or f"serving plan {settings.serving_plan}")
    release = existing_release(located, export_settings)
    if release is None:
        say(f"exporting {located.name} ({settings.precision}); this happens once per model")
        with step_reporter() as report:
            release = export_checkpoint(located, export_settings, report)
    verify_files(release)
    if make_current:
        promote(release)
    say(f"model {release.manifest['description']['model']}, release {release.release_id}")
    for line in explain_choice(release.path):
        say(line)
    return release


def _locate(settings: LocalSettings, say: Callable[[str], None]) -> LocatedCheckpoint:
    """The chosen checkpoint. Only the unchosen default falls back: whoever names a model gets that one or an error."""
    if settings.checkpoint is not None:
        return locate_checkpoint(settings.checkpoint, settings.revision)
    try:
        return locate_checkpoint(DEFAULT_CHECKPOINT, settings.revision)
    except HubUnreachableError as error:
        if not settings.embedded_fallback:
            raise
        say("=" * 98)
        say(f"WARNING: {error}")
        say("WARNING: serving the small EMBEDDED checkpoint instead: a demonstration, weak evidence at best.")
        say("WARNING: set CHECKPOINT to a model directory, or start again with access to the hub.")
        say("=" * 98)
        return locate_checkpoint(str(embedded_checkpoint()))

"""Calibrates what is asked for, one checkpoint or several, into a new folder."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from deepfake_client.analysis.faces import FaceChoice, FaceRules
from deepfake_client.batch.progress import with_progress
from deepfake_client.plain_text import shown
from deepfake_client.release import CalibrationRecord, VideoRule
from evaluation.dataset import Dataset
from evaluation.people import persons_of
from evaluation.statistics.bootstrap import BootstrapPlan
from export.checkpoint.fusion import Sources, distinct
from export.checkpoint.load import Checkpoint
from runtime import Fusion
from training.calibration.calibration import Calibration, calibrate
from training.calibration.checkpoint import fold_scale, write_calibrated, write_fused
from training.calibration.fitting import Budget, Scale
from training.calibration.fusing.comparison import Comparison, compare, comparison_notes
from training.calibration.fusing.fusion import FusedMedia, calibrate_fusion
from training.calibration.fusing.stacking import FusionRule
from training.calibration.report import make_record
from training.calibration.scores import Member, UnscoredMedia, score_members
from training.calibration.units import ScoredMedia
from training.errors import OptionError

_LARGEST = "Only the largest face of a frame was scored: where every face is, more real files are called fake."


@dataclass(frozen=True)
class Order:
    """What is asked for, of one checkpoint or several.

    Attributes:
        dataset: The files.
        people: The table of who is in them.
        face_detection: Off: whole frames are scored.
        rules: Which faces count.
        budget: What the bands may get wrong.
        plan: Of the intervals.
        video_rule: What of a video's frames decides.
    """

    dataset: Dataset
    people: Path | None
    face_detection: bool
    rules: FaceRules
    budget: Budget
    plan: BootstrapPlan
    video_rule: VideoRule


@dataclass(frozen=True)
class Done:
    """What was found.

    Attributes:
        found: The calibration.
        record: What the sidecar says of it.
        names: Of several members.
        fusion: Of several members.
        comparisons: Of several members.
    """

    found: Calibration
    record: CalibrationRecord
    names: Sequence[str] = ()
    fusion: Fusion | None = None
    comparisons: tuple[Comparison, ...] = ()


def calibrate_one(order: Order, member: Member, rule: FusionRule, folder: Path) -> Done:
    """Calibrates one checkpoint into an empty folder.

    Raises:
        TrainingError: It cannot be calibrated, or the options are for several.
        EvaluationError: The table of people cannot be used.
        ExportError: A file of the checkpoint cannot be copied.
        AssetError: The face models cannot be fetched.
    """
    if member.whole_image or rule != "mean":
        raise OptionError("--fusion and --whole-image are for several checkpoints; one takes --no-face-detection")
    checkpoint = member.checkpoint
    if earlier := checkpoint.sidecar.calibration:  # the new scale and its figures count from the trained weights
        _require_same_labels(checkpoint, earlier)
        fold_scale(checkpoint, Scale(earlier.temperature, earlier.bias).inverse)
    scored, unscored = _score([member], order)
    indices = checkpoint.head.softmax_fake_indices
    found = calibrate([one for (one,) in scored], indices, order.budget, order.plan, order.video_rule)
    record = _record(order, found, unscored).model_copy(
        update={
            "crop_factor": checkpoint.sidecar.crop_factor,
            "fake_labels": checkpoint.head.fake_labels,
            "fake_when": checkpoint.head.fake_when,
        }
    )
    write_calibrated(checkpoint, folder, found.fitted.scale, found.bands, record)
    return Done(found, record)


def calibrate_several(
    order: Order, sources: Sources, members: Sequence[Member], rule: FusionRule, folder: Path
) -> Done:
    """Fuses several checkpoints, and calibrates the fused score, into an empty folder; raises as `calibrate_one`."""
    checkpoints = [member.checkpoint for member in members]
    names = distinct([checkpoint.name for checkpoint in checkpoints])
    if all(member.whole_image for member in members):
        order = replace(order, face_detection=False)  # as in their release
    scored, unscored = _score(members, order)
    media = [FusedMedia.of(one, [checkpoint.head for checkpoint in checkpoints]) for one in scored]
    calibrated = calibrate_fusion(media, names, rule, order.budget, order.plan, order.video_rule)
    comparisons = tuple(compare(media, names, rule, calibrated.found, order.plan))
    record = _record(order, calibrated.found, unscored)
    more = (note for one in comparisons for note in comparison_notes(one, rule))
    record = record.model_copy(update={"notes": (*record.notes, *more)})
    write_fused(sources, checkpoints, folder, calibrated, record)
    return Done(calibrated.found, record, names, calibrated.fusion, comparisons)


def _require_same_labels(checkpoint: Checkpoint, earlier: CalibrationRecord) -> None:
    """The earlier bias can be taken back only from the labels that it was added to."""
    before = earlier.fake_labels
    if before is not None and set(before) != set(checkpoint.head.fake_labels):
        raise OptionError(
            f"the checkpoint was calibrated with {', '.join(before)} as fake labels: give them as --fake-labels, or "
            "calibrate the checkpoint that it was made of"
        )
    if earlier.fake_when not in (None, checkpoint.head.fake_when):
        raise OptionError(f"the checkpoint was calibrated with --fake-when {earlier.fake_when}: give the same")


def _score(members: Sequence[Member], order: Order) -> tuple[list[tuple[ScoredMedia, ...]], list[UnscoredMedia]]:
    persons = persons_of(order.dataset, order.people)
    scoring = score_members(members, order.dataset, persons, face_detection=order.face_detection, rules=order.rules)
    items = list(with_progress(scoring, len(order.dataset.files), "scoring"))
    unscored = [item for item in items if isinstance(item, UnscoredMedia)]
    for item in unscored:
        print(shown(f"not scored: {item.name}: {item.reason}"), file=sys.stderr)
    return [item for item in items if not isinstance(item, UnscoredMedia)], unscored


def _record(order: Order, found: Calibration, unscored: list[UnscoredMedia]) -> CalibrationRecord:
    record = make_record(found, order.budget, order.dataset, order.face_detection, unscored)
    if order.rules.choice is FaceChoice.LARGEST:
        record = record.model_copy(update={"notes": (*record.notes, _LARGEST)})
    return record

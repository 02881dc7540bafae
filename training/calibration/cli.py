"""The command line: `deepfake-calibrate`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from assets import AssetError
from deepfake_client.analysis.faces import FaceChoice, FaceRules
from deepfake_client.batch.progress import with_progress
from deepfake_client.command_line.exits import EXIT_INTERRUPTED, USAGE, fail, require_packages, run
from deepfake_client.command_line.help import new_app, styled
from deepfake_client.command_line.options import FakeLabels, FakeWhenOption, Seed, Version, split_names
from deepfake_client.plain_text import shown
from deepfake_client.release import CalibrationRecord, VideoRule
from deepfake_client.scores import STRETCH_FRAMES
from evaluation.dataset import Dataset, find_dataset
from evaluation.errors import EvaluationError
from evaluation.people import persons_of
from evaluation.statistics.bootstrap import BootstrapPlan
from export.checkpoint.fusion import Sources, distinct, find_sources
from export.checkpoint.head import Labelling
from export.checkpoint.load import Checkpoint, load_checkpoint
from export.errors import ExportError
from export.golden import read_golden
from runtime import Fusion
from training.calibration.calibration import Calibration, calibrate
from training.calibration.checkpoint import fold_scale, write_calibrated, write_fused
from training.calibration.comparison import Comparison, compare, comparison_notes
from training.calibration.fitting import Budget, Scale
from training.calibration.fusion import FusedMedia, calibrate_fusion
from training.calibration.golden import GoldenPicture, pictures_of, read_pictures, write_golden
from training.calibration.report import REPORT_FOLDER, make_record, print_calibration, print_fusion, write_report
from training.calibration.scores import Member, UnscoredMedia, score_members
from training.calibration.stacking import FusionRule
from training.calibration.units import ScoredMedia
from training.errors import OptionError, TrainingError
from training.writing import whole_folder

PROGRAM = "deepfake-calibrate"

EXIT_CODES = {
    0: "written",
    1: "the checkpoint, the files or the output cannot be used: nothing is written",
    **USAGE,
    EXIT_INTERRUPTED: "interrupted: nothing is written",
}
EXAMPLES = (
    "deepfake-calibrate --checkpoint my-checkpoint --data-dir my-set/val \\\n  --output my-calibrated --max-fpr 0.01",
    "deepfake-calibrate --checkpoint one,other --fusion stacking \\\n  --data-dir my-set/val --output fused",
)
GROUPS = {"checkpoint": "Model", "data_dir": "Data", "max_fpr": "Calibration", "output": "Results"}
OLD_NAMES = {"--fake-label": "--fake-labels"}

_PACKAGES = {
    "torch": "export", "transformers": "export", "scipy": "evaluate", "matplotlib": "evaluate",
    "simplejpeg": "preprocessing", "openvino": "preprocessing",
}  # fmt: skip

_LARGEST = "Only the largest face of a frame was scored: where every face is, more real files are called fake."

app = new_app(PROGRAM)


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


@app.command(cls=styled(EXIT_CODES, EXAMPLES, GROUPS, OLD_NAMES))
def main_command(
    *,
    checkpoint: Annotated[
        str,
        typer.Option(
            help="Hub id, or a directory that transformers loads; several with commas between them, or a folder with "
            "their fusion.json."
        ),
    ],
    fusion: Annotated[
        FusionRule,
        typer.Option(help="Of several: the mean of their log-odds, or a sum with weights fitted to the files."),
    ] = "mean",
    whole_image: Annotated[
        list[str] | None,
        typer.Option(help="Which of several are given whole images, never the crop of a face, separated by commas."),
    ] = None,
    fake_labels: FakeLabels = None,
    fake_when: FakeWhenOption = None,
    data_dir: Annotated[Path, typer.Option(help="Holds real/ and fake/ with files the model was not trained on.")],
    people: Annotated[
        Path | None,
        typer.Option(
            show_default="DATA_DIR/people.csv, else its subfolders", help="CSV with the columns file and person."
        ),
    ] = None,
    faces: Annotated[
        Literal["every", "largest"],
        typer.Option(help="every: each face of a real picture counts, and fakes with several faces are left out."),
    ] = "every",
    face_detection: Annotated[bool, typer.Option(help="Crop each frame to its faces.")] = True,
    max_fpr: Annotated[float, typer.Option(help="Share of real files that may be called fake.")] = Budget.max_fpr,
    max_fnr: Annotated[float, typer.Option(help="Share of fakes that may be called real.")] = Budget.max_fnr,
    video_rule: Annotated[
        VideoRule,
        typer.Option(
            help=f"What of a video's frames decides: their mean, or the stretch of {STRETCH_FRAMES} frames one after "
            "another with the highest mean."
        ),
    ] = "mean",
    resamples: Annotated[int, typer.Option(min=100, max=100_000, help="Bootstrap resamples of each interval.")] = 1000,
    seed: Seed = 0,
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory of the new checkpoint; must not exist.")],
    golden: Annotated[
        Path | None,
        typer.Option(
            show_default="the checkpoint's own, if any", help="real/ and fake/ with clear cases to ship and check."
        ),
    ] = None,
    _version: Version = False,
) -> None:
    """Calibrates a checkpoint on held-out files: a scale of its scores, and verdict bands within the error budgets.

    Writes a new checkpoint, with the scale in its weights, and the bands and what they do in deepfake.json. Of several
    checkpoints it writes a folder that names them, and says how their scores are fused.
    """
    require_packages(PROGRAM, _PACKAGES)
    said = Labelling(split_names(fake_labels), fake_when)
    try:
        budget = Budget(max_fpr, max_fnr)
        if output.exists():
            raise OptionError(f"{output} is there already; choose another --output, a checkpoint is never overwritten")
        with whole_folder(output) as folder:
            order = Order(
                find_dataset(data_dir), people, face_detection, FaceRules(FaceChoice(faces)), budget,
                BootstrapPlan(resamples, seed), video_rule,
            )  # fmt: skip
            pictures = read_pictures(golden) if golden is not None else None
            sources = find_sources(checkpoint, whole_image=split_names(whole_image))
            members = [Member(load_checkpoint(one.located, said), one.whole_image) for one in sources.members]
            if sources.fusion is None:
                done = _calibrate_one(order, members[0], fusion, folder)
            else:
                done = _calibrate_several(order, sources, members, fusion, folder)
            write_report(folder / REPORT_FOLDER, done.found, done.record, done.comparisons)
            own = members[0].checkpoint.located.path if sources.fusion is None else sources.folder
            _write_golden(folder, pictures, own, said)
    except (TrainingError, EvaluationError, ExportError, AssetError) as error:
        fail(PROGRAM, str(error), 1)
    except KeyboardInterrupt:
        fail(PROGRAM, "interrupted: nothing is written", EXIT_INTERRUPTED)
    if done.fusion:
        print_fusion(done.names, done.fusion, done.comparisons)
    print_calibration(done.record, done.found, output)


def _calibrate_one(order: Order, member: Member, rule: FusionRule, folder: Path) -> Done:
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


def _calibrate_several(
    order: Order, sources: Sources, members: Sequence[Member], rule: FusionRule, folder: Path
) -> Done:
    checkpoints = [member.checkpoint for member in members]
    names = distinct([checkpoint.name for checkpoint in checkpoints])
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


def _write_golden(folder: Path, pictures: list[GoldenPicture] | None, source: Path | None, said: Labelling) -> None:
    """The given golden images, or the source's own ones, with the scores of the new checkpoint."""
    if pictures is None and source and (own := read_golden(source)) is not None:
        pictures = pictures_of(own)
    if pictures is not None:
        write_golden(folder, pictures, said=said)


def main() -> None:
    """Entry point of the console script."""
    run(app, PROGRAM)


if __name__ == "__main__":
    main()

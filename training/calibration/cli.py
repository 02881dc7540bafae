"""The command line: `deepfake-calibrate`."""

import sys
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
from export.checkpoint.head import Labelling
from export.checkpoint.hub import locate_checkpoint
from export.checkpoint.load import Checkpoint, load_checkpoint
from export.errors import ExportError
from export.golden import read_golden
from training.calibration.calibration import calibrate
from training.calibration.checkpoint import fold_scale, write_calibrated
from training.calibration.fitting import Budget, Scale
from training.calibration.golden import GoldenPicture, pictures_of, read_pictures, write_golden
from training.calibration.report import REPORT_FOLDER, make_record, print_calibration, write_report
from training.calibration.scores import UnscoredMedia, score_media
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
)
GROUPS = {"checkpoint": "Model", "data_dir": "Data", "max_fpr": "Calibration", "output": "Results"}
OLD_NAMES = {"--fake-label": "--fake-labels"}

_PACKAGES = {
    "torch": "export", "transformers": "export", "scipy": "evaluate", "matplotlib": "evaluate",
    "simplejpeg": "preprocessing", "openvino": "preprocessing",
}  # fmt: skip

_LARGEST = "Only the largest face of a frame was scored: where every face is, more real files are called fake."

app = new_app(PROGRAM)


@app.command(cls=styled(EXIT_CODES, EXAMPLES, GROUPS, OLD_NAMES))
def main_command(
    *,
    checkpoint: Annotated[str, typer.Option(help="Hub id, or a directory that transformers loads.")],
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

    Writes a new checkpoint, with the scale in its weights, and the bands and what they do in deepfake.json.
    """
    require_packages(PROGRAM, _PACKAGES)
    said = Labelling(split_names(fake_labels), fake_when)
    try:
        budget = Budget(max_fpr, max_fnr)
        if output.exists():
            raise OptionError(f"{output} is there already; choose another --output, a checkpoint is never overwritten")
        with whole_folder(output) as folder:
            dataset = find_dataset(data_dir)
            pictures = read_pictures(golden) if golden is not None else None
            loaded = load_checkpoint(locate_checkpoint(checkpoint), said)
            if earlier := loaded.sidecar.calibration:  # the new scale and its figures count from the trained weights
                _require_same_labels(loaded, earlier)
                fold_scale(loaded, Scale(earlier.temperature, earlier.bias).inverse)
            media, unscored = _score(loaded, dataset, people, face_detection, FaceRules(FaceChoice(faces)))
            found = calibrate(
                media, loaded.head.softmax_fake_indices, budget, BootstrapPlan(resamples, seed), video_rule
            )
            record = make_record(loaded, found, budget, dataset, face_detection, unscored)
            if faces == "largest":
                record = record.model_copy(update={"notes": (*record.notes, _LARGEST)})
            write_calibrated(loaded, folder, found.fitted.scale, found.bands, record)
            write_report(folder / REPORT_FOLDER, found, record)
            _write_golden(folder, pictures, loaded, said)
    except (TrainingError, EvaluationError, ExportError, AssetError) as error:
        fail(PROGRAM, str(error), 1)
    except KeyboardInterrupt:
        fail(PROGRAM, "interrupted: nothing is written", EXIT_INTERRUPTED)
    print_calibration(record, found, output)


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


def _score(
    checkpoint: Checkpoint, dataset: Dataset, people: Path | None, face_detection: bool, rules: FaceRules
) -> tuple[list[ScoredMedia], list[UnscoredMedia]]:
    persons = persons_of(dataset, people)
    scoring = score_media(checkpoint, dataset, persons, face_detection=face_detection, rules=rules)
    items = list(with_progress(scoring, len(dataset.files), "scoring"))
    unscored = [item for item in items if isinstance(item, UnscoredMedia)]
    for item in unscored:
        print(shown(f"not scored: {item.name}: {item.reason}"), file=sys.stderr)
    return [item for item in items if isinstance(item, ScoredMedia)], unscored


def _write_golden(folder: Path, pictures: list[GoldenPicture] | None, source: Checkpoint, said: Labelling) -> None:
    """The given golden images, or the source's own ones, with the scores of the new checkpoint."""
    if pictures is None and (own := read_golden(source.located.path)) is not None:
        pictures = pictures_of(own)
    if pictures is not None:
        write_golden(folder, pictures, said=said)


def main() -> None:
    """Entry point of the console script."""
    run(app, PROGRAM)


if __name__ == "__main__":
    main()

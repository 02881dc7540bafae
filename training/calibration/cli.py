"""The command line: `deepfake-calibrate`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from assets import AssetError
from deepfake_client.analysis.faces import FaceChoice, FaceRules
from deepfake_client.command_line.exits import EXIT_INTERRUPTED, USAGE, fail, require_packages, run
from deepfake_client.command_line.help import new_app, styled
from deepfake_client.command_line.options import (
    NAMED,
    WHOLE_IMAGE,
    FakeLabels,
    FakeWhenOption,
    Seed,
    Version,
    split_names,
)
from deepfake_client.release import VideoRule
from deepfake_client.scores import STRETCH_FRAMES
from evaluation.dataset import find_dataset
from evaluation.errors import EvaluationError
from evaluation.statistics.bootstrap import BootstrapPlan
from export.checkpoint.fusion import find_sources
from export.checkpoint.head import NOTHING_SAID, Labelling
from export.errors import ExportError
from export.golden import read_golden
from training.calibration.fitting import Budget
from training.calibration.fusing.stacking import FusionRule
from training.calibration.golden import GoldenPicture, pictures_of, read_pictures, write_golden
from training.calibration.orders import Order, calibrate_one, calibrate_several
from training.calibration.report import REPORT_FOLDER, print_calibration, print_fusion, write_report
from training.calibration.scores import load_members
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

app = new_app(PROGRAM)


@app.command(cls=styled(EXIT_CODES, EXAMPLES, GROUPS, OLD_NAMES))
def main_command(
    *,
    checkpoint: Annotated[
        str,
        typer.Option(help=NAMED),
    ],
    fusion: Annotated[
        FusionRule,
        typer.Option(help="Of several: the mean of their log-odds, or a sum with weights fitted to the files."),
    ] = "mean",
    whole_image: Annotated[
        list[str] | None,
        typer.Option(help=WHOLE_IMAGE),
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
            members = load_members(sources, said)
            if sources.fusion is None:
                done = calibrate_one(order, members[0], fusion, folder)
            else:
                done = calibrate_several(order, sources, members, fusion, folder)
            write_report(folder / REPORT_FOLDER, done.found, done.record, done.comparisons)
            own = members[0].checkpoint.located.path if sources.fusion is None else sources.folder
            _write_golden(
                folder, pictures, own, said if sources.fusion is None else NOTHING_SAID
            )  # fusion.json says it
    except (TrainingError, EvaluationError, ExportError, AssetError) as error:
        fail(PROGRAM, str(error), 1)
    except KeyboardInterrupt:
        fail(PROGRAM, "interrupted: nothing is written", EXIT_INTERRUPTED)
    if done.fusion:
        print_fusion(done.names, done.fusion, done.comparisons)
    print_calibration(done.record, done.found, output)


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

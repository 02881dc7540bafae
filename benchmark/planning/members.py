"""`deepfake-bench members`: what each model of a release costs."""

import statistics
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from deepfake_client.command_line.exits import USAGE, fail
from export.errors import ReleaseError
from export.release import Release, classifier_folders, read_config, read_release
from runtime import Classifier, ClassifierLoadError, load_classifier

_BATCH = 8

EXIT_CODES = {0: "measured", 1: "the release cannot be run here: the message says why", **USAGE}
EXAMPLES = ("deepfake-bench members releases/current",)


def measure(release: Release, rounds: int) -> dict[str, list[float]]:
    """Milliseconds an image by the classifier of each model with all cores, in batches of 8, of interleaved rounds.

    Args:
        release: Of one model, or of several.
        rounds: After a first one that does not count.

    Raises:
        ClassifierLoadError: One cannot be run here.
    """
    names = [member.name for member in release.info.members] or [release.info.name]
    folders = classifier_folders(release.repository)
    with ExitStack() as opened:
        classifiers = []
        for folder in folders:
            classifiers.append(load_classifier(folder / "1"))
            opened.callback(classifiers[-1].close)
        sides_px = [_side_px(folder) for folder in folders]
        rows = [
            [_ms_an_image(classifier, side_px) for classifier, side_px in zip(classifiers, sides_px, strict=True)]
            for _ in range(1 + rounds)
        ]
    return {name: list(of_one) for name, of_one in zip(names, zip(*rows[1:], strict=True), strict=True)}


def _side_px(folder: Path) -> int:
    config = read_config(folder / "config.pbtxt")
    return next(int(tensor.dims[0]) for tensor in config.input if tensor.name == "PIXELS")


def _ms_an_image(classifier: Classifier, side_px: int) -> float:
    pixels, status = np.zeros((_BATCH, side_px, side_px, 3), np.uint8), np.zeros((_BATCH, 1), np.int32)
    started = time.monotonic()
    classifier.run(pixels, status)
    return (time.monotonic() - started) / _BATCH * 1e3


def table(measured: dict[str, list[float]]) -> str:
    """A Markdown table: of each model the median and range, and its share of all."""
    medians = {name: statistics.median(values) for name, values in measured.items()}
    rows = [
        f"| {name} | {medians[name]:.2f} ({min(values):.2f}-{max(values):.2f}) | "
        f"{medians[name] / sum(medians.values()):.0%} |"
        for name, values in measured.items()
    ]
    return "\n".join(["| model | ms an image | share |", "|---|---|---|", *rows])


def members(
    release: Annotated[Path, typer.Argument(help="A release.")] = Path("releases/current"),
    rounds: Annotated[int, typer.Option(min=1, help="Interleaved rounds.")] = 10,
) -> None:
    """Measures what each model of a release costs.

    Runs the classifiers alone, in batches of 8.
    """
    try:
        print(table(measure(read_release(release), rounds)))
    except (ReleaseError, ClassifierLoadError) as error:
        fail("deepfake-bench members", str(error), 1)

"""The parts of a release that every contender runs, so that all do the same work on the same pixels."""

import os
from pathlib import Path

from preprocessing import Preparer, PreprocessParams
from runtime import Classifier, load_classifier

RELEASE_VARIABLE = "CONTENDER_RELEASE"
"""Environment variable that tells the processes of LitServe and mosec which release to load."""


def release_of_this_process() -> Path:
    """The release that this process was started for."""
    return Path(os.environ[RELEASE_VARIABLE])


def open_preparer(release: Path) -> Preparer:
    """Bytes to pixels, for one thread."""
    folder = release / "model_repository" / "preprocess" / "1"
    return Preparer(PreprocessParams.load(folder / "preprocess.json"), folder)


def open_classifier(release: Path, cores: int) -> Classifier:
    """Pixels to probabilities, on `cores` cores; 0 for all.

    Raises:
        ClassifierLoadError: The release cannot be run here.
    """
    return load_classifier(release / "model_repository" / "classifier" / "1", cores)

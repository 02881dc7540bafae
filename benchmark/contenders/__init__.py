"""What the service is compared with: a plain Flask + transformers service, LitServe and mosec.

The functions here open the parts of a release that LitServe and mosec run, so that all servers do the same work.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from preprocessing import Preparer, PreprocessParams
from runtime import Classifier, load_classifier

MAX_BATCH = 8
RELEASE_VARIABLE = "CONTENDER_RELEASE"
"""Environment variable that tells the processes which release to load."""


def open_preparer() -> Preparer:
    """Bytes to pixels, for one thread."""
    folder = _model("preprocess")
    return Preparer(PreprocessParams.load(folder / "preprocess.json"), folder)


def open_classifier(cores: int) -> Classifier:
    """Pixels to probabilities, on `cores` cores; 0 for all.

    Raises:
        ClassifierLoadError: The release cannot be run here.
    """
    return load_classifier(_model("classifier"), cores)


def fake_probabilities(classifier: Classifier, images: Sequence[NDArray[np.uint8]]) -> list[dict[str, float]]:
    """The answers for images of (S, S, 3) uint8, classified as one batch."""
    answer = classifier.run(np.stack(images), np.zeros((len(images), 1), np.int32))
    return [{"fake_probability": float(p)} for p in answer.fake_probability[:, 0]]


def _model(name: str) -> Path:
    return Path(os.environ[RELEASE_VARIABLE]) / "model_repository" / name / "1"

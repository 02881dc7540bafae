"""The classifier stage without a server: `python -m benchmark.parts.classifier_alone RELEASE SECONDS` prints JSON."""

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from runtime import Classifier, load_classifier

_BATCHES = (1, 8, 16, 30)


@dataclass(frozen=True)
class ClassifierAlone:
    """Rates of one process.

    Attributes:
        load_s: Loading and compiling.
        images_per_s: Batch size (as text) -> images a second.
    """

    load_s: float
    images_per_s: dict[str, float]


def measure_alone(release: Path, seconds: float) -> ClassifierAlone:
    """Runs the classifier on random pixels, `seconds` for each batch size."""
    started = time.perf_counter()
    classifier = load_classifier(release / "model_repository" / "classifier" / "1")
    load_s = time.perf_counter() - started
    side = json.loads((release / "release.json").read_text("utf-8"))["description"]["preprocess"]["resize"]["size_px"]
    pixels = np.random.default_rng(0).integers(0, 256, (max(_BATCHES), side, side, 3), np.uint8)
    rates = {str(batch): _rate(classifier, pixels[:batch], seconds) for batch in _BATCHES}
    classifier.close()
    return ClassifierAlone(load_s, rates)


def _rate(classifier: Classifier, pixels: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]", seconds: float) -> float:
    status = np.zeros((len(pixels), 1), np.int32)
    classifier.run(pixels, status)
    done, started = 0, time.perf_counter()
    while (elapsed_s := time.perf_counter() - started) < seconds or not done:
        classifier.run(pixels, status)
        done += len(pixels)
    return done / elapsed_s


if __name__ == "__main__":
    print(json.dumps(asdict(measure_alone(Path(sys.argv[1]), float(sys.argv[2])))))

"""What a classifier is, whichever library runs it, and how an exported one is opened."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.errors import ClassifierLoadError
from runtime.gpu import BuiltOn
from runtime.process import usable_cores
from runtime.spec import RuntimeSpec

INPUTS = ("PIXELS", "STATUS")
OUTPUTS = ("FAKE_PROBABILITY", "PROBABILITIES", "EXPORT_ID")
"""Tensors of the served graph; the outputs in the order of `Answer`."""


class Answer(NamedTuple):
    """The classifier's outputs for N images, named as the graph's own.

    Attributes:
        fake_probability: (N, 1) float32, 0-1; NaN where the status was not 0.
        probabilities: (N, labels) float32 softmax; NaN likewise.
        export_id: (N, 1) int32, the export's constant.
    """

    fake_probability: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    export_id: NDArray[np.int32]


def joined(parts: Sequence[Answer]) -> Answer:
    """The answer for the images of all parts, in order."""
    return parts[0] if len(parts) == 1 else Answer(*(np.concatenate(values) for values in zip(*parts, strict=True)))


class Classifier(Protocol):
    """An exported classifier. Thread-safe: calls take turns, and each uses all the cores it was given."""

    def run(self, pixels: NDArray[np.uint8], status: NDArray[np.int32]) -> Answer:
        """Classifies images.

        Args:
            pixels: (N, S, S, 3) uint8, RGB, 0-255, C-contiguous.
            status: (N, 1) int32; images whose status is not 0 get NaN.

        Raises:
            ClassifierRunError: A GPU failed.
        """

    def close(self) -> None:
        """Frees the model."""


def load_classifier(folder: Path, cores: int = 0) -> Classifier:
    """Opens a classifier with the library that its release names.

    Args:
        folder: `model_repository/classifier/1` of a release.
        cores: Cores it may use; 0 for all that this process may.

    Raises:
        ClassifierLoadError: The folder is damaged, the library is missing, or this processor or GPU cannot run it.
    """
    spec = RuntimeSpec.load(folder)
    if spec.built_on is not None and (warning := spec.built_on.check(BuiltOn.here())):
        logging.getLogger(__name__).warning(warning)
    cores = cores or usable_cores()
    try:
        if spec.runtime == "openvino":
            from runtime.openvino_classifier import OpenVinoClassifier

            return OpenVinoClassifier(folder, spec, cores)
        if spec.runtime == "tensorrt":
            from runtime.tensorrt_classifier import TensorRtClassifier

            return TensorRtClassifier(folder, spec)
        from runtime.onnxruntime_classifier import OnnxRuntimeClassifier

        return OnnxRuntimeClassifier(folder, spec, cores)
    except ImportError as error:
        raise ClassifierLoadError(
            f"running a classifier needs the extra cpu (or gpu, gpu-tensorrt): {error}"
        ) from error

"""Runs a classifier with onnxruntime, as the backend of NVIDIA's image does, where that image is not used."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from runtime.classifier import OUTPUTS, Answer
from runtime.errors import ClassifierLoadError
from runtime.spec import RuntimeSpec

_CPU = "CPUExecutionProvider"
_CUDA = "CUDAExecutionProvider"


class OnnxRuntimeClassifier:
    """See `Classifier`."""

    def __init__(self, folder: Path, spec: RuntimeSpec, cores: int) -> None:
        """Loads the graph.

        Raises:
            ClassifierLoadError: onnxruntime refuses it.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = cores
        options.log_severity_level = 3
        # Spinning threads would take the cores from the processes beside this one.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers: list[Any] = [_CPU]
        if _CUDA in onnxruntime.get_available_providers():
            providers.insert(0, (_CUDA, dict(spec.provider_options)))
        try:
            self._session: Any = onnxruntime.InferenceSession(str(folder / spec.graph), options, providers=providers)
        except Exception as error:
            raise ClassifierLoadError(f"onnxruntime cannot load {folder / spec.graph}: {error}") from error

    def run(self, pixels: NDArray[np.uint8], status: NDArray[np.int32]) -> Answer:
        """See `Classifier.run`."""
        feed = {"PIXELS": pixels, "STATUS": status}
        return Answer(*self._session.run(list(OUTPUTS), feed))

    def close(self) -> None:
        """See `Classifier.close`."""
        self._session = None

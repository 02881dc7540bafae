"""Runs a classifier with onnxruntime, as the backend of NVIDIA's image does, where that image is not used."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from runtime.classifier import OUTPUTS, Answer
from runtime.errors import ClassifierLoadError, ClassifierRunError
from runtime.spec import RuntimeSpec

_CPU = "CPUExecutionProvider"
_CUDA = "CUDAExecutionProvider"


def open_session(graph: str | bytes, spec: RuntimeSpec, cores: int = 1) -> Any:
    """An onnxruntime session on what the release asks for: CUDA, or the CPU.

    Args:
        graph: The path of an ONNX file, or its content.
        spec: Of the release.
        cores: Threads of an operator on the CPU.

    Raises:
        ClassifierLoadError: onnxruntime refuses the graph, or fell back from CUDA to the CPU, which it does without an
            error of its own.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores
    options.log_severity_level = 3
    # Spinning threads would take the cores from the processes beside this one.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers: list[Any] = [_CPU]
    if spec.cuda:
        onnxruntime.preload_dlls()  # those that the extra gpu installs; the loader does not look there
        providers.insert(0, (_CUDA, dict(spec.provider_options)))
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Specified provider")  # that there is no CUDA is told below
            session: Any = onnxruntime.InferenceSession(graph, options, providers=providers)
    except Exception as error:
        name = graph if isinstance(graph, str) else "a graph"
        raise ClassifierLoadError(f"onnxruntime cannot load {name}: {error}") from error
    if spec.cuda and session.get_providers()[0] != _CUDA:
        raise ClassifierLoadError(
            f"CUDA was asked for, and onnxruntime {onnxruntime.__version__} fell back to the CPU: use a machine where "
            "nvidia-smi lists a GPU and a driver of 580 or newer, and there install the extra gpu in place of cpu "
            "(pip uninstall onnxruntime; pip install '.[gpu]')"
        )
    session.disable_fallback()  # it would also leave a GPU that fails while it runs
    return session


class OnnxRuntimeClassifier:
    """See `Classifier`."""

    def __init__(self, folder: Path, spec: RuntimeSpec, cores: int) -> None:
        """Loads the graph.

        Raises:
            ClassifierLoadError: As `open_session`.
        """
        self._session = open_session(str(folder / spec.graph), spec, cores)

    def run(self, pixels: NDArray[np.uint8], status: NDArray[np.int32]) -> Answer:
        """See `Classifier.run`."""
        feed = {"PIXELS": pixels, "STATUS": status}
        try:
            return Answer(*self._session.run(list(OUTPUTS), feed))
        except Exception as error:
            raise ClassifierRunError(f"onnxruntime could not run the graph: {error}") from error

    def close(self) -> None:
        """See `Classifier.close`."""
        self._session = None

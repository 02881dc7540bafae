"""Runs a classifier with onnxruntime, as the backend of NVIDIA's image does, where that image is not used."""

import contextlib
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
_TENSORRT = "TensorrtExecutionProvider"


class OnnxRuntimeClassifier:
    """See `Classifier`."""

    def __init__(self, folder: Path, spec: RuntimeSpec, cores: int) -> None:
        """Loads the graph.

        Raises:
            ClassifierLoadError: onnxruntime refuses it, or has no such accelerator here.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = cores
        options.log_severity_level = 3
        # Spinning threads would take the cores from the processes beside this one.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers = _providers(spec)
        try:
            self._session: Any = onnxruntime.InferenceSession(str(folder / spec.graph), options, providers=providers)
        except Exception as error:
            raise ClassifierLoadError(f"onnxruntime cannot load {folder / spec.graph}: {error}") from error
        # A provider whose libraries are missing is left out with no more than a line in the log.
        if spec.accelerator and _TENSORRT not in self._session.get_providers():
            raise ClassifierLoadError(
                f"onnxruntime could not start {_TENSORRT}: the libraries of TensorRT 10 are missing; install the extra "
                "gpu-tensorrt, or use NVIDIA's image"
            )

    def run(self, pixels: NDArray[np.uint8], status: NDArray[np.int32]) -> Answer:
        """See `Classifier.run`."""
        feed = {"PIXELS": pixels, "STATUS": status}
        return Answer(*self._session.run(list(OUTPUTS), feed))

    def close(self) -> None:
        """See `Classifier.close`."""
        self._session = None


def _providers(spec: RuntimeSpec) -> list[Any]:
    """The providers in the order of preference, the accelerator with its settings.

    Raises:
        ClassifierLoadError: This build of onnxruntime lacks the accelerator.
    """
    available = onnxruntime.get_available_providers()
    options = dict(spec.provider_options)
    if not spec.accelerator:
        return [(_CUDA, options), _CPU] if _CUDA in available else [_CPU]
    with contextlib.suppress(ImportError):
        import tensorrt  # noqa: F401  brings the libraries that the provider needs
    if _TENSORRT not in available:
        raise ClassifierLoadError(
            f"this onnxruntime has no {_TENSORRT}, only {', '.join(available)}: install the extra gpu instead of cpu"
        )
    return [(_TENSORRT, options), *(name for name in (_CUDA, _CPU) if name in available)]

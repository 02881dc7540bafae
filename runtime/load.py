"""Opens an exported classifier with the library that its release names."""

import logging
from pathlib import Path

from runtime.classifier import Classifier
from runtime.errors import ClassifierLoadError
from runtime.gpu import BuiltOn
from runtime.process import usable_cores
from runtime.spec import RuntimeSpec


def load_classifier(folder: Path, cores: int = 0) -> Classifier:
    """Opens a classifier with the library that its release names.

    Args:
        folder: `model_repository/classifier/1` of a release.
        cores: Cores it may use; 0 for all that this process may.

    Raises:
        ClassifierLoadError: The folder is damaged, the library is missing, or this processor or GPU cannot run it.
    """
    spec = RuntimeSpec.load(folder)
    for warning in spec.built_on.check(BuiltOn.here()) if spec.built_on is not None else ():
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

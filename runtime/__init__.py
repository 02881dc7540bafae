"""Runs an exported classifier: the one implementation behind Triton, in-process detection and the export's own gate."""

from runtime.answer import INPUTS, OUTPUTS, Answer, Classifier
from runtime.cores import usable_cores
from runtime.errors import ClassifierLoadError, UnsupportedPrecisionError
from runtime.load import load_classifier
from runtime.spec import GRAPH_FILE, RuntimeSpec

__all__ = [
    "GRAPH_FILE",
    "INPUTS",
    "OUTPUTS",
    "Answer",
    "Classifier",
    "ClassifierLoadError",
    "RuntimeSpec",
    "UnsupportedPrecisionError",
    "load_classifier",
    "usable_cores",
]

"""Runs an exported classifier: the one implementation behind Triton, in-process detection and the export's own gate."""

from runtime.batch_profiles import BatchProfile, batch_profiles, batch_sizes
from runtime.classifier import INPUTS, OUTPUTS, Answer, Classifier
from runtime.errors import ClassifierLoadError, ClassifierRunError
from runtime.fusion import FUSION_FILE, Fusion, FusionSpec, log_odds
from runtime.gpu import BuiltOn
from runtime.load import load_classifier
from runtime.process import usable_cores
from runtime.spec import GRAPH_FILE, PLAN_FILE, RuntimeSpec

__all__ = [
    "FUSION_FILE",
    "GRAPH_FILE",
    "INPUTS",
    "OUTPUTS",
    "PLAN_FILE",
    "Answer",
    "BatchProfile",
    "BuiltOn",
    "Classifier",
    "ClassifierLoadError",
    "ClassifierRunError",
    "Fusion",
    "FusionSpec",
    "RuntimeSpec",
    "batch_profiles",
    "batch_sizes",
    "load_classifier",
    "log_odds",
    "usable_cores",
]

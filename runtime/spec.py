"""How an exported classifier is to be run; lies as runtime.json beside its graph."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from runtime.errors import ClassifierLoadError

SPEC_FILE = "runtime.json"
GRAPH_FILE = "model.onnx"
"""The plain graph of all precisions but int8."""

RUNTIME_VERSION = 1
"""Raised whenever the same files could give other probabilities; releases record it."""

_FORMATS = ("fp32", "bf16", "fp16")


@dataclass(frozen=True)
class RuntimeSpec:
    """What decides the probabilities of a graph.

    Attributes:
        runtime: `openvino` or `onnxruntime`.
        computed_in: `fp32`, `bf16` or `fp16`: the format of everything that the graph does not quantise itself.
        graph: File name of the graph.
        dynamic_quantisation_group: Activations that share a scale where they are quantised as they come; 0: none are.
        version: `RUNTIME_VERSION` at the time of the export.
    """

    runtime: str = "openvino"
    computed_in: str = "fp32"
    graph: str = GRAPH_FILE
    dynamic_quantisation_group: int = 0
    version: int = RUNTIME_VERSION

    def save(self, folder: Path) -> None:
        """Writes runtime.json."""
        (folder / SPEC_FILE).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "RuntimeSpec":
        """Reads runtime.json.

        Raises:
            ClassifierLoadError: It is missing, damaged, or of another version.
        """
        try:
            spec = cls(**json.loads((folder / SPEC_FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise ClassifierLoadError(f"{folder / SPEC_FILE} cannot be read ({error}): export again") from error
        if spec.version != RUNTIME_VERSION or spec.computed_in not in _FORMATS:
            raise ClassifierLoadError(
                f"this release was exported for runtime version {spec.version} and {spec.computed_in}, and "
                f"version {RUNTIME_VERSION} is installed: export it again, or install the matching deepfake-serving"
            )
        return spec

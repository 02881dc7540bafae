"""How an exported classifier is to be run; lies as runtime.json beside its graph."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from runtime.errors import ClassifierLoadError
from runtime.gpu import BuiltOn

SPEC_FILE = "runtime.json"
GRAPH_FILE = "model.onnx"
"""The plain graph of all precisions but int8."""
PLAN_FILE = "model.plan"
"""TensorRT's plan."""

RUNTIME_VERSION = 1
"""Raised whenever the same files could give other probabilities; releases record it."""

_FORMATS = ("fp32", "bf16", "fp16")
_RUNTIMES = ("openvino", "onnxruntime", "tensorrt")


@dataclass(frozen=True)
class RuntimeSpec:
    """What decides the probabilities of a graph.

    Attributes:
        runtime: `openvino`, `onnxruntime` or `tensorrt`.
        computed_in: `fp32`, `bf16` or `fp16`: the format of everything that the graph does not quantise itself.
        graph: File name of the graph or plan.
        dynamic_quantisation_group: Activations that share a scale where they are quantised as they come; 0: none are.
        cuda: Whether onnxruntime runs the graph with CUDA; it is judged so, and runs in no other way.
        provider_options: Settings of onnxruntime's CUDA provider, by its names.
        built_on: Machine that the plan belongs to; None if the graph runs anywhere.
        version: `RUNTIME_VERSION` at the time of the export.
    """

    runtime: str = "openvino"
    computed_in: str = "fp32"
    graph: str = GRAPH_FILE
    dynamic_quantisation_group: int = 0
    cuda: bool = False
    provider_options: Mapping[str, str] = field(default_factory=dict)
    built_on: BuiltOn | None = None
    version: int = RUNTIME_VERSION

    def save(self, folder: Path) -> None:
        """Writes runtime.json."""
        (folder / SPEC_FILE).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "RuntimeSpec":
        """Reads runtime.json.

        Raises:
            ClassifierLoadError: It is missing, damaged, of another version, or asks for what was removed.
        """
        try:
            document = json.loads((folder / SPEC_FILE).read_text(encoding="utf-8"))
            accelerator = document.pop("accelerator", "")  # releases from before it was removed
            if document.get("built_on") is not None:
                document["built_on"] = BuiltOn(**document["built_on"])
            spec = cls(**document)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ClassifierLoadError(f"{folder / SPEC_FILE} cannot be read ({error}): export again") from error
        if accelerator:
            raise ClassifierLoadError(
                f"this release runs {spec.runtime} through {accelerator}, which was removed: export it again, with "
                "--backend tensorrt, or with --backend onnxruntime --gpu"
            )
        known = spec.computed_in in _FORMATS and spec.runtime in _RUNTIMES
        if spec.version != RUNTIME_VERSION or not known:
            raise ClassifierLoadError(
                f"this release was exported for runtime version {spec.version}, {spec.runtime} in "
                f"{spec.computed_in}, and version {RUNTIME_VERSION} is installed: export it again, or install the "
                "matching deepfake-serving"
            )
        return spec

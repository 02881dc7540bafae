"""Who will run the exported classifier, and in which ways it can be written for that.

Releases for CPUs run on any machine, those of TensorRT on one kind of GPU.
"""

import importlib
from dataclasses import dataclass, replace
from enum import StrEnum

from export.errors import ExportError, GpuError
from export.graph.onnx_export import OPSET
from export.release import read_config
from export.repository import TEMPLATES
from export.settings import ExportSettings
from runtime import BuiltOn, ClassifierLoadError, RuntimeSpec, batch_sizes
from runtime.gpu import package_tensorrt

TENSORRT = "tensorrt"
AUTO = "auto"
"""Stands for the fastest precision that passes the gate on this machine."""


@dataclass(frozen=True)
class Target:
    """What a classifier is written for.

    Attributes:
        runtime: `openvino` (the Python backend), `onnxruntime` or `tensorrt` (backends of NVIDIA's image).
        gpu: Whether it runs on a GPU.
        preferred_batch: Frames that Triton gathers for one run.
        largest_batch: Most frames of one run.
        built_on: This machine, if TensorRT runs it; None otherwise.
    """

    runtime: str = "openvino"
    gpu: bool = False
    preferred_batch: int = 8
    largest_batch: int = 32
    built_on: BuiltOn | None = None

    @property
    def is_tensorrt(self) -> bool:
        """Whether TensorRT runs it, and the release therefore belongs to one kind of GPU."""
        return self.runtime == TENSORRT

    @property
    def gate_batches(self) -> tuple[int, ...]:
        """Batches, beside single images, that the gate runs: on a GPU other kernels run for each."""
        return batch_sizes(self.preferred_batch, self.largest_batch)[1:] or (1,) if self.gpu else (8,)


def find_target(settings: ExportSettings) -> Target:
    """Who will run the classifier of an export.

    Raises:
        GpuError: A GPU is to run it, and this machine has no GPU, driver, CUDA or TensorRT for it.
    """
    target = Target(
        runtime="openvino" if settings.backend == "python" else settings.backend,
        gpu=settings.on_gpu,
        preferred_batch=settings.preferred_batch,
        largest_batch=int(read_config(TEMPLATES / "classifier" / "config.pbtxt").max_batch_size),
    )
    if target.gpu and not target.is_tensorrt:
        require_cuda()
    return replace(target, built_on=this_machine()) if target.is_tensorrt else target


def require_cuda() -> None:
    """Opens a session with CUDA, since the gate judges there: onnxruntime falls back to the CPU without an error.

    Raises:
        GpuError: It fell back; the message says what to do.
    """
    from onnx import TensorProto, helper

    given, taken = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("given", "taken"))
    graph = helper.make_graph([helper.make_node("Identity", ["given"], ["taken"])], "identity", [given], [taken])
    model = helper.make_model_gen_version(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    try:
        from runtime.onnxruntime_classifier import open_session

        open_session(model.SerializeToString(), RuntimeSpec(runtime="onnxruntime", cuda=True))
    except ImportError as error:
        raise GpuError(f"onnxruntime cannot be used ({error}): pip install '.[gpu]'") from error
    except ClassifierLoadError as error:
        raise GpuError(f"the gate judges on the GPU that will serve: {error}") from error


def this_machine() -> BuiltOn:
    """The GPU, driver and TensorRT of this machine, on which a plan can be built and run.

    Raises:
        GpuError: Something is missing; the message says what to do.
    """
    try:
        here = BuiltOn.here()
    except ClassifierLoadError as error:
        raise GpuError(f"TensorRT builds on the GPU that will serve, and here {error}") from error
    installed = package_tensorrt()
    if installed != here.tensorrt:  # a plan of one cannot be read by the other
        raise GpuError(
            f"the Python package tensorrt is {installed or 'not installed'}, and the library that Triton loads "
            f"here is {here.tensorrt}: pip install tensorrt-cu13=={here.tensorrt}"
        )
    try:  # the gate runs plans through them: a build of minutes must not end for the lack of them
        importlib.import_module("cuda.bindings.runtime")
    except ImportError as error:
        raise GpuError(
            f"the Python package cuda-bindings cannot be used ({error}): pip install cuda-bindings"
        ) from error
    return here


class Int8Recipe(StrEnum):
    """How a graph is quantised, in the order in which they are tried: the faster one first."""

    STATIC = "static"
    """int8 weights and activations, whose ranges come from calibration images."""

    DYNAMIC = "dynamic"
    """int8 weights; activations are quantised as they come, 128 at a time."""


@dataclass(frozen=True)
class Variant:
    """One way to write the classifier: a precision, for int8 how it is made, and TensorRT where that runs it."""

    precision: str
    recipe: Int8Recipe | None = None
    target: str = ""

    @property
    def name(self) -> str:
        """For progress and reports, and part of what the EXPORT_ID names."""
        how = self.recipe.value if self.recipe else self.target
        return f"{self.precision} ({how})" if how else self.precision


def variants_of(precision: str, target: Target) -> list[list[Variant]]:
    """The variants to try: lists of which the fastest is served, and in each the alternatives, the faster one first.

    An alternative is made only when those before it in its list were refused.

    Args:
        precision: `fp32`, `bf16`, `fp16`, `int8`, or `AUTO`.
        target: Who will run the classifier.

    Raises:
        ExportError: This runtime has no such precision.
    """
    if target.is_tensorrt:
        return _tensorrt_variants(precision)
    if target.runtime == "onnxruntime":
        if precision == AUTO:
            return [[Variant("fp16")], [Variant("fp32")]] if target.gpu else [[Variant("fp32")]]
        if precision not in ("fp32", "fp16"):
            raise ExportError(
                f"the onnxruntime backend takes fp32, fp16 or auto, not {precision}: bf16 and int8 are for the python "
                "backend"
            )
        return [[Variant(precision)]]
    int8 = [Variant("int8", recipe) for recipe in Int8Recipe]
    if precision == AUTO:
        # A processor that computes in bf16 is slower in fp32: the same graph, and twice the bytes.
        return [int8, [Variant("bf16"), Variant("fp32")]]
    return [int8 if precision == "int8" else [Variant(precision)]]


def _tensorrt_variants(precision: str) -> list[list[Variant]]:
    offered = ("bf16", "fp16", "fp32")
    if precision == AUTO:
        return [[Variant(name, target=TENSORRT)] for name in offered]
    if precision in offered:
        return [[Variant(precision, target=TENSORRT)]]
    raise ExportError(f"tensorrt takes {', '.join(offered)} or auto, not {precision}: int8 is for the python backend")

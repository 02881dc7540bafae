"""The ways to write a classifier: numeric formats, recipes for int8, and which of them an export tries."""

from dataclasses import dataclass
from enum import StrEnum

from export.errors import ExportError
from export.target import TENSORRT, Target

AUTO = "auto"
"""Stands for the fastest precision that passes the gate on this machine."""


class Int8Recipe(StrEnum):
    """How a graph is quantised, in the order in which they are tried: the faster one first."""

    STATIC = "static"
    """int8 weights and activations, whose ranges come from calibration images."""

    DYNAMIC = "dynamic"
    """int8 weights; activations are quantised as they come, 128 at a time."""


@dataclass(frozen=True)
class Variant:
    """One way to write the classifier: a precision, for int8 how it is made, and TensorRT where that takes part."""

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
    if target.has_tensorrt:
        return _tensorrt_variants(precision, target)
    if target.runtime == "onnxruntime":
        if precision not in ("fp32", "fp16"):
            raise ExportError(
                f"the onnxruntime backend takes fp32 or fp16, not {precision}: bf16 and int8 are for the python backend"
            )
        return [[Variant(precision)]]
    int8 = [Variant("int8", recipe) for recipe in Int8Recipe]
    if precision == AUTO:
        # A processor that computes in bf16 is slower in fp32: the same graph, and twice the bytes.
        return [int8, [Variant("bf16"), Variant("fp32")]]
    return [int8 if precision == "int8" else [Variant(precision)]]


def _tensorrt_variants(precision: str, target: Target) -> list[list[Variant]]:
    offered = ("bf16", "fp16", "fp32") if target.runtime == TENSORRT else ("bf16", "fp16")
    if precision == AUTO:
        return [[Variant(name, target=target.label)] for name in offered]
    if precision in offered:
        return [[Variant(precision, target=target.label)]]
    advice = "int8 is for the python backend"
    if precision == "fp32":
        advice = "its fp32 would be TF32; exact fp32 is for --backend tensorrt, or for onnxruntime with --gpu alone"
    raise ExportError(f"{target.label} takes {', '.join(offered)} or auto, not {precision}: {advice}")

"""The checkpoint's own graph by PyTorch: pixel_values in, logits out."""

import contextlib
import io
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx

from export.checkpoint.load import Checkpoint, reason_of
from export.errors import ExportError

OPSET = 18


def export_logits_graph(checkpoint: Checkpoint, scratch_dir: Path) -> onnx.ModelProto:
    """Exports an image classifier of any architecture that PyTorch can trace.

    Args:
        checkpoint: The loaded checkpoint.
        scratch_dir: Where the exporter's own file is written and removed again.

    Returns:
        A graph from `pixel_values` (N, 3, S, S) float32 to `logits` (N, outputs) float32, plain ONNX operators only.

    Raises:
        ExportError: PyTorch cannot trace the model, or ONNX has no operator for a part of it.
    """
    import torch

    class Logits(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = checkpoint.model

        def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
            return self.model(pixel_values=pixel_values).logits

    shape = (2, 3, checkpoint.resize.size_px, checkpoint.resize.size_px)
    silent = contextlib.redirect_stdout(io.StringIO())  # where it fails it prints the whole graph
    with tempfile.TemporaryDirectory(dir=scratch_dir) as scratch, warnings.catch_warnings(), silent:
        warnings.simplefilter("ignore")  # the tracer's advice on control flow; the parity gate is the judge
        file = Path(scratch) / "model.onnx"
        try:
            with _fixed_positions(checkpoint.model, torch.zeros(shape)):
                torch.onnx.export(
                    Logits().eval(),
                    (torch.zeros(shape),),
                    str(file),
                    input_names=["pixel_values"],
                    output_names=["logits"],
                    dynamic_axes={"pixel_values": {0: "N"}, "logits": {0: "N"}},
                    opset_version=OPSET,
                    dynamo=False,
                )
        except (ValueError, LookupError, TypeError, RuntimeError, NotImplementedError) as error:
            raise ExportError(f"PyTorch cannot export {checkpoint.located.name} to ONNX: {reason_of(error)}") from error
        return onnx.load(str(file))


@contextlib.contextmanager
def _fixed_positions(model: Any, pixels: Any) -> Iterator[None]:
    """Has a model take its position embeddings, stretched to the size of the pixels, as they are.

    The stretching depends on nothing but the size, and ONNX lacks some forms of it.
    """
    import torch

    found: dict[Any, Any] = {}

    def recording(module: Any) -> Any:
        stretch = module.interpolate_pos_encoding

        def record(*arguments: Any, **options: Any) -> Any:
            found[module] = stretch(*arguments, **options).detach()
            return found[module]

        return record

    stretching = [module for module in model.modules() if hasattr(module, "interpolate_pos_encoding")]
    try:
        for module in stretching:
            module.interpolate_pos_encoding = recording(module)
        with torch.no_grad():
            model(pixel_values=pixels[:1])
        for module, positions in found.items():
            module.interpolate_pos_encoding = lambda *_arguments, positions=positions, **_options: positions
        yield
    finally:
        for module in stretching:
            vars(module).pop("interpolate_pos_encoding", None)

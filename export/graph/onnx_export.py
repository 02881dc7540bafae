"""The checkpoint's own graph by optimum: pixel_values in, logits out."""

import contextlib
import io
import logging
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
        ExportError: optimum cannot trace the model, or ONNX has no operator for a part of it.
    """
    import torch
    from optimum.exporters.onnx import export

    pixels = torch.zeros(2, 3, checkpoint.resize.size_px, checkpoint.resize.size_px)
    logging.getLogger("optimum").setLevel(logging.ERROR)
    silent = contextlib.redirect_stdout(io.StringIO())  # where it fails it prints the whole graph
    with tempfile.TemporaryDirectory(dir=scratch_dir) as scratch, warnings.catch_warnings(), silent:
        warnings.simplefilter("ignore")  # the tracer's advice on control flow; the parity gate is the judge
        file = Path(scratch) / "model.onnx"
        try:
            with _fixed_positions(checkpoint.model, pixels):
                export(
                    checkpoint.model,
                    _configuration(checkpoint.model.config, pixels),
                    file,
                    opset=OPSET,
                    disable_dynamic_axes_fix=True,
                )
        except (ValueError, LookupError, TypeError, RuntimeError, NotImplementedError) as error:
            raise ExportError(f"optimum cannot export {checkpoint.located.name} to ONNX: {reason_of(error)}") from error
        return onnx.load(str(file))


def _configuration(config: Any, pixels: Any) -> Any:
    """One description for all image classifiers; optimum has its own for some of them only."""
    from optimum.exporters.onnx.model_configs import ViTOnnxConfig

    class ImageClassifierOnnxConfig(ViTOnnxConfig):  # type: ignore[misc]
        @property
        def inputs(self) -> dict[str, dict[int, str]]:
            return {"pixel_values": {0: "N"}}

        @property
        def outputs(self) -> dict[str, dict[int, str]]:
            return {"logits": {0: "N"}}

        def generate_dummy_inputs(self, **_options: Any) -> dict[str, Any]:
            return {"pixel_values": pixels}

    return ImageClassifierOnnxConfig(config, task="image-classification")


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

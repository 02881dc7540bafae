"""Writes a calibrated checkpoint: the temperature in the head's weights, bands in the sidecar, and a diagram."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepfake_client.release import CalibrationRecord, ReleaseBands
from evaluation.statistics.metrics import CalibrationBin
from export.checkpoint.load import SIDECAR, Checkpoint, read_sidecar
from export.release import own_file
from training.errors import CalibrationError

_KEPT_SUFFIXES = (".json", ".md", ".txt")
_KEPT_NAMES = ("LICENSE", "LICENCE", "NOTICE")
_WRITTEN_ANEW = ("config.json", SIDECAR)
_TOLERANCE = 1e-4
_BEFORE, _AFTER, _GREY = "#D55E00", "#0072B2", "#6E6E6E"  # Okabe and Ito's palette


def fold_temperature(model: Any, temperature: float) -> None:
    """Divides the logits of an image classifier by a temperature, in its head's weights: in float64, kept in fp32.

    Args:
        model: A transformers model whose logits come out of a linear layer; changed in place.
        temperature: What the logits are divided by.

    Raises:
        CalibrationError: The last linear layer is not what makes the logits.
    """
    import torch

    labels = model.config.num_labels
    heads = [m for m in model.modules() if isinstance(m, torch.nn.Linear) and m.out_features == labels]
    if not heads:
        raise CalibrationError(f"{type(model).__name__} has no linear layer with {labels} outputs to scale")
    head, before = heads[-1], _probe(model)
    with torch.no_grad():
        for values in (head.weight, head.bias):
            if values is not None:
                values.copy_((values.double() / temperature).float())
    off = float((_probe(model) * temperature - before).abs().max())
    if not off <= _TOLERANCE * max(float(before.abs().max()), 1.0):
        raise CalibrationError(f"the last linear layer of {type(model).__name__} does not make its logits")


def write_calibrated(
    checkpoint: Checkpoint, folder: Path, temperature: float, bands: ReleaseBands, record: CalibrationRecord
) -> None:
    """Writes the checkpoint with its head scaled. The model in memory is scaled too.

    Card, licence, processor and labels are copied. Golden images are not, since their scores change.

    Args:
        checkpoint: The loaded checkpoint.
        folder: Existing, empty directory.
        temperature: What its logits are divided by.
        bands: For the sidecar.
        record: For the sidecar.

    Raises:
        CalibrationError: The head cannot be scaled.
        CheckpointError: A file to be copied is a link that leaves the checkpoint.
        OSError: The folder cannot be written.
    """
    source = checkpoint.located.path
    fold_temperature(checkpoint.model, temperature)
    sidecar = read_sidecar(source).model_copy(update={"verdict_bands": bands, "calibration": record})
    if not sidecar.name:
        sidecar = sidecar.model_copy(update={"name": checkpoint.name})  # the folder's name is another one now
    for path in source.iterdir():
        kept = path.suffix in _KEPT_SUFFIXES or path.stem.upper() in _KEPT_NAMES
        kept = kept and path.name not in _WRITTEN_ANEW and not path.name.endswith(".index.json")
        if kept and (own := own_file(source, path.name)):
            shutil.copyfile(own, folder / path.name)
    checkpoint.model.save_pretrained(folder)
    text = json.dumps(sidecar.model_dump(mode="json", exclude_none=True), indent=1)
    (folder / SIDECAR).write_text(text + "\n", encoding="utf-8")


def draw_reliability(before: Sequence[CalibrationBin], after: Sequence[CalibrationBin], path: Path) -> None:
    """Draws both reliability diagrams into one PNG file.

    Args:
        before: Bins of the scores before.
        after: Bins of the scores after.
        path: File to write; the same bins give the same file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 5.2), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle=(0, (4, 3)), label="perfectly calibrated")
    for bins, colour, name in ((before, _BEFORE, "before"), (after, _AFTER, "after")):
        filled = [one for one in bins if one.files]
        whole = sum(one.files for one in filled)
        axes.scatter(
            [one.mean_p or 0.0 for one in filled],
            [one.fraction_fake or 0.0 for one in filled],
            s=[20 + 280 * one.files / whole for one in filled],
            color=colour, alpha=0.7, label=name, clip_on=False, zorder=3,
        )  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xlabel(f"fake probability (0-1), {len(after)} bins; area: share of the frames")
    axes.set_ylabel("share of fake frames")
    axes.set_title("Reliability before and after calibration", fontsize=11)
    axes.legend(loc="upper left", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _probe(model: Any) -> Any:
    """(2, labels) float64 logits of fixed random pixels."""
    import torch

    config = getattr(model.config, "vision_config", model.config)
    size = getattr(config, "image_size", 224)
    height, width = size if isinstance(size, list | tuple) else (size, size)
    pixels = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return model(pixel_values=pixels).logits.double()

"""Writes a calibrated checkpoint: the scale in the head's weights, bands in the sidecar. Or a fusion of several."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepfake_client.release import CalibrationRecord, ReleaseBands, Scope
from export.checkpoint.fusion import FusedMember, FusionFile, Sources, distinct
from export.checkpoint.hub import LocatedCheckpoint
from export.checkpoint.load import SIDECAR, Checkpoint, Sidecar, read_sidecar
from export.checkpoint.model_card import README
from export.release import own_file
from runtime import FUSION_FILE
from training.calibration.fitting import Scale
from training.calibration.fusing.fusion import FusedCalibration
from training.errors import CalibrationError

_KEPT_SUFFIXES = (".json", ".md", ".txt")
_KEPT_NAMES = ("LICENSE", "LICENCE", "NOTICE")
_WRITTEN_ANEW = ("config.json", SIDECAR)
_TOLERANCE = 1e-4


def fold_scale(checkpoint: Checkpoint, scale: Scale) -> None:
    """Scales the logits of an image classifier in its head's weights: in float64, kept in fp32.

    Args:
        checkpoint: One whose logits come out of a linear layer; its model is changed in place.
        scale: What the logits are divided by, and what is added to those of the fake classes.

    Raises:
        CalibrationError: The last linear layer is not what makes the logits, or has no bias.
    """
    import torch

    model, labels = checkpoint.model, checkpoint.head.outputs
    layers = [m for m in model.modules() if isinstance(m, torch.nn.Linear) and m.out_features == labels]
    if not layers or layers[-1].bias is None:
        raise CalibrationError(f"{type(model).__name__} has no linear layer with {labels} outputs and a bias to scale")
    last, before = layers[-1], _probe(checkpoint)
    added = torch.tensor(checkpoint.head.towards_fake, dtype=torch.float64) * scale.bias
    with torch.no_grad():
        last.weight.copy_((last.weight.double() / scale.temperature).float())
        last.bias.copy_((last.bias.double() / scale.temperature + added).float())
    off = float(((_probe(checkpoint) - added) * scale.temperature - before).abs().max())
    if not off <= _TOLERANCE * max(float(before.abs().max()), 1.0):
        raise CalibrationError(f"the last linear layer of {type(model).__name__} does not make its logits")


def write_calibrated(
    checkpoint: Checkpoint, folder: Path, scale: Scale, bands: ReleaseBands, record: CalibrationRecord
) -> None:
    """Writes the checkpoint with its head scaled. The model in memory is scaled too.

    Card, licence, processor and labels are copied. Golden images are not, since their scores change.

    Args:
        checkpoint: The loaded checkpoint.
        folder: Existing, empty directory.
        scale: How its logits are scaled.
        bands: For the sidecar.
        record: For the sidecar.

    Raises:
        CalibrationError: The head cannot be scaled.
        CheckpointError: A file to be copied is a link that leaves the checkpoint.
        OSError: The folder cannot be written.
    """
    source = checkpoint.located.path
    fold_scale(checkpoint, scale)
    sidecar = read_sidecar(source).model_copy(update={"verdict_bands": bands, "calibration": record})
    if not sidecar.name:
        sidecar = sidecar.model_copy(update={"name": checkpoint.name})  # the folder's name is another one now
    for path in source.iterdir():
        kept = path.suffix in _KEPT_SUFFIXES or path.stem.upper() in _KEPT_NAMES
        kept = kept and path.name not in _WRITTEN_ANEW and not path.name.endswith(".index.json")
        if kept and (own := own_file(source, path.name)):
            shutil.copyfile(own, folder / path.name)
    checkpoint.model.save_pretrained(folder)
    _write_json(folder / SIDECAR, sidecar.model_dump(mode="json", exclude_none=True))


def write_fused(
    sources: Sources,
    members: Sequence[Checkpoint],
    folder: Path,
    calibrated: FusedCalibration,
    record: CalibrationRecord,
) -> None:
    """Writes a folder that names the members, and how their scores are fused.

    Args:
        sources: The members; of a folder with an earlier fusion its name, notice and card are kept.
        members: The same, loaded.
        folder: Existing, empty directory, beside which the new folder is to lie.
        calibrated: The fusion, and the bands for the sidecar.
        record: For the sidecar.

    Raises:
        CheckpointError: The earlier card is a link that leaves its folder.
        OSError: The folder cannot be written.
    """
    fused = tuple(
        FusedMember(
            checkpoint=_named(source.located, folder),
            revision=source.located.revision,
            sha256=loaded.sha256,
            fake_labels=() if loaded.head.fake_when else loaded.head.fake_labels,
            fake_when=loaded.head.fake_when,
            whole_image=source.whole_image,
            weight=weight,
        )
        for source, loaded, weight in zip(sources.members, members, calibrated.fusion.weights, strict=True)
    )
    _write_json(folder / FUSION_FILE, FusionFile(members=fused, intercept=calibrated.fusion.intercept).model_dump())
    sidecar = read_sidecar(sources.folder) if sources.folder else _joint_sidecar(members)
    sidecar = sidecar.model_copy(update={"verdict_bands": calibrated.found.bands, "calibration": record})
    of_members = {"crop_factor", "trained"}
    _write_json(folder / SIDECAR, sidecar.model_dump(mode="json", exclude_none=True, exclude=of_members))
    if sources.folder and (card := own_file(sources.folder, README)):
        shutil.copyfile(card, folder / README)


def _named(located: LocatedCheckpoint, folder: Path) -> str:
    """How fusion.json names a member: so that both folders can be moved together where they lie side by side."""
    if located.revision:
        return located.name
    beside = located.path.parent == folder.resolve().parent
    return f"../{located.path.name}" if beside else str(located.path)


def _joint_sidecar(members: Sequence[Checkpoint]) -> Sidecar:
    """What holds for all members together; the export adds their notices."""
    scopes = [member.sidecar.scope for member in members]
    return Sidecar(
        name=" + ".join(distinct([member.name for member in members])),
        scope=Scope.FACE if Scope.FACE in scopes else Scope.ANY,
    )


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _probe(checkpoint: Checkpoint) -> Any:
    """(2, outputs) float64 logits of fixed random pixels."""
    import torch

    side = checkpoint.resize.size_px
    pixels = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return checkpoint.model(pixel_values=pixels).logits.double()

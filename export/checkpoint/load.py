"""Loads an image classifier and its image processor, and refuses what cannot be served."""

import hashlib
import json
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deepfake_client.command_line.packages import missing_packages
from deepfake_client.release import CalibrationRecord, CardFields, ModelCard, ReleaseBands, Scope, first_fault
from export.checkpoint.head import NOTHING_SAID, Head, Labelling, read_head
from export.checkpoint.hub import PROCESSOR_FILES, LocatedCheckpoint, is_timm
from export.checkpoint.model_card import README, read_card
from export.checkpoint.processor import Normalisation, read_processor
from export.errors import CheckpointError
from export.golden import FOLDER
from preprocessing import ResizeSpec
from runtime import FUSION_FILE

SIDECAR = "deepfake.json"
"""Optional file of a checkpoint: its name, verdict bands, calibration and more (docs/train.md)."""

MULTI_LABEL = "multi_label_classification"
"""transformers' name of a training in which an image may have several labels, each with a sigmoid of its own."""

_LONGEST_REASON = 200
"""Characters of a message of transformers that are shown: it lists its 400 kinds of models."""


class Sidecar(BaseModel):
    """The content of `deepfake.json`; what it does not say keeps its default.

    Attributes:
        name: What results call the model; by default its hub id or the directory's name.
        trained: False for seeded weights.
        notice: A sentence to show beside every result, or "".
        crop_factor: Side of the face crop over the longer side of the face box.
        scope: Whether it can judge faces only, or any picture.
        verdict_bands: Bands for images and for videos.
        calibration: How they were set, if the checkpoint says.
        model_card: Who made it, for what, and where it fails.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = ""
    trained: bool = True
    notice: str = ""
    crop_factor: float = Field(default=1.3, ge=1, le=10)
    scope: Scope = Scope.ANY
    verdict_bands: ReleaseBands = ReleaseBands()
    calibration: CalibrationRecord | None = None
    model_card: CardFields | None = None


LOADING: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
"""How transformers loads a checkpoint here: from the disk alone, and never by code that the checkpoint brings."""


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint.

    Attributes:
        located: Where it came from.
        name: What results call it.
        sha256: Over its configuration and weights.
        model: The PyTorch model, fp32, in evaluation mode.
        processor: transformers' image processor (the Pillow one).
        head: What is made of its logits.
        resize: The processor's resize.
        normalisation: What the processor does to pixel values.
        sidecar: What it says about itself.
        model_card: Its card, if it has one.
    """

    located: LocatedCheckpoint
    name: str
    sha256: str
    model: Any
    processor: Any
    head: Head
    resize: ResizeSpec
    normalisation: Normalisation
    sidecar: Sidecar
    model_card: ModelCard | None = None


def checkpoint_digest(path: Path) -> str:
    """SHA-256 over the names and contents of the files that decide what a checkpoint computes."""
    return _digest(path, (f for f in path.iterdir() if f.suffix in (".json", ".safetensors", ".bin")))


def companions_digest(path: Path) -> str:
    """SHA-256 over what goes with a checkpoint into a release and changes no score: its card and golden images."""
    return _digest(path, (path / README, *(path / FOLDER).glob("*")))


def _digest(root: Path, files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in sorted(f for f in files if f.is_file()):
        with file.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        digest.update(f"{file.relative_to(root).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


def load_checkpoint(located: LocatedCheckpoint, said: Labelling = NOTHING_SAID) -> Checkpoint:
    """Loads model and processor with transformers.

    Args:
        located: Where it lies.
        said: What the user says of its outputs.

    Raises:
        CheckpointError: Not an image classifier with a fixed-size RGB input, damaged, or made for code of its own.
        LabelError: The outputs do not say what means fake.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification

    refuse_no_checkpoint(located)
    try:
        _require_processor(located.path)
        config = AutoConfig.from_pretrained(located.path, **LOADING)
        _refuse_unsuitable(config, located)
        processor = AutoImageProcessor.from_pretrained(located.path, use_fast=False, **LOADING)
        resize, normalisation = read_processor(processor, located.name)
        model, loading = AutoModelForImageClassification.from_pretrained(
            located.path, dtype=torch.float32, output_loading_info=True, **LOADING
        )
        _refuse_other_weights(loading, located)
        _refuse_other_size(model.eval(), resize, located)
    except CheckpointError:
        raise
    except (
        OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, ImportError, SafetensorError
    ) as error:  # fmt: skip
        raise CheckpointError(f"{located.path} cannot be loaded as an image classifier: {reason_of(error)}") from error
    sidecar = read_sidecar(located.path)
    name = (sidecar.name or located.name).encode("utf-8", "replace").decode()  # a folder's name may hold other bytes
    return Checkpoint(
        located=located,
        sha256=checkpoint_digest(located.path),
        model=model,
        processor=processor,
        head=read_head(config.id2label, multi_label=config.problem_type == MULTI_LABEL, said=said),
        resize=resize,
        normalisation=normalisation,
        name=name,
        sidecar=sidecar,
        model_card=read_card(located.path, sidecar.model_card, name),
    )


def reason_of(error: Exception) -> str:
    """Why transformers cannot load a checkpoint; its own message may list every type of model that it knows."""
    return textwrap.shorten(str(error), _LONGEST_REASON, placeholder=" ...") or type(error).__name__


def refuse_no_checkpoint(located: LocatedCheckpoint) -> None:
    """Refuses what is no checkpoint, or is to be loaded by Python modules of its own: none of them is ever run.

    Raises:
        CheckpointError: It has no configuration, or its settings name such modules (`auto_map`).
    """
    if (located.path / FUSION_FILE).is_file():
        raise CheckpointError(f"{located.path} is a fusion of several checkpoints, not one of them: name its members")
    if not (located.path / "config.json").is_file():
        raise CheckpointError(
            f"{located.path} cannot be loaded: it holds no config.json. Give the folder that transformers' "
            "save_pretrained wrote, or a hub id"
        )
    for name in ("config.json", *PROCESSOR_FILES):
        try:
            settings = json.loads((located.path / name).read_bytes())
        except (OSError, ValueError):
            continue  # transformers says what is wrong with it
        if isinstance(settings, dict) and settings.get("auto_map"):
            raise CheckpointError(
                f"{located.name}: its {name} asks for Python code of the checkpoint (auto_map), which is never run; "
                "take a checkpoint of a model that transformers itself has"
            )


def _require_processor(path: Path) -> None:
    """Says what is missing for the image processor, of which transformers' own words lead elsewhere."""
    if is_timm(path):
        if missing := missing_packages({"timm": "timm", "torchvision": "timm"}):
            raise CheckpointError(f"{path} is a checkpoint of timm, and {missing}")
    elif not any((path / name).is_file() for name in PROCESSOR_FILES):
        raise CheckpointError(
            f"{path} holds no preprocessor_config.json, so nothing says how its pictures are prepared: add that of the "
            "model it was trained from"
        )


def _refuse_unsuitable(config: Any, located: LocatedCheckpoint) -> None:
    architecture = (getattr(config, "architectures", None) or [""])[0]
    plain_timm = config.model_type == "timm_wrapper" and not architecture
    if not (plain_timm or "ForImageClassification" in architecture):
        raise CheckpointError(
            f"{located.name} is a {architecture or config.model_type}, not a ...ForImageClassification model"
        )
    if config.model_type == "siglip2":
        raise CheckpointError(
            f"{located.name} is a SigLIP2 NaFlex model: its number of patches varies with the image, and only "
            "fixed-size checkpoints can be served"
        )
    if config.problem_type == "regression":
        raise CheckpointError(
            f"{located.name} is trained for regression: its outputs are no logits, and read as such they would be "
            "wrong; take one that is trained for classification"
        )
    channels = getattr(getattr(config, "vision_config", config), "num_channels", 3)
    if channels != 3:
        raise CheckpointError(f"{located.name} takes {channels} channels; only RGB can be served")


def _refuse_other_weights(loading: Mapping[str, Any], located: LocatedCheckpoint) -> None:
    """A model with weights that the file does not have is a random one, and says nothing of it."""
    for kind in ("missing", "unexpected", "mismatched"):
        if keys := sorted(str(key) for key in loading[f"{kind}_keys"]):
            named = ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
            raise CheckpointError(f"{located.name}: its weights do not fit its architecture; {kind}: {named}")


def _refuse_other_size(model: Any, resize: ResizeSpec, located: LocatedCheckpoint) -> None:
    """Models that take other sizes than that of their training say so by running."""
    import torch

    expected = getattr(getattr(model.config, "vision_config", model.config), "image_size", resize.size_px)
    if expected in (resize.size_px, [resize.size_px] * 2, (resize.size_px,) * 2):
        return
    try:
        with torch.inference_mode():
            model(pixel_values=torch.zeros(1, 3, resize.size_px, resize.size_px))
    except (ValueError, RuntimeError, TypeError, LookupError) as error:
        raise CheckpointError(
            f"{located.name}: the image processor makes {resize.size_px} px squares, the model takes {expected}"
        ) from error


def read_sidecar(path: Path) -> Sidecar:
    """The checkpoint's `deepfake.json`; all defaults where there is none.

    Raises:
        CheckpointError: It cannot be read.
    """
    sidecar = path / SIDECAR
    if not sidecar.is_file():
        return Sidecar()
    try:
        return Sidecar.model_validate_json(sidecar.read_bytes(), extra="forbid")
    except ValidationError as error:
        raise CheckpointError(f"{sidecar}: {first_fault(error)}") from error

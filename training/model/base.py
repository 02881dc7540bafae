"""The model that training starts from: a hub id or a directory, with a head for two classes."""

import logging
from dataclasses import dataclass
from typing import Any

from evaluation.dataset import Label
from export.checkpoint import SIDECAR, Normalisation, Sidecar, checkpoint_digest, read_processor
from export.checkpoint.hub import LocatedCheckpoint, locate_checkpoint
from export.errors import ExportError
from preprocessing import ResizeSpec
from training.data.views import CLASS_INDEX
from training.errors import OptionError

LABELS = {CLASS_INDEX[Label.FAKE]: "Fake", CLASS_INDEX[Label.REAL]: "Real"}

DEFAULT_CROP_FACTOR = 1.3

log = logging.getLogger("training")


@dataclass(frozen=True)
class BaseModel:
    """Where training starts.

    Attributes:
        located: Where it came from.
        sha256: Over its configuration and weights.
        config: transformers' configuration, its labels already ours.
        processor: transformers' image processor (the Pillow one).
        resize: The processor's resize.
        normalisation: The processor's normalisation.
        crop_factor: What its sidecar says, or 1.3.
        new_head: Its labels are not ours, so the head starts from random weights.
    """

    located: LocatedCheckpoint
    sha256: str
    config: Any
    processor: Any
    resize: ResizeSpec
    normalisation: Normalisation
    crop_factor: float
    new_head: bool

    @property
    def grid(self) -> int:
        """Patches a side."""
        vision = getattr(self.config, "vision_config", self.config)
        return self.resize.size_px // int(getattr(vision, "patch_size", self.resize.size_px))

    @property
    def width(self) -> int:
        """Dimensions of a patch's token."""
        return int(getattr(self.config, "vision_config", self.config).hidden_size)

    def load(self) -> Any:
        """The model, fp32, with our two labels; a new head is drawn from torch's global generator.

        Raises:
            OptionError: The weights cannot be loaded as an image classifier.
        """
        import torch
        from transformers import AutoModelForImageClassification

        try:
            network = AutoModelForImageClassification.from_pretrained(
                self.located.path,
                config=self.config,
                local_files_only=True,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
            )
        except (OSError, ValueError, LookupError, TypeError, RuntimeError, ImportError) as error:
            raise _unusable(self.located.name, error) from error
        if self.new_head:  # two labels in another order or of another meaning fit in shape
            for module in network.classifier.modules():
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()
        return network


def find_base(base: str, revision: str | None = None) -> BaseModel:
    """Finds the base and reads its configuration, not its weights.

    Raises:
        OptionError: It cannot be found, or is of a kind that cannot be fine-tuned or served.
    """
    from transformers import AutoConfig, AutoImageProcessor

    try:
        located = locate_checkpoint(base, revision)
        config = AutoConfig.from_pretrained(located.path, local_files_only=True)
        _refuse_unsuitable(config, located.name)
        processor = AutoImageProcessor.from_pretrained(located.path, local_files_only=True, use_fast=False)
        resize, normalisation = read_processor(processor, located.name)
        sidecar_file = located.path / SIDECAR
        has_sidecar = sidecar_file.is_file()
        factor = Sidecar.model_validate_json(sidecar_file.read_text("utf-8")).crop_factor if has_sidecar else None
        digest = checkpoint_digest(located.path)
    except ExportError as error:
        raise OptionError(f"--base: {error}") from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise _unusable(base, error) from error
    new_head = [label.lower() for _, label in sorted(config.id2label.items())] != ["fake", "real"] or not any(
        "ForImageClassification" in name for name in config.architectures or ()
    )
    if new_head:
        labels = ", ".join(list(config.id2label.values())[:4])
        log.info("%s has no head for Fake and Real (its labels: %s): it gets a new one", located.name, labels)
    config.id2label, config.label2id = dict(LABELS), {label: index for index, label in LABELS.items()}
    return BaseModel(located, digest, config, processor, resize, normalisation, factor or DEFAULT_CROP_FACTOR, new_head)


def _refuse_unsuitable(config: Any, name: str) -> None:
    if config.model_type == "siglip2":
        raise OptionError(
            f"--base {name} is a SigLIP2 NaFlex model, whose number of patches varies; take one of a fixed size, "
            "such as google/siglip2-base-patch16-224"
        )
    if getattr(getattr(config, "vision_config", config), "num_channels", 3) != 3:
        raise OptionError(f"--base {name} does not take RGB images")


def _unusable(name: str, error: Exception) -> OptionError:
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    return OptionError(f"--base {name} cannot be loaded as an image classifier: {reason}")

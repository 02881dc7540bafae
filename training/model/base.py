"""The model that training starts from, and which of its weights learn."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification

from evaluation.dataset import Label
from export.checkpoint.hub import LocatedCheckpoint, locate_checkpoint
from export.checkpoint.load import (
    LOADING,
    MULTI_LABEL,
    SIDECAR,
    Sidecar,
    checkpoint_digest,
    reason_of,
    refuse_no_checkpoint,
)
from export.checkpoint.processor import Normalisation, read_processor
from export.errors import ExportError
from preprocessing import ResizeSpec
from training.data.views import CLASS_INDEX
from training.errors import OptionError

LABELS = {CLASS_INDEX[Label.FAKE]: "Fake", CLASS_INDEX[Label.REAL]: "Real"}

DEFAULT_CROP_FACTOR = 1.3

_LAYER = re.compile(r"(?:^|\.)layers?\.(\d+)\.")

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

    def load(self) -> Any:
        """The model, fp32, with our two labels; a new head is drawn from torch's global generator.

        Raises:
            OptionError: The weights cannot be loaded as an image classifier.
        """
        try:
            network, loading = AutoModelForImageClassification.from_pretrained(
                self.located.path,
                config=self.config,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **LOADING,
            )
        except (OSError, ValueError, LookupError, TypeError, RuntimeError, ImportError) as error:
            raise _unusable(self.located.name, error) from error
        _require_backbone(network, loading, self.located.name)
        if self.new_head:  # two labels in another order or of another meaning fit in shape
            for module in (module for head in _heads(network) for module in head.modules()):
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()
        return network


def find_base(base: str, revision: str | None = None) -> BaseModel:
    """Finds the base and reads its configuration, not its weights.

    Raises:
        OptionError: It cannot be found, or is of a kind that cannot be fine-tuned or served.
    """
    try:
        located = locate_checkpoint(base, revision)
        refuse_no_checkpoint(located)
        config = AutoConfig.from_pretrained(located.path, **LOADING)
        _refuse_unsuitable(config, located.name)
        processor = AutoImageProcessor.from_pretrained(located.path, use_fast=False, **LOADING)
        resize, normalisation = read_processor(processor, located.name)
        sidecar_file = located.path / SIDECAR
        has_sidecar = sidecar_file.is_file()
        factor = Sidecar.model_validate_json(sidecar_file.read_text("utf-8")).crop_factor if has_sidecar else None
        digest = checkpoint_digest(located.path)
    except ExportError as error:
        raise OptionError(f"--base: {error}") from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise _unusable(base, error) from error
    new_head = (
        [label.lower() for _, label in sorted(config.id2label.items())] != ["fake", "real"]
        or config.problem_type in (MULTI_LABEL, "regression")
        or not any("ForImageClassification" in name for name in config.architectures or ())
    )
    if new_head:
        labels = ", ".join(list(config.id2label.values())[:4])
        log.info("%s has no head for Fake and Real (its labels: %s): it gets a new one", located.name, labels)
    config.problem_type = None  # one label an image, whatever the base was trained for
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


def _require_backbone(network: Any, loading: Mapping[str, Any], name: str) -> None:
    """Only a head may be missing: a backbone of random weights trains to little, and says nothing of it."""
    heads = {id(parameter) for head in _heads(network) for parameter in head.parameters()}
    of_head = {key for key, parameter in network.named_parameters() if id(parameter) in heads}
    # Of weights in another shape transformers gives the two shapes as well.
    mismatched = {key if isinstance(key, str) else key[0] for key in loading["mismatched_keys"]}
    if lost := sorted({*loading["missing_keys"], *mismatched} - of_head):
        named = ", ".join(lost[:3]) + (f" and {len(lost) - 3} more" if len(lost) > 3 else "")
        raise OptionError(
            f"--base {name}: its weights do not fit its architecture; missing or of another shape: {named}"
        )


def _unusable(name: str, error: Exception) -> OptionError:
    return OptionError(f"--base {name} cannot be loaded as an image classifier: {reason_of(error)}")


def choose_trainable(network: Any, lora: int, freeze_layers: int) -> Any:
    """Freezes what shall stay, and adds adapters where asked.

    Args:
        network: transformers' image classifier.
        lora: Rank; 0: none.
        freeze_layers: Leaves the embeddings and so many first layers.

    Returns:
        The network, or peft's model around it.

    Raises:
        OptionError: It has fewer layers, or no layers that adapters are known for.
    """
    layers = sorted({int(match[1]) for name, _ in network.named_parameters() if (match := _LAYER.search(name))})
    if freeze_layers > len(layers):
        raise OptionError(f"freeze_layers is {freeze_layers}; the base has {len(layers)} layers")
    _leave_out_pooling_head(network)
    if lora:
        network = _with_adapters(network, lora, freeze_layers)
    elif freeze_layers:
        _freeze_first(network, freeze_layers)
    learning = sum(p.numel() for p in network.parameters() if p.requires_grad)
    total = sum(p.numel() for p in network.parameters())
    log.info("%.2f of %.2f million weights are trained", learning / 1e6, total / 1e6)
    return network


def without_adapters(network: Any) -> Any:
    """The plain network, adapters added into its weights."""
    return network.merge_and_unload() if hasattr(network, "merge_and_unload") else network


def _leave_out_pooling_head(network: Any) -> None:
    """Turns off SigLIP's attention pooling, whose result the classifier does not use: it averages the tokens."""
    vision = getattr(network, "vision_model", None)
    if vision is not None and hasattr(vision, "use_head") and hasattr(vision, "head"):
        vision.use_head = False
        vision.head.requires_grad_(False)


def _freeze_first(network: Any, count: int) -> None:
    for name, parameter in network.named_parameters():
        layer = _LAYER.search(name)
        if "embeddings" in name or (layer and int(layer[1]) < count):
            parameter.requires_grad = False


def _with_adapters(network: Any, rank: int, frozen: int) -> Any:
    """The network with adapters beside every linear layer of its body, or its convolutions where it has none."""

    def learns(name: str, module: torch.nn.Module) -> bool:
        layer = _LAYER.search(f"{name}.")
        behind = int(layer[1]) >= frozen if layer else not frozen
        return behind and any(parameter.requires_grad for parameter in module.parameters(recurse=False))

    body = [(name, one) for name, one in network.named_modules() if "classifier" not in name and learns(name, one)]
    linear = [name for name, module in body if isinstance(module, torch.nn.Linear)]
    whole = [name for name, module in body if isinstance(module, torch.nn.Conv2d) and module.groups == 1]
    if not (targets := linear or whole):
        raise OptionError("lora finds no layers in the base that it knows: train without it")
    if getattr(network.config, "tf_padding", False):
        raise OptionError("lora does not fit a base that pads as TensorFlow does, such as MobileNet: train without it")
    adapted = get_peft_model(network, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets))
    for head in _heads(adapted.get_base_model()):
        head.requires_grad_(True)
    return adapted


def _heads(network: Any) -> list[torch.nn.Module]:
    """What makes the logits: one layer, or that of the labels and that of a teacher (DeiT)."""
    return [module for name, module in network.named_children() if "classifier" in name]

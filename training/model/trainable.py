"""Which weights learn: LoRA adapters, frozen layers, and parts of a model that the scores do not use."""

import logging
import re
from typing import Any

from training.errors import OptionError

_LAYER = re.compile(r"(?:^|\.)layers?\.(\d+)\.")
_LORA_TARGETS = r"(?:self_attn\.(?:q_proj|k_proj|v_proj|out_proj)|mlp\.(?:fc1|fc2))"

log = logging.getLogger("training")


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
        network = _with_adapters(network, lora, layers[freeze_layers:])
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
    """SigLIP's classifier averages the tokens; its attention pooling is computed and thrown away."""
    vision = getattr(network, "vision_model", None)
    if vision is not None and hasattr(vision, "use_head") and hasattr(vision, "head"):
        vision.use_head = False
        vision.head.requires_grad_(False)


def _freeze_first(network: Any, count: int) -> None:
    for name, parameter in network.named_parameters():
        layer = _LAYER.search(name)
        if "embeddings" in name or (layer and int(layer[1]) < count):
            parameter.requires_grad = False


def _with_adapters(network: Any, rank: int, layers: list[int]) -> Any:
    from peft import LoraConfig, get_peft_model

    numbers = "|".join(map(str, layers))
    targets = rf".*\.layers\.(?:{numbers})\.{_LORA_TARGETS}"
    if not layers or not any(re.fullmatch(targets, name) for name, _ in network.named_modules()):
        raise OptionError("lora finds no layers in the base that it knows: train without it")
    adapted = get_peft_model(network, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets))
    adapted.get_base_model().classifier.requires_grad_(True)
    return adapted

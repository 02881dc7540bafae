"""The module that is trained: it normalises pixels itself and computes the losses."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from export.checkpoint.processor import Normalisation
from training.errors import OptionError


class TrainingModel(nn.Module):  # type: ignore[misc]
    """A classifier with its losses; the extra head that finds foreign patches exists during training only."""

    def __init__(
        self,
        network: Any,
        normalisation: Normalisation,
        class_weights: list[float],
        patch_loss: float = 0.0,
        width: int = 0,
    ) -> None:
        """Wraps a classifier.

        Args:
            network: transformers' image classifier, or peft's model around it.
            normalisation: The image processor's.
            class_weights: Weights of the cross-entropy, by class index.
            patch_loss: Weight of the patch head's loss; 0: no patch head.
            width: Dimensions of a patch, as `patch_grid` says.
        """
        super().__init__()
        self._norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        self.network = network
        # Convolutional networks take two thirds of the time in this layout.
        self._layout = torch.channels_last if self._norms else torch.contiguous_format
        gain, shift = (torch.tensor(values).view(1, 3, 1, 1) for values in (normalisation.gain, normalisation.shift))
        self.register_buffer("_gain", gain, persistent=False)
        self.register_buffer("_shift", shift, persistent=False)
        self._bgr = normalisation.bgr
        self.register_buffer("_class_weights", torch.tensor(class_weights), persistent=False)
        self.patch_loss = patch_loss
        self._tokens: torch.Tensor | None = None
        self.patch_head: nn.Linear | None = None
        if patch_loss:
            self.patch_head = nn.Linear(width, 1)
            _backbone(network).register_forward_hook(self._keep_tokens)

    def forward(
        self, pixels: torch.Tensor, labels: torch.Tensor | None = None, patches: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """Scores a batch.

        Args:
            pixels: (N, S, S, 3) uint8, RGB, 0-255.
            labels: (N,) int64 class indices.
            patches: (N, G * G) float32, 0-1, NaN where unknown: how much of each patch is foreign.

        Returns:
            `logits` (N, 2) float32 and, with labels, `loss`.
        """
        logits = self.network(pixel_values=self.normalised(pixels)).logits.float()
        if labels is None:
            return {"logits": logits}
        loss = functional.cross_entropy(logits, labels, weight=self._class_weights)
        if self.patch_head is not None and self.training:
            loss = loss + self.patch_loss * self._foreign_patches_loss(patches)
        return {"loss": loss, "logits": logits}

    def normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        """(N, 3, S, S) float32 of (N, S, S, 3) uint8."""
        # In its layout at once: reading floats through the permutation takes ten times as long.
        planes = pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=self._layout)
        if self._bgr:
            planes = planes.flip(1)
        return planes.mul_(self._gain).add_(self._shift)

    def train(self, mode: bool = True) -> "TrainingModel":
        """As any module; but batch normalisation keeps the base's statistics.

        Those of a few faces are worse, and an average of weights has none of its own.
        """
        super().train(mode)
        for norm in self._norms:
            norm.eval()
        return self

    def _foreign_patches_loss(self, patches: torch.Tensor | None) -> torch.Tensor:
        """The patch loss of the last forward pass: the mean over the known patches, or 0 where no patch is known."""
        assert self.patch_head is not None
        assert self._tokens is not None
        logits = self.patch_head(self._tokens).squeeze(-1).float()
        self._tokens = None
        if patches is None:
            return logits.sum() * 0
        logits = logits[:, -patches.shape[1] :]  # a class token, where there is one, comes first
        known = ~patches.isnan()
        losses = functional.binary_cross_entropy_with_logits(logits, patches.nan_to_num(0.0), reduction="none")
        return (losses * known).sum() / known.sum().clamp(min=1)

    def _keep_tokens(self, _module: nn.Module, _inputs: Any, outputs: Any) -> None:
        if self.training:
            self._tokens = _tokens(outputs)


@dataclass(frozen=True)
class PatchGrid:
    """What a backbone says of the patches of a picture.

    Attributes:
        side: Patches a side.
        width: Dimensions of a patch.
    """

    side: int
    width: int


def patch_grid(network: Any, side_px: int) -> PatchGrid:
    """Asks the backbone, with an empty picture.

    Raises:
        OptionError: It gives neither tokens nor maps.
    """
    backbone = _backbone(network)
    with torch.no_grad():
        outputs = backbone(torch.zeros(1, 3, side_px, side_px))
    if getattr(outputs, "last_hidden_state", None) is None:
        raise OptionError(f"patch_loss does not know the patches of {type(backbone).__name__}: train without it")
    _, count, width = _tokens(outputs).shape
    return PatchGrid(math.isqrt(count), width)  # beside a few tokens for the whole picture


def _tokens(outputs: Any) -> torch.Tensor:
    """(N, T, C): the tokens of a transformer, or the places of a convolutional network's last maps."""
    last: torch.Tensor = outputs.last_hidden_state
    return last.flatten(2).transpose(1, 2) if last.ndim == 4 else last


def learned_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """Copies, on the CPU, of the weights that are trained and of saved buffers."""
    learned = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    buffers = {name for name, _ in model.named_buffers()}
    state = model.state_dict()
    return {name: value.detach().cpu().clone() for name, value in state.items() if name in learned | buffers}


def _backbone(network: Any) -> nn.Module:
    """The part of a classifier that gives tokens."""
    plain = network.get_base_model() if hasattr(network, "get_base_model") else network
    found: nn.Module = getattr(plain, "vision_model", None) or plain.base_model
    return found

"""Training on random windows of pictures, with the patch loss alone: the first stage of the embedded model.

A model that starts from nothing learns much faster to compare patches than to classify pictures.
"""

from typing import Any

import torch

from training.errors import OptionError
from training.model.training_model import TrainingModel


class WindowedModel(TrainingModel):
    """Sees each training picture as windows of half its side, on the grid of patches; validation sees it whole.

    Attributes:
        windows: Windows of each picture.
    """

    windows = 4

    def __init__(self, network: Any, *args: Any) -> None:
        """As `TrainingModel`, with a patch loss.

        Raises:
            OptionError: The network is no SigLIP classifier, or has adapters.
        """
        super().__init__(network, *args)
        embeddings = getattr(getattr(network, "vision_model", None), "embeddings", None)
        if embeddings is None or getattr(embeddings, "num_patches", 0) != self.grid * self.grid:
            raise OptionError("windows work with SigLIP classifiers only, and not with lora: train without them")
        self._embeddings: Any = embeddings

    def forward(
        self, pixels: torch.Tensor, labels: torch.Tensor | None = None, patches: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """As `TrainingModel.forward`; in training with patches the logits are those of the windows."""
        if not self.training or patches is None:
            return super().forward(pixels, labels, patches)
        cut, targets, positions = self.draw(self.normalised(pixels), patches)
        whole = self._embeddings.position_ids
        self._embeddings.position_ids = positions
        try:
            logits = self.network(pixel_values=cut).logits.float()
        finally:
            self._embeddings.position_ids = whole
        # The classifier has its place in the graph, for processes that wait for every gradient.
        return {"loss": self.patch_loss * self.foreign_patches_loss(targets) + logits.sum() * 0, "logits": logits}

    def draw(self, pixels: torch.Tensor, patches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Windows, their targets, and the positions that their patches have in the whole picture.

        Args:
            pixels: (N, 3, S, S).
            patches: (N, G * G).

        Returns:
            (W * N, 3, S // 2, S // 2), and twice (W * N, (G // 2)^2), rounded down to whole patches.
        """
        side, patch_px = self.grid // 2, pixels.shape[-1] // self.grid
        grids = patches.view(-1, self.grid, self.grid)
        positions = self._embeddings.position_ids.view(self.grid, self.grid)
        windows, targets, places = [], [], []
        for _ in range(self.windows):
            y, x = (int(corner) for corner in torch.randint(0, self.grid - side + 1, (2,)))
            rows, columns = slice(y, y + side), slice(x, x + side)
            top, left, length = y * patch_px, x * patch_px, side * patch_px
            windows.append(pixels[:, :, top : top + length, left : left + length])
            targets.append(grids[:, rows, columns].flatten(1))
            places.append(positions[rows, columns].reshape(1, -1).expand(len(pixels), -1))
        return torch.cat(windows), torch.cat(targets), torch.cat(places)

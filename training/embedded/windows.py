"""Random windows of a batch of pictures, each with the positions that it has in the whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from training.errors import OptionError


class RandomWindows:
    """Windows of half the side, on the grid of patches."""

    def __init__(self, network: Any, grid: int, count: int) -> None:
        """Finds the network's positions.

        Args:
            network: transformers' SiglipForImageClassification.
            grid: Patches a side of the whole picture.
            count: Windows of each picture.

        Raises:
            OptionError: The network is another one.
        """
        embeddings = getattr(getattr(network, "vision_model", None), "embeddings", None)
        if embeddings is None or getattr(embeddings, "num_patches", 0) != grid * grid:
            raise OptionError("windows work with SigLIP classifiers only, and not with lora: train without them")
        self._embeddings: Any = embeddings
        self._grid, self._count = grid, count

    @contextmanager
    def draw(self, pixels: torch.Tensor, patches: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Windows and their targets; until the block ends the network takes windows in place of whole pictures.

        Args:
            pixels: (N, 3, S, S).
            patches: (N, G * G).

        Yields:
            (count * N, 3, S // 2, S // 2) and (count * N, (G // 2)^2), rounded down to whole patches.
        """
        side, patch_px = self._grid // 2, pixels.shape[-1] // self._grid
        grids = patches.view(-1, self._grid, self._grid)
        whole = self._embeddings.position_ids
        positions = whole.view(self._grid, self._grid)
        windows, targets, places = [], [], []
        for _ in range(self._count):
            y, x = (int(corner) for corner in torch.randint(0, self._grid - side + 1, (2,)))
            rows, columns = slice(y, y + side), slice(x, x + side)
            top, left, length = y * patch_px, x * patch_px, side * patch_px
            windows.append(pixels[:, :, top : top + length, left : left + length])
            targets.append(grids[:, rows, columns].flatten(1))
            places.append(positions[rows, columns].reshape(1, -1).expand(len(pixels), -1))
        self._embeddings.position_ids = torch.cat(places)
        try:
            yield torch.cat(windows), torch.cat(targets)
        finally:
            self._embeddings.position_ids = whole

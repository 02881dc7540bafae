"""A moving average of the weights: what is validated and kept instead of the last step's noise."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn


class WeightAverage:
    """Exponential moving average of the trained weights, quicker at first so that the start is forgotten."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Starts with the model's weights."""
        self._decay, self._steps = decay, 0
        self._weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._average = {name: p.detach().clone() for name, p in self._weights.items()}

    def update(self) -> None:
        """Moves the average towards the present weights."""
        self._steps += 1
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        with torch.no_grad():
            torch._foreach_lerp_(list(self._average.values()), list(self._weights.values()), 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within the block the model has the average weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def save(self, path: Path) -> None:
        """Writes the average, for a run that is taken up again."""
        torch.save({"steps": self._steps, "average": self._average}, path)

    def load(self, path: Path) -> None:
        """Takes up a saved average."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        self._steps = state["steps"]
        with torch.no_grad():
            for name, value in state["average"].items():
                self._average[name].copy_(value)

    def _swap(self) -> None:
        with torch.no_grad():
            for name, weight in self._weights.items():
                weight.data, self._average[name] = self._average[name], weight.data

"""Muon and AdamW as one optimizer, and a moving average of the weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn


class MuonWithAdamW(torch.optim.Optimizer):  # type: ignore[misc]
    """Orthogonalised momentum (Jordan et al., "Muon", 2024) scaled as AdamW's steps are (Liu et al., 2025).

    Muon is not meant for embeddings, norms, biases and heads: they get AdamW with the same learning rate.
    """

    def __init__(self, model: nn.Module, learning_rate: float, weight_decay: float) -> None:
        """Takes the weights of a model that learn.

        Args:
            model: Matrices below a module called `layers` get Muon.
            learning_rate: The learning rate of both.
            weight_decay: The decoupled weight decay of both.
        """
        learning = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        matrices = [p for name, p in learning if p.ndim == 2 and ".layers." in name]
        chosen = {id(p) for p in matrices}
        others = [p for _, p in learning if id(p) not in chosen]
        adamw = torch.optim.AdamW(others, lr=learning_rate, betas=(0.9, 0.98), weight_decay=weight_decay)
        self._parts: list[torch.optim.Optimizer] = [adamw]
        if matrices:
            muon = torch.optim.Muon(
                matrices, lr=learning_rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
            )
            self._parts.insert(0, muon)
        super().__init__([group for part in self._parts for group in part.param_groups], {})

    def step(self, closure: Any = None) -> Any:
        """One step of both; schedulers change the groups that they share with this optimizer."""
        loss = closure() if closure else None
        for part in self._parts:
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """The states of both."""
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up the states of both."""
        for part, state in zip(self._parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self._parts for group in part.param_groups]


class WeightAverage:
    """Exponential moving average of the trained weights. It moves faster at first, so that the start is forgotten."""

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

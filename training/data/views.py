"""One face as the pictures of a training batch: itself, and with self-blending a forgery of itself."""

import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import get_worker_info

from evaluation.dataset import Label
from preprocessing import Box, ResizeSpec, resize_to_square
from training.data.augmentation import degrade, draw_placement, patch_shares
from training.data.sets import FaceSet, Forger, RealChange, ValidationSet

CLASS_INDEX = {Label.FAKE: 0, Label.REAL: 1}
"""Class indices of every checkpoint that training writes."""


@dataclass(frozen=True)
class View:
    """A row of a batch.

    Attributes:
        pixels: (S, S, 3) uint8, RGB, 0-255.
        label: Class index.
        patches: (G * G,) float32, 0-1: how much of each patch is foreign; None where nobody knows.
    """

    pixels: NDArray[np.uint8]
    label: int
    patches: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class ViewParams:
    """How training views are made.

    Attributes:
        crop_factor: Side of the served crop over the longer side of the box; training crops vary around it.
        resize: The model's resize.
        grid: Patches a side of the model; 0: no patch targets.
        augment: Strength of the degradations (0-1).
        seed: Seed of everything random.
        video_coding: Share of the pictures that are coded as a frame of a video (0-1).
    """

    crop_factor: float
    resize: ResizeSpec
    grid: int
    augment: float
    seed: int
    video_coding: float = 0.0


class TrainingViews:
    """Map-style data set: an item is the list of views of one face.

    Everything random depends on seed, epoch and index only, so the number of workers and interruptions change nothing.
    """

    def __init__(
        self, faces: FaceSet, params: ViewParams, forge: Forger | None = None, change_real: RealChange | None = None
    ) -> None:
        """Keeps what it needs.

        Args:
            faces: What is shown.
            params: How.
            forge: Makes a forgery to show beside each real face; None: faces come as they are.
            change_real: Changes the real face of such a pair; None: it stays.
        """
        self._faces, self._params = faces, params
        self._forge, self._change_real = forge, change_real
        self._epoch = 0
        self._sheltered = False

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader before each pass."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._faces.faces)

    def __getitem__(self, index: int) -> list[View]:
        if not self._sheltered:
            self._sheltered = True
            _outlive_sigterm_in_workers()
        params, label = self._params, self._faces.labels[index]
        face = self._faces.faces[index]
        seed = (params.seed, self._epoch, index)
        if self._forge is None or label is Label.FAKE:
            return [_training_view(face.pixels, face.box, None, label, params, seed)]
        forgery = self._forge(face, np.random.default_rng([*seed, 1]))
        change = self._change_real
        real = change(face, np.random.default_rng([*seed, 2])) if change else face.pixels
        untouched = np.zeros(params.grid**2, np.float32) if params.grid else None
        return [
            replace(_training_view(real, face.box, None, Label.REAL, params, seed), patches=untouched),
            _training_view(forgery.pixels, face.box, forgery.mask, Label.FAKE, params, seed),
        ]

    def class_counts(self) -> dict[Label, int]:
        """Rows of each class in one pass."""
        real = sum(label is Label.REAL for label in self._faces.labels)
        fake = len(self._faces.labels) - real
        return {Label.REAL: real, Label.FAKE: fake + (real if self._forge else 0)}


class ValidationViews:
    """Map-style data set over a validation set, in its order."""

    def __init__(self, data: ValidationSet) -> None:
        self._data = data

    def __len__(self) -> int:
        return len(self._data.labels)

    def __getitem__(self, index: int) -> list[View]:
        return [View(self._data.views[index], CLASS_INDEX[self._data.labels[index]])]


def _outlive_sigterm_in_workers() -> None:
    """Ignores SIGTERM in workers: `timeout` and systemd send it to all processes, and the trainer ends its workers."""
    if get_worker_info() is not None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def collate(items: Sequence[Sequence[View]]) -> dict[str, Any]:
    """A batch: pixels (N, S, S, 3) uint8, labels (N,) int64, and where any view has them patches (N, G*G) float32.

    Rows without patch targets are NaN.
    """
    views = [view for item in items for view in item]
    batch = {
        "pixels": torch.from_numpy(np.stack([view.pixels for view in views])),
        "labels": torch.tensor([view.label for view in views]),
    }
    known = next((view.patches for view in views if view.patches is not None), None)
    if known is not None:
        unknown = np.full_like(known, np.nan)
        rows = [unknown if view.patches is None else view.patches for view in views]
        batch["patches"] = torch.from_numpy(np.stack(rows))
    return batch


def _training_view(
    pixels: NDArray[np.uint8],
    box: Box,
    mask: NDArray[np.float32] | None,
    label: Label,
    params: ViewParams,
    seed: tuple[int, int, int],
) -> View:
    """A crop, degraded and resized; both views of a pair get the same draws, as their seed is the same."""
    rng = np.random.default_rng(seed)
    height, width = pixels.shape[:2]
    placement = draw_placement(box, width, height, params.crop_factor, rng)
    part = degrade(placement.cut(pixels), params.augment, rng, params.video_coding)
    patches = patch_shares(placement.cut(mask), params.grid) if params.grid and mask is not None else None
    return View(resize_to_square(part, params.resize), CLASS_INDEX[label], patches)

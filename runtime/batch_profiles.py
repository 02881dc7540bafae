"""The batch sizes that a TensorRT plan is optimised for.

A plan has one optimisation profile for each size that Triton forms: one image, the preferred batch, the largest one.
Their ranges do not overlap, so each batch has exactly one profile that takes it, whoever chooses: Triton takes the
nearest of those that fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class BatchProfile:
    """A range of batch sizes; kernels are chosen for the largest."""

    smallest: int
    largest: int


def batch_sizes(preferred: int, largest: int) -> tuple[int, ...]:
    """The sizes that matter: one image, the preferred batch and the largest, in order, each once."""
    return tuple(sorted({1, min(preferred, largest), largest}))


def batch_profiles(preferred: int, largest: int) -> tuple[BatchProfile, ...]:
    """One profile for each of these sizes; together they take every batch from 1 to the largest, each by one."""
    sizes = batch_sizes(preferred, largest)
    return tuple(BatchProfile(before + 1, size) for before, size in zip((0, *sizes), sizes, strict=False))


def profile_for(profiles: Sequence[BatchProfile], count: int) -> int:
    """Index of the profile that takes a batch.

    Raises:
        ValueError: None does.
    """
    for index, profile in enumerate(profiles):
        if profile.smallest <= count <= profile.largest:
            return index
    raise ValueError(f"no profile takes a batch of {count}")

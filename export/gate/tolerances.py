"""What each precision promises against PyTorch in fp32, declared before anything was measured."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Tolerance:
    """The promise of a precision.

    Attributes:
        max_dp: Largest |difference| of the fake probability of any image.
        mean_dp: Largest mean of the same.
        max_dlogit: Largest |difference| of the log-odds of fake. It shows a drift that a saturated model's
            probabilities hide.
        max_batch_dp: Largest |difference| of one image's probability between batches.
    """

    max_dp: float
    mean_dp: float
    max_dlogit: float
    max_batch_dp: float


TOLERANCES = {
    "fp32": Tolerance(max_dp=1e-5, mean_dp=1e-5, max_dlogit=1e-3, max_batch_dp=1e-6),
    "fp16": Tolerance(max_dp=0.002, mean_dp=0.001, max_dlogit=0.1, max_batch_dp=1e-3),
    "bf16": Tolerance(max_dp=0.007, mean_dp=0.003, max_dlogit=0.25, max_batch_dp=1e-3),
    "int8": Tolerance(max_dp=0.015, mean_dp=0.003, max_dlogit=0.5, max_batch_dp=1e-4),
}

_GPU_BATCH_DP = {"fp32": 1e-5}
_GPU_LOW_BATCH_DP = 2e-3
"""Room between batches on a GPU: each batch size has kernels of its own, which add in another order and so round
differently."""


def tolerance_of(precision: str, *, gpu: bool, max_dp: float | None = None) -> Tolerance:
    """What a precision promises on a CPU or on a GPU.

    Args:
        precision: A key of `TOLERANCES`.
        gpu: Where it runs.
        max_dp: A limit in place of the precision's own, of the largest and of the mean |dp|.
    """
    promised = TOLERANCES[precision]
    if gpu:
        room = _GPU_BATCH_DP.get(precision, _GPU_LOW_BATCH_DP)
        promised = replace(promised, max_batch_dp=max(promised.max_batch_dp, room))
    return promised if max_dp is None else replace(promised, max_dp=max_dp, mean_dp=max_dp)

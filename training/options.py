"""The options of one training run."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.errors import OptionError

PRECISIONS = ("fp32", "bf16", "fp16")
OPTIMIZERS = ("adamw", "muon")
SELECTIONS = ("auc", "log-loss", "last")

_NOT_PART_OF_THE_RESULT = ("output", "data_dir", "cache_dir", "workers", "resume", "overwrite", "save_steps")
"""Options that may differ when a run is taken up again."""


@dataclass(frozen=True)
class TrainingOptions:
    """What to train and how; the data comes from `data_dir` or is handed over in memory.

    Attributes:
        output: Directory for the checkpoint, the states of the run and its logs.
        base: Hub id or directory of the model to start from.
        revision: Branch, tag or commit of the hub repository.
        data_dir: Holds train/{real,fake} and, if wanted, val/{real,fake} and people.csv.
        cache_dir: Where cut faces are kept; None: `faces` in the user's cache folder.
        epochs: Passes over the training faces.
        max_steps: Ends the run after so many steps, whatever the epochs; 0: no limit.
        batch_size: Faces per step and process; with `self_blend` a real face brings its forgery along.
        accumulate: Steps whose gradients are added up before the weights change.
        learning_rate: Peak; None: 3e-5, with LoRA 3e-4.
        optimizer: adamw, or muon (for its matrices), which learns from nothing in fewer steps.
        weight_decay: Decoupled.
        warmup: Share of the steps (0-1) over which the learning rate rises; a cosine falls after it.
        precision: fp32, bf16 or fp16 (mixed: the weights stay fp32).
        ema: Decay of the weights' moving average, which then is what is validated and kept; 0: none.
        seed: Of everything drawn.
        crop_factor: Side of the face crop over the longer side of the box; None: the base's, or 1.3.
        frames: Frames taken of a video, spread evenly over it.
        val_fraction: Share of the files that is kept for validation where there is no val/.
        self_blend: Show each real face also as a forgery of itself.
        augment: Strength of the random degradations (0: none, 1: usual).
        lora: Rank of LoRA adapters; 0: all weights are trained.
        freeze_layers: Leaves the embeddings and so many first layers as they are.
        patch_loss: Weight of the extra "is this patch foreign" loss; 0: none.
        windows: Show each picture as so many random windows of half its side, with the patch loss only; 0: whole.
            A stage to start from nothing with: comparing patches is learnt much faster so.
        select: Which validation figure chooses the kept weights: auc or log-loss; last: the last ones are kept.
        workers: Processes that prepare batches; 0: the training process itself.
        cpu: Do not use a GPU that is there.
        save_steps: Also save the state of the run every so many steps; 0: after each epoch only.
        resume: Go on from the last saved state in `output`.
        overwrite: Replace an earlier run in `output`.
        name: What results call the model; "": the output directory's name.
        notice: A sentence to show beside every result of the model, or "".
    """

    output: Path
    base: str
    revision: str | None = None
    data_dir: Path | None = None
    cache_dir: Path | None = None
    epochs: int = 3
    max_steps: int = 0
    batch_size: int = 16
    accumulate: int = 1
    learning_rate: float | None = None
    optimizer: str = "adamw"
    weight_decay: float = 0.02
    warmup: float = 0.1
    precision: str = "fp32"
    ema: float = 0.0
    seed: int = 0
    crop_factor: float | None = None
    frames: int = 10
    val_fraction: float = 0.15
    self_blend: bool = False
    augment: float = 1.0
    lora: int = 0
    freeze_layers: int = 0
    patch_loss: float = 0.0
    windows: int = 0
    select: str = "auc"
    workers: int = 0
    cpu: bool = False
    save_steps: int = 0
    resume: bool = False
    overwrite: bool = False
    name: str = ""
    notice: str = ""

    def __post_init__(self) -> None:
        """Refuses values out of range.

        Raises:
            OptionError: Naming the option and what it may be.
        """
        ranges = (
            ("epochs", self.epochs >= 1, "at least 1"),
            ("max_steps", self.max_steps >= 0, "0 or more"),
            ("batch_size", self.batch_size >= 1, "at least 1"),
            ("accumulate", self.accumulate >= 1, "at least 1"),
            ("learning_rate", self.peak_learning_rate > 0, "above 0"),
            ("optimizer", self.optimizer in OPTIMIZERS, f"one of {', '.join(OPTIMIZERS)}"),
            ("weight_decay", self.weight_decay >= 0, "0 or more"),
            ("warmup", 0 <= self.warmup < 1, "0 or more and below 1"),
            ("precision", self.precision in PRECISIONS, f"one of {', '.join(PRECISIONS)}"),
            ("ema", 0 <= self.ema < 1, "0 or more and below 1"),
            ("seed", 0 <= self.seed < 2**32, "0 to 2^32 - 1"),
            ("crop_factor", self.crop_factor is None or 1 <= self.crop_factor <= 10, "1 to 10"),
            ("frames", self.frames >= 1, "at least 1"),
            ("val_fraction", 0 < self.val_fraction <= 0.5, "above 0 and at most 0.5"),
            ("augment", 0 <= self.augment <= 1, "0 to 1"),
            ("lora", self.lora >= 0, "0 or more"),
            ("freeze_layers", self.freeze_layers >= 0, "0 or more"),
            ("patch_loss", self.patch_loss >= 0, "0 or more"),
            ("windows", self.windows >= 0, "0 or more"),
            ("select", self.select in SELECTIONS, f"one of {', '.join(SELECTIONS)}"),
            ("workers", self.workers >= 0, "0 or more"),
            ("save_steps", self.save_steps >= 0, "0 or more"),
        )
        for name, fits, allowed in ranges:
            if not fits:
                raise OptionError(f"{name} is {getattr(self, name)}; it may be {allowed}")
        if self.resume and self.overwrite:
            raise OptionError("resume and overwrite exclude each other: go on with the run, or replace it")
        if self.patch_loss and not self.self_blend:
            raise OptionError("patch_loss needs masks of forgeries: give self_blend too")
        if self.windows and not self.patch_loss:
            raise OptionError("windows are learnt from by the patch loss alone: give patch_loss too")

    @property
    def peak_learning_rate(self) -> float:
        """The learning rate after the warm-up."""
        if self.learning_rate is not None:
            return self.learning_rate
        return 3e-4 if self.lora else 3e-5

    def deciding(self) -> dict[str, Any]:
        """The options that decide what comes out, JSON-ready: equal where a run may be taken up again."""
        return {name: value for name, value in asdict(self).items() if name not in _NOT_PART_OF_THE_RESULT}

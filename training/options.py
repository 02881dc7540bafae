"""The options of one training run: for `deepfake-train`, and from Python."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from training.errors import OptionError

DEFAULT_BASE = "google/siglip2-base-patch16-224"

_NOT_PART_OF_THE_RESULT = ("output", "data_dir", "cache_dir", "workers", "resume", "overwrite", "save_steps")
"""Options that may differ when a run is taken up again."""


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """What to train and how. Each field's help text says what it is, its option what it may be.

    From Python the data may also be handed over in memory; `data_dir` is None then.
    """

    data_dir: Annotated[
        Path | None,
        typer.Option(help="Holds train/real and train/fake, if wanted val/real and val/fake, and people.csv."),
    ] = None
    frames: Annotated[int, typer.Option(min=1, help="Frames taken of a video, spread evenly over it.")] = 10
    faces: Annotated[
        Literal["every", "largest"],
        typer.Option(help="every: each face of a real picture is a sample, and fakes with several faces are left out."),
    ] = "every"
    face_detection: Annotated[
        bool, typer.Option(help="Cut pictures to their faces. Without, whole pictures are trained on and to be served.")
    ] = True
    val_fraction: Annotated[
        float, typer.Option(min=0.01, max=0.5, help="Share of the files that validates where there is no val/.")
    ] = 0.15
    crop_factor: Annotated[
        float | None,
        typer.Option(
            min=1, max=10, help="Side of the crop over the longer side of the face.", show_default="the base's, or 1.3"
        ),
    ] = None
    cache_dir: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Where cut faces are kept.", show_default="the user's cache folder"),
    ] = None
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare batches; 0: none.")] = 0
    self_blend: Annotated[
        bool, typer.Option("--self-blend", help="Show each real face also as a forgery of itself; fake/ may be empty.")
    ] = False
    patch_loss: Annotated[
        float, typer.Option(min=0, help='Weight of the extra "is this patch foreign" loss; needs --self-blend.')
    ] = 0.0
    augment: Annotated[
        float, typer.Option(min=0, max=1, help="Strength of the random degradations (JPEG, scaling, light, ...).")
    ] = 1.0
    video_coding: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the pictures coded as a frame of H.264 or HEVC at a low rate.")
    ] = 0.0
    base: Annotated[str, typer.Option(help="Hub id or directory of the model to start from.")] = DEFAULT_BASE
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of the hub repository.")] = None
    scope: Annotated[
        Literal["auto", "face", "any"],
        typer.Option(help="What the model can judge. auto: face if nine in ten training frames show one, else any."),
    ] = "auto"
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training faces.")] = 3
    patience: Annotated[
        int, typer.Option(min=0, help="End after so many epochs without a better validation; 0: train all epochs.")
    ] = 0
    max_steps: Annotated[int, typer.Option(min=0, help="End after so many steps; 0: no limit.")] = 0
    batch_size: Annotated[
        int, typer.Option(min=1, help="Faces per step and process; with --self-blend a real one counts for two rows.")
    ] = 16
    accumulate: Annotated[int, typer.Option(min=1, help="Batches whose gradients make one step.")] = 1
    learning_rate: Annotated[
        float | None, typer.Option(min=1e-9, help="Peak of the learning rate.", show_default="3e-5; with --lora 3e-4")
    ] = None
    optimizer: Annotated[
        Literal["adamw", "muon"],
        typer.Option(help="muon takes fewer steps from nothing; adamw is the one to fine-tune with."),
    ] = "adamw"
    weight_decay: Annotated[float, typer.Option(min=0, help="Decoupled weight decay.")] = 0.02
    warmup: Annotated[
        float, typer.Option(min=0, max=0.99, help="Share of the steps before the peak; a cosine follows.")
    ] = 0.1
    precision: Annotated[
        Literal["fp32", "bf16", "fp16"], typer.Option(help="Number format of the computation; the weights stay fp32.")
    ] = "fp32"
    ema: Annotated[
        float, typer.Option(min=0, max=0.99999, help="Decay of the weights' moving average, such as 0.999; 0: none.")
    ] = 0.0
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of everything random.")] = 0
    lora: Annotated[int, typer.Option(min=0, help="Rank of LoRA adapters; 0: train all weights.")] = 0
    freeze_layers: Annotated[int, typer.Option(min=0, help="Leave embeddings and so many first layers.")] = 0
    select: Annotated[
        Literal["auc", "log-loss", "last"],
        typer.Option(help="Validation figure that chooses the kept weights; last: the last ones are kept."),
    ] = "auc"
    cpu: Annotated[bool, typer.Option("--cpu", help="Do not use a GPU.")] = False
    output: Annotated[
        Path, typer.Option("--output", "-o", file_okay=False, help="Checkpoint, states, logs and reports go here.")
    ] = Path("training-output")
    save_steps: Annotated[
        int, typer.Option(min=0, help="Also save the state every so many steps; 0: after each epoch only.")
    ] = 0
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last saved state in --output.")] = False
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run in --output.")] = False
    name: Annotated[str, typer.Option(help="What results call the model.", show_default="name of --output")] = ""
    notice: Annotated[str, typer.Option(help="A sentence to show beside every result of the model.")] = ""

    def __post_init__(self) -> None:
        """Refuses values out of range.

        Raises:
            OptionError: Naming the option and what it may be.
        """
        hints = get_type_hints(type(self), include_extras=True)
        for name in (field.name for field in fields(self)):
            value, (kind, option) = getattr(self, name), get_args(hints[name])
            if get_origin(kind) is Literal and value not in get_args(kind):
                raise OptionError(f"{name} is {value}; it may be one of {', '.join(get_args(kind))}")
            _refuse_out_of_range(name, value, option.min, option.max)
        if self.resume and self.overwrite:
            raise OptionError("resume and overwrite exclude each other: go on with the run, or replace it")
        if self.patience and self.select == "last":
            raise OptionError("patience needs a figure that can get better: select auc or log-loss")
        if self.patch_loss and not self.self_blend:
            raise OptionError("patch_loss needs masks of forgeries: give self_blend too")

    @property
    def peak_learning_rate(self) -> float:
        """The learning rate after the warm-up."""
        if self.learning_rate is not None:
            return self.learning_rate
        return 3e-4 if self.lora else 3e-5

    def deciding(self) -> dict[str, Any]:
        """The options that decide what comes out, JSON-ready: equal where a run may be taken up again."""
        return {name: value for name, value in asdict(self).items() if name not in _NOT_PART_OF_THE_RESULT}


def _refuse_out_of_range(name: str, value: Any, low: float | None, high: float | None) -> None:
    if value is None or ((low is None or value >= low) and (high is None or value <= high)):
        return
    said = f"at least {low:g}" if high is None else f"{low:g} to {high:g}"
    raise OptionError(f"{name} is {value}; it may be {said}")

"""The command line: `deepfake-train`, or `python -m training`."""

import logging
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.errors import StoppedError, TrainingError
from training.options import TrainingOptions
from training.stopping import StopRequest, stops_on_signals

if TYPE_CHECKING:
    from training.run import TrainedCheckpoint

DEFAULT_BASE = "google/siglip2-base-patch16-224"

EPILOG = (
    "Exit codes: 0 trained; 1 the data, the options, the base or the output cannot be used, nothing is handed over; "
    "2 usage; 130 and 143 stopped by SIGINT or SIGTERM, the state is saved and --resume goes on from there."
)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


class Precision(StrEnum):
    """Numeric formats of training."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


class Select(StrEnum):
    """Figures that can choose the kept weights."""

    AUC = "auc"
    LOG_LOSS = "log-loss"
    LAST = "last"


class Optimizer(StrEnum):
    """How weights change."""

    ADAMW = "adamw"
    MUON = "muon"


@app.command(epilog=EPILOG)
def train_command(
    data_dir: Annotated[
        Path,
        typer.Option(help="Holds train/real and train/fake, if wanted val/real and val/fake, and people.csv."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", file_okay=False, help="Checkpoint, states, logs and reports go here.")
    ] = Path("training-output"),
    base: Annotated[str, typer.Option(help="Hub id or directory of the model to start from.")] = DEFAULT_BASE,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of the hub repository.")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training faces.")] = TrainingOptions.epochs,
    max_steps: Annotated[int, typer.Option(min=0, help="End after so many steps; 0: no limit.")] = 0,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Faces per step and process; with --self-blend a real one counts for two rows.")
    ] = TrainingOptions.batch_size,
    accumulate: Annotated[int, typer.Option(min=1, help="Batches whose gradients make one step.")] = 1,
    learning_rate: Annotated[
        float | None, typer.Option(help="Peak of the learning rate.", show_default="3e-5; with --lora 3e-4")
    ] = None,
    optimizer: Annotated[
        Optimizer, typer.Option(help="muon takes fewer steps from nothing; adamw is the one to fine-tune with.")
    ] = Optimizer.ADAMW,
    weight_decay: Annotated[float, typer.Option(min=0, help="Decoupled.")] = TrainingOptions.weight_decay,
    warmup: Annotated[
        float, typer.Option(min=0, max=0.99, help="Share of the steps before the peak; a cosine follows.")
    ] = TrainingOptions.warmup,
    precision: Annotated[Precision, typer.Option(help="Mixed precision; the weights stay fp32.")] = Precision.FP32,
    ema: Annotated[
        float, typer.Option(min=0, max=0.99999, help="Decay of the weights' moving average, such as 0.999; 0: none.")
    ] = TrainingOptions.ema,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of everything drawn.")] = 0,
    crop_factor: Annotated[
        float | None,
        typer.Option(
            min=1, max=10, help="Side of the crop over the longer side of the face.", show_default="the base's, or 1.3"
        ),
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="Frames taken of a video.")] = TrainingOptions.frames,
    val_fraction: Annotated[
        float, typer.Option(min=0.01, max=0.5, help="Share of the files that validates where there is no val/.")
    ] = TrainingOptions.val_fraction,
    self_blend: Annotated[
        bool, typer.Option("--self-blend", help="Show each real face also as a forgery of itself; fake/ may be empty.")
    ] = False,
    augment: Annotated[
        float, typer.Option(min=0, max=1, help="Strength of the random degradations (JPEG, scaling, light, ...).")
    ] = TrainingOptions.augment,
    lora: Annotated[int, typer.Option(min=0, help="Rank of LoRA adapters; 0: train all weights.")] = 0,
    freeze_layers: Annotated[int, typer.Option(min=0, help="Leave embeddings and so many first layers.")] = 0,
    patch_loss: Annotated[
        float, typer.Option(min=0, help='Weight of the extra "is this patch foreign" loss; needs --self-blend.')
    ] = 0.0,
    windows: Annotated[
        int, typer.Option(min=0, help="Show random windows of half the side, so many a picture; needs --patch-loss.")
    ] = 0,
    select: Annotated[
        Select, typer.Option(help="Validation figure that chooses the kept weights, or last.")
    ] = Select.AUC,
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare batches; 0: none.")] = 0,
    cpu: Annotated[bool, typer.Option("--cpu", help="Do not use a GPU.")] = False,
    save_steps: Annotated[
        int, typer.Option(min=0, help="Also save the state every so many steps; 0: after each epoch only.")
    ] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last saved state in --output.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run in --output.")] = False,
    name: Annotated[str, typer.Option(help="What results call the model.", show_default="name of --output")] = "",
    notice: Annotated[str, typer.Option(help="A sentence to show beside every result of the model.")] = "",
    cache_dir: Annotated[
        Path | None, typer.Option(file_okay=False, help="Cut faces.", show_default="the user's cache folder")
    ] = None,
) -> None:
    """Fine-tunes an image classifier to tell real faces from fake.

    Cuts the largest face of every image and video frame as serving does, splits by person, trains, and writes a
    checkpoint directory that `deepfake-export --checkpoint` takes.
    """
    _say_to_standard_error()
    try:
        options = TrainingOptions(
            output, base, revision, data_dir, cache_dir, epochs, max_steps, batch_size, accumulate, learning_rate,
            optimizer.value, weight_decay, warmup, precision.value, ema, seed, crop_factor, frames, val_fraction,
            self_blend, augment, lora, freeze_layers, patch_loss, windows, select.value, workers, cpu, save_steps,
            resume, overwrite, name, notice,
        )  # fmt: skip
        trained = _train(options)
    except StoppedError as error:
        typer.echo(f"deepfake-train: {error}", err=True)
        raise typer.Exit(128 + error.signal_number) from error
    except TrainingError as error:
        typer.echo(f"deepfake-train: {error}", err=True)
        raise typer.Exit(1) from error
    if _is_first_process():
        _print_result(trained)


def _train(options: TrainingOptions) -> "TrainedCheckpoint":
    """Imports torch only now: --help and refused options are quick."""
    stop = StopRequest()
    with stops_on_signals(stop):
        from training.run import train

        if not options.self_blend:
            return train(options, stop=stop)
        from training.forgeries.self_blend import SelfBlender

        blender = SelfBlender()
        return train(options, forge=blender.forge, change_real=blender.real, stop=stop)


def _say_to_standard_error() -> None:
    """Messages of this package, one line each; those of the other processes of a run on several GPUs are the same."""
    log = logging.getLogger("training")
    log.handlers = [logging.StreamHandler(sys.stderr)]
    log.setLevel(logging.INFO if _is_first_process() else logging.ERROR)
    log.propagate = False


def _is_first_process() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _print_result(trained: "TrainedCheckpoint") -> None:
    figures = trained.figures
    typer.echo(f"checkpoint   {trained.path}")
    typer.echo(
        f"validation   AUC {figures['auc']:.4f}, log loss {figures['log_loss']:.4f} (epoch {figures['epoch']:g}, "
        f"step {figures['step']})"
    )
    typer.echo(f"next         deepfake-export --checkpoint {trained.path}")


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="deepfake-train")

"""The command line: `deepfake-train`, or `python -m training`."""

import importlib.util
import inspect
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import typer

from deepfake_client.plain_text import shown
from training.errors import StoppedError, TrainingError
from training.options import TrainingOptions
from training.run_state import StopRequest, stops_on_signals

if TYPE_CHECKING:
    from training.run import TrainedCheckpoint

EXAMPLES = """\b
Examples:
  deepfake-train --data-dir my-set --output my-checkpoint
  deepfake-train --data-dir my-set --output my-checkpoint --resume

"""

EPILOG = EXAMPLES + (
    "Exit codes: 0 trained; 1 the data, the options, the base or the output cannot be used, nothing is handed over; "
    "2 wrong usage; 130 and 143 stopped by SIGINT or SIGTERM, the state is saved and --resume goes on from there."
)

_NEEDED = {
    "torch": "export", "accelerate": "train", "peft": "train", "tensorboard": "train", "sklearn": "train",
    "scipy": "evaluate", "cv2": "preprocessing",
}  # fmt: skip
"""Modules that a run imports, and the extra that brings each."""

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)


def train_command(**options: Any) -> None:
    """Fine-tunes an image classifier to tell real faces from fake.

    Cuts the faces of every image and video frame as serving does, splits by person, trains, and writes a
    checkpoint directory that `deepfake-export --checkpoint` takes.
    """
    _say_to_standard_error()
    try:
        trained = _train(TrainingOptions(**options))
    except StoppedError as error:
        typer.echo(shown(f"deepfake-train: {error}"), err=True)
        raise typer.Exit(128 + error.signal_number) from error
    except TrainingError as error:
        typer.echo(shown(f"deepfake-train: {error}"), err=True)
        raise typer.Exit(1) from error
    if _is_first_process():
        _print_result(trained)


def _signature() -> inspect.Signature:
    """The fields of `TrainingOptions` as options of the command; the data directory must be given here."""
    parameters = sorted(inspect.signature(TrainingOptions).parameters.values(), key=lambda p: p.name != "data_dir")
    required = {"data_dir": inspect.Parameter.empty}
    return inspect.Signature(
        [p.replace(kind=p.KEYWORD_ONLY, default=required.get(p.name, p.default)) for p in parameters]
    )


train_command.__signature__ = _signature()  # type: ignore[attr-defined]
train_command.__annotations__ = {name: p.annotation for name, p in _signature().parameters.items()}
app.command(epilog=EPILOG)(train_command)


def _train(options: TrainingOptions) -> "TrainedCheckpoint":
    """Imports torch only now, so that --help and refused options are quick."""
    missing = sorted({extra for module, extra in _NEEDED.items() if importlib.util.find_spec(module) is None})
    if missing:
        raise TrainingError(f"packages are missing: pip install ./client '.[{','.join(missing)}]' in the checkout")
    stop = StopRequest()
    with stops_on_signals(stop):
        from training.run import train

        if not options.self_blend:
            return train(options, stop=stop)
        from training.forgeries.self_blend import SelfBlender

        blender = SelfBlender()
        return train(options, forge=blender.forge, change_real=blender.real, stop=stop)


def _say_to_standard_error() -> None:
    """Sends this package's messages to standard error. On several GPUs only the first process speaks."""
    log = logging.getLogger("training")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Shown())
    log.handlers = [handler]
    log.setLevel(logging.INFO if _is_first_process() else logging.ERROR)
    log.propagate = False


class _Shown(logging.Formatter):
    """Messages name files, whose names may hold anything."""

    def format(self, record: logging.LogRecord) -> str:
        return shown(super().format(record))


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

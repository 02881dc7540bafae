"""The command line: `deepfake-train`, or `python -m training`."""

import inspect
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import typer

from deepfake_client.command_line.exits import EXIT_INTERRUPTED, USAGE, fail, require_packages, run
from deepfake_client.command_line.help import new_app, styled
from deepfake_client.command_line.options import Version
from deepfake_client.plain_text import shown
from training.errors import StoppedError, TrainingError
from training.options import TrainingOptions
from training.run_state import StopRequest, stops_on_signals

if TYPE_CHECKING:
    from training.run import TrainedCheckpoint

PROGRAM = "deepfake-train"

EXIT_CODES = {
    0: "trained",
    1: "the data, the options, the base or the output cannot be used: nothing is handed over",
    **USAGE,
    EXIT_INTERRUPTED: "interrupted: the state is saved, and --resume goes on from there",
    143: "ended by SIGTERM, likewise",
}
EXAMPLES = (
    "deepfake-train --data-dir my-set --output my-checkpoint",
    "deepfake-train --data-dir my-set --output my-checkpoint --resume",
    "deepfake-train --data-dir my-set --self-blend --lora 16 --precision bf16",
)
GROUPS = {
    "data_dir": "Data",
    "self_blend": "Made and changed pictures",
    "base": "Model",
    "epochs": "Training",
    "output": "Results",
}

_PACKAGES = {
    "torch": "export", "transformers": "export", "accelerate": "train", "peft": "train", "tensorboard": "train",
    "sklearn": "train", "scipy": "evaluate", "cv2": "preprocessing", "simplejpeg": "preprocessing",
    "openvino": "preprocessing",
}  # fmt: skip

app = new_app(PROGRAM)


def train_command(**options: Any) -> None:
    """Fine-tunes an image classifier to tell real faces from fake.

    Cuts the faces of every image and video frame as serving does, splits by person, trains, and writes a checkpoint
    directory that `deepfake-export --checkpoint` takes.
    """
    options.pop("_version")
    require_packages(PROGRAM, _PACKAGES)
    _say_to_standard_error()
    try:
        trained = _train(TrainingOptions(**options))
    except StoppedError as error:
        fail(PROGRAM, str(error), 128 + error.signal_number)
    except TrainingError as error:
        fail(PROGRAM, str(error), 1)
    if _is_first_process():
        _print_result(trained, "" if options["face_detection"] else " --no-face-detection")


def _signature() -> inspect.Signature:
    """The fields of `TrainingOptions` as options of the command; the data directory must be given here."""
    fields = dict(inspect.signature(TrainingOptions).parameters)
    fields["data_dir"] = fields["data_dir"].replace(default=inspect.Parameter.empty)
    version = inspect.Parameter("_version", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Version)
    return inspect.Signature([*fields.values(), version])


train_command.__signature__ = _signature()  # type: ignore[attr-defined]
train_command.__annotations__ = {name: p.annotation for name, p in _signature().parameters.items()}
app.command(cls=styled(EXIT_CODES, EXAMPLES, GROUPS))(train_command)


def _train(options: TrainingOptions) -> "TrainedCheckpoint":
    """Imports torch only now, so that --help and refused options are quick."""
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


def _print_result(trained: "TrainedCheckpoint", export_options: str) -> None:
    figures = trained.figures
    typer.echo(f"checkpoint   {trained.path}")
    typer.echo(
        f"validation   AUC {figures['auc']:.4f}, log loss {figures['log_loss']:.4f} (epoch {figures['epoch']:g}, "
        f"step {figures['step']})"
    )
    typer.echo(f"next         deepfake-export --checkpoint {trained.path}{export_options}")


def main() -> None:
    """Entry point of the console script."""
    run(app, PROGRAM)

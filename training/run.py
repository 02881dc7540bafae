"""One training run, from options and data to a checkpoint directory: `train`."""

import importlib.util
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deepfake_client.release import CardFields

from evaluation.dataset import Label
from export.checkpoint import Sidecar
from training.data.cutting import CutParams
from training.data.folder import load_folder
from training.data.sets import Forger, RealChange, TrainingData
from training.data.views import CLASS_INDEX, TrainingViews, ViewParams
from training.errors import OptionError, StoppedError
from training.model.base import BaseModel, find_base
from training.model.card import LIMITS, PURPOSE, CardFacts, model_card
from training.model.checkpoint import write_checkpoint
from training.options import TrainingOptions
from training.run_state import RunFolder, run_identity
from training.stopping import StopRequest

_NEEDED = {
    "accelerate": "train",
    "tensorboard": "train",
    "sklearn": "evaluate",
    "scipy": "evaluate",
    "cv2": "preprocessing",
}

log = logging.getLogger("training")


@dataclass(frozen=True)
class TrainedCheckpoint:
    """What a run hands over.

    Attributes:
        path: Directory that `deepfake-export --checkpoint` takes.
        figures: Validation figures of the kept weights: epoch, step, auc (0-1), log_loss.
        history: One row per validation.
    """

    path: Path
    figures: dict[str, Any]
    history: list[dict[str, Any]]


def train(
    options: TrainingOptions,
    data: TrainingData | None = None,
    forge: Forger | None = None,
    change_real: RealChange | None = None,
    stop: StopRequest | None = None,
) -> TrainedCheckpoint:
    """Fine-tunes the base and writes a checkpoint.

    Args:
        options: What and how.
        data: What to train on; None: the files in `options.data_dir`.
        forge: Makes a forgery of each real face, with `options.self_blend`.
        change_real: Changes those real faces as a whole now and then.
        stop: Ends the run after the next step when asked.

    Raises:
        OptionError: The options do not fit together, or the base cannot be fine-tuned.
        DatasetError: The data cannot be trained on.
        ResumeError: The run in the output directory is another one.
        StoppedError: `stop` was asked; the state is saved.
        TrainingError: The output cannot be written, or the model diverged.
    """
    _refuse_misfits(options, data, forge)
    stop = stop or StopRequest()
    base = find_base(options.base, options.revision)
    crop_factor = options.crop_factor or base.crop_factor
    from training.model.trainer import FaceTrainer, trainer_arguments

    arguments = trainer_arguments(options)
    folder = RunFolder(options.output)
    if arguments.process_index == 0:
        folder.prepare(options)
    with arguments.main_process_first(desc="reading"):
        data = data or _from_folder(options, base, crop_factor, forge, stop, arguments.process_index == 0)
        validation = data.validate(crop_factor, base.resize)
    identity = run_identity(replace(options, crop_factor=crop_factor), base.sha256, data.digest)
    with arguments.main_process_first(desc="run.json"):
        resume_from = folder.begin(identity, options.resume or arguments.process_index > 0)
    views = TrainingViews(
        data.train,
        ViewParams(crop_factor, base.resize, base.grid if options.patch_loss else 0, options.augment, options.seed),
        forge,
        change_real,
    )
    model = _build_model(options, base, views)
    trainer = FaceTrainer(model, arguments, options, views, validation, stop)
    _run(trainer, resume_from, stop)
    figures = trainer.load_best()
    if trainer.is_world_process_zero():
        facts = _facts(options, base, crop_factor, data, figures)
        _write(folder, model, base, facts)
    trainer.accelerator.wait_for_everyone()
    return TrainedCheckpoint(folder.checkpoint, figures, trainer.history.rows)


def _refuse_misfits(options: TrainingOptions, data: TrainingData | None, forge: Forger | None) -> None:
    missing = {extra for module, extra in _NEEDED.items() if importlib.util.find_spec(module) is None}
    if options.lora and importlib.util.find_spec("peft") is None:
        missing.add("train")
    if missing:
        raise OptionError(f"training needs the extras {', '.join(sorted(missing | {'train'}))} of this package")
    if options.self_blend != (forge is not None):
        raise OptionError("self_blend and a forger belong together: give both or neither")
    if data is None and options.data_dir is None:
        raise OptionError("there is nothing to train on: give data_dir, or data in memory")
    import torch

    on_gpu = torch.cuda.is_available() and not options.cpu
    if options.precision == "fp16" and not on_gpu:
        raise OptionError("fp16 needs a GPU; take bf16 or fp32")


def _from_folder(
    options: TrainingOptions, base: BaseModel, crop_factor: float, forge: Forger | None, stop: StopRequest, main: bool
) -> TrainingData:
    params = CutParams(crop_factor, base.resize, options.frames)
    return load_folder(options, params, forge, stop.check, write_reports=main)


def _build_model(options: TrainingOptions, base: BaseModel, views: TrainingViews) -> Any:
    from transformers import set_seed

    from training.model.trainable import choose_trainable
    from training.model.training_model import TrainingModel

    set_seed(options.seed)
    network = choose_trainable(base.load(), options.lora, options.freeze_layers)
    weights = _class_weights(views)
    return TrainingModel(
        network, base.normalisation, weights, options.patch_loss, base.grid, base.width, options.windows
    )


def _class_weights(views: TrainingViews) -> list[float]:
    """Weights by class index that make both classes count alike."""
    counts = views.class_counts()
    total = sum(counts.values())
    weights = {label: total / (2 * count) for label, count in counts.items() if count}
    if len(weights) < len(Label):
        raise OptionError("there are faces of one class only: give fakes, or self_blend with a forger")
    log.info(
        "an epoch shows %d real and %d fake faces; they weigh %.2f and %.2f in the loss",
        counts[Label.REAL], counts[Label.FAKE], weights[Label.REAL], weights[Label.FAKE],
    )  # fmt: skip
    return [weights[label] for label in sorted(Label, key=CLASS_INDEX.__getitem__)]


def _run(trainer: Any, resume_from: Path | None, stop: StopRequest) -> None:
    stop.check()
    trainer.run(resume_from)
    if stop.signal_number and trainer.state.global_step < trainer.state.max_steps:
        raise StoppedError(
            f"stopped at step {trainer.state.global_step} of {trainer.state.max_steps}; --resume goes on from there",
            stop.signal_number,
        )
    if not trainer.is_evaluated():
        trainer.evaluate()


def _facts(
    options: TrainingOptions, base: BaseModel, crop_factor: float, data: TrainingData, figures: dict[str, Any]
) -> CardFacts:
    revision = f" ({base.located.revision[:12]})" if base.located.revision else ""
    return CardFacts(
        name=options.name or options.output.resolve().name,
        base=base.located.name + revision,
        base_sha256=base.sha256,
        options=replace(options, base=base.located.name),
        crop_factor=crop_factor,
        data={**data.description, "self_blend": options.self_blend},
        data_digest=data.digest,
        figures=figures,
    )


def _write(folder: RunFolder, model: Any, base: BaseModel, facts: CardFacts) -> None:
    from training.model.trainable import without_adapters

    network = without_adapters(model.network).cpu().eval()
    sidecar = Sidecar(
        name=facts.name,
        trained=True,
        notice=facts.options.notice,
        crop_factor=facts.crop_factor,
        model_card=CardFields(name=facts.name, purpose=PURPOSE, limits=LIMITS),
    )
    write_checkpoint(folder.checkpoint, network, base.processor, sidecar, model_card(facts))
    log.info("checkpoint in %s", folder.checkpoint)

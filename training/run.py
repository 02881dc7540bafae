"""One training run, from options and data to a checkpoint directory: `train`."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import set_seed

from deepfake_client.analysis.faces import FaceChoice, FaceRules
from deepfake_client.release import CardFields, Scope
from evaluation.dataset import Label
from export.checkpoint.load import Sidecar
from training.data.faces import CutParams
from training.data.folder import load_folder
from training.data.sets import Forger, RealChange, TrainingData
from training.data.views import CLASS_INDEX, TrainingViews, ViewParams
from training.errors import OptionError, StoppedError
from training.model.base import BaseModel, choose_trainable, find_base, without_adapters
from training.model.checkpoint import LIMITS, PURPOSE, CardFacts, model_card, write_checkpoint
from training.model.trainer import FaceTrainer, trainer_arguments
from training.model.training_model import PatchGrid, TrainingModel, patch_grid
from training.options import TrainingOptions
from training.run_state import RunFolder, StopRequest, run_identity

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
    arguments = trainer_arguments(options)
    first = arguments.process_index == 0
    folder = RunFolder(options.output)
    if first:
        folder.prepare(options)
    with arguments.main_process_first(desc="reading"):
        if data is None:
            rules = FaceRules(FaceChoice(options.faces))
            params = CutParams(crop_factor, base.resize, options.frames, rules, options.face_detection)
            data = load_folder(options, params, forge, stop.check, write_reports=first)
        validation = data.validate(crop_factor, base.resize)
    identity = run_identity(replace(options, crop_factor=crop_factor), base.sha256, data.digest)
    with arguments.main_process_first(desc="run.json"):
        resume_from = folder.begin(identity, options.resume or not first)
    set_seed(options.seed)
    network = choose_trainable(base.load(), options.lora, options.freeze_layers)
    grid = patch_grid(network, base.resize.size_px) if options.patch_loss else PatchGrid(0, 0)
    params_of_views = ViewParams(
        crop_factor, base.resize, grid.side, options.augment, options.seed, options.video_coding
    )
    views = TrainingViews(data.train, params_of_views, forge, change_real)
    model = TrainingModel(network, base.normalisation, _class_weights(views), options.patch_loss, grid.width)
    trainer = FaceTrainer(model, arguments, options, views, validation, stop)
    _run(trainer, resume_from, stop)
    figures = trainer.load_best()
    if trainer.is_world_process_zero():
        _write(folder, model, base, _facts(options, base, crop_factor, data, figures))
    trainer.accelerator.wait_for_everyone()
    return TrainedCheckpoint(folder.checkpoint, figures, trainer.history.rows)


def _refuse_misfits(options: TrainingOptions, data: TrainingData | None, forge: Forger | None) -> None:
    if options.self_blend != (forge is not None):
        raise OptionError("self_blend and a forger belong together: give both or neither")
    if data is None and options.data_dir is None:
        raise OptionError("there is nothing to train on: give data_dir, or data in memory")
    if options.precision == "fp16" and (options.cpu or not torch.cuda.is_available()):
        raise OptionError("fp16 needs a GPU; take bf16 or fp32")


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


def _run(trainer: FaceTrainer, resume_from: Path | None, stop: StopRequest) -> None:
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
        scope=Scope(data.counts.scope if options.scope == "auto" else options.scope),
        data=data.counts,
        data_digest=data.digest,
        figures=figures,
    )


def _write(folder: RunFolder, model: TrainingModel, base: BaseModel, facts: CardFacts) -> None:
    sidecar = Sidecar(
        name=facts.name,
        trained=True,
        notice=facts.options.notice,
        crop_factor=facts.crop_factor,
        scope=facts.scope,
        model_card=CardFields(name=facts.name, purpose=PURPOSE, limits=LIMITS),
    )
    network = without_adapters(model.network).cpu().eval()
    write_checkpoint(folder.checkpoint, network, base.processor, sidecar, model_card(facts))
    log.info("checkpoint in %s", folder.checkpoint)

"""transformers' Trainer with validation over files, averaged weights, complete states, and a stop on request."""

import json
import logging
import os
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from training.data.sets import ValidationSet
from training.data.views import TrainingViews, ValidationViews, collate
from training.model.optimizer import MuonWithAdamW, WeightAverage
from training.model.training_model import TrainingModel, learned_state
from training.model.validation import History, validation_figures
from training.options import TrainingOptions
from training.run_state import COMPLETE_MARK, RunFolder, StopRequest

_AVERAGE_FILE = "average.pt"
_DAY_S = 24 * 3600

log = logging.getLogger("training")


def trainer_arguments(options: TrainingOptions) -> TrainingArguments:
    """Trainer's own arguments; making them starts the process group of a run on several GPUs."""
    folder = RunFolder(options.output)
    # Trainer passes the precision on in the environment, where that of an earlier run of this process would remain.
    os.environ["ACCELERATE_MIXED_PRECISION"] = "no" if options.precision == "fp32" else options.precision
    return TrainingArguments(
        output_dir=str(folder.states),
        logging_dir=str(options.output / "logs"),
        num_train_epochs=options.epochs,
        max_steps=options.max_steps or -1,
        per_device_train_batch_size=options.batch_size,
        per_device_eval_batch_size=2 * options.batch_size,
        gradient_accumulation_steps=options.accumulate,
        learning_rate=options.peak_learning_rate,
        weight_decay=options.weight_decay,
        adam_beta2=0.98,
        max_grad_norm=1.0,
        lr_scheduler_type="cosine",
        warmup_ratio=options.warmup,
        seed=options.seed,
        data_seed=options.seed,
        bf16=options.precision == "bf16",
        fp16=options.precision == "fp16",
        use_cpu=options.cpu,
        dataloader_num_workers=options.workers,
        dataloader_pin_memory=torch.cuda.is_available() and not options.cpu,
        remove_unused_columns=False,
        label_names=["labels"],
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=2,
        logging_steps=10,
        report_to=["tensorboard"],
        disable_tqdm=not sys.stderr.isatty(),
        ddp_find_unused_parameters=False,
        ddp_timeout=_DAY_S,  # the others wait while the first process cuts faces
    )


class FaceTrainer(Trainer):  # type: ignore[misc]
    """Trains a `TrainingModel`; the best weights by validation are kept in the run's folder."""

    def __init__(
        self,
        model: TrainingModel,
        arguments: TrainingArguments,
        options: TrainingOptions,
        train: TrainingViews,
        validation: ValidationSet,
        stop: StopRequest,
    ) -> None:
        """Nothing is read or written yet."""
        self._options, self._folder, self._validation = options, RunFolder(options.output), validation
        self.history = History(options.output / "history.json")
        self.average: WeightAverage | None = None
        self._resumed_from: Path | None = None
        self._evaluated_step = -1
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=train,
            eval_dataset=ValidationViews(validation),
            data_collator=collate,
            compute_metrics=lambda scored: validation_figures(scored.predictions, validation),
            callbacks=[_Steps(self, options, stop)],
        )
        self.remove_callback(PrinterCallback)

    def create_optimizer(self) -> torch.optim.Optimizer:
        """Trainer's AdamW, or Muon where the options say so."""
        if self._options.optimizer == "muon":
            self.optimizer: Any = MuonWithAdamW(
                self.model, self._options.peak_learning_rate, self._options.weight_decay
            )
        return super().create_optimizer()

    def run(self, resume_from: Path | None) -> None:
        """Trains to the end, or until asked to stop."""
        self._resumed_from = resume_from
        if resume_from:
            step = int(resume_from.name.rpartition("-")[2])
            self.history.take_up(step)
            self._evaluated_step = self.history.rows[-1]["step"] if self.history.rows else -1
            log.info("going on from step %d", step)
        self.train(resume_from_checkpoint=str(resume_from) if resume_from else None)

    def start_average(self) -> None:
        """Begins or takes up the moving average, once the model is on its device."""
        if not self._options.ema:
            return
        self.average = WeightAverage(self.model, self._options.ema)
        if self._resumed_from:
            self.average.load(self._resumed_from / _AVERAGE_FILE)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Validates the weights that would be kept, and keeps them if they are the best so far."""
        with self.average.in_place() if self.average else nullcontext():
            metrics: dict[str, float] = super().evaluate(*args, **kwargs)
            self._evaluated_step = self.state.global_step
            if self.is_world_process_zero():
                self._note(metrics)
        self.accelerator.wait_for_everyone()
        patience = self._options.patience
        if patience and self.any_process(self.history.epochs_without_gain >= patience):
            log.info("%d epochs without a better validation: training ends", patience)
            self.control.should_training_stop = True
        return metrics

    def any_process(self, flag: bool) -> bool:
        """Whether it is so in any process; all of them get the same answer."""
        if self.args.world_size == 1:
            return flag
        return bool(self.accelerator.reduce(torch.tensor(float(flag), device=self.args.device), "sum").item())

    def load_best(self) -> dict[str, Any]:
        """Puts the best weights into the model and returns their validation figures."""
        missing = self.model.load_state_dict(load_file(self._folder.best / "weights.safetensors"), strict=False)
        if missing.unexpected_keys:
            raise RuntimeError(f"unknown weights {missing.unexpected_keys[:3]}")
        figures: dict[str, Any] = json.loads((self._folder.best / "figures.json").read_text(encoding="utf-8"))
        return figures

    def is_evaluated(self) -> bool:
        """Whether the last step's weights have been validated."""
        return bool(self._evaluated_step == self.state.global_step)

    def _note(self, metrics: dict[str, float]) -> None:
        figures = {name.removeprefix("eval_"): value for name, value in metrics.items()}
        measured = {name: figures[name] for name in figures if name.startswith(("auc", "log_loss"))}
        losses = [entry for entry in self.state.log_history if "loss" in entry]
        previous = self.history.rows[-1]["step"] if self.history.rows else 0
        recent = [entry["loss"] for entry in losses if entry["step"] > previous]
        row: dict[str, Any] = {
            "epoch": round(self.state.epoch or 0.0, 4),
            "step": self.state.global_step,
            "train_loss": sum(recent) / len(recent) if recent else None,
            **measured,
        }
        best = self._is_best(row)
        if best:
            self._keep(row)
        self.history.add(row, self._options.epochs, best)

    def _is_best(self, row: dict[str, Any]) -> bool:
        rows = [other for other in self.history.rows if other["step"] < row["step"]]
        if self._options.select == "last":
            return True
        if not rows or not (self._folder.best / "figures.json").is_file():
            return True
        if self._options.select == "auc":  # equal AUC, as in small validation sets: the better probabilities
            return all((row["auc"], -row["log_loss"]) > (other["auc"], -other["log_loss"]) for other in rows)
        return all(row["log_loss"] < other["log_loss"] for other in rows)

    def _keep(self, row: dict[str, Any]) -> None:
        scratch = self._folder.states / ".best"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        save_file(learned_state(self.model), scratch / "weights.safetensors")
        (scratch / "figures.json").write_text(json.dumps(row), encoding="utf-8")
        shutil.rmtree(self._folder.best, ignore_errors=True)
        scratch.rename(self._folder.best)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if not self.args.should_save:
            return
        state = self._folder.states / f"checkpoint-{self.state.global_step}"
        if self.average:
            self.average.save(state / _AVERAGE_FILE)
        (state / COMPLETE_MARK).touch()

    def _rotate_checkpoints(self, *_: Any, output_dir: str | None = None, **__: Any) -> None:
        """By number, not by time: some file systems keep no exact times, of which transformers warns."""
        super()._rotate_checkpoints(use_mtime=False, output_dir=output_dir)


class _Steps(TrainerCallback):  # type: ignore[misc]
    """What happens between steps: averaging, saving now and then, stopping when asked."""

    def __init__(self, trainer: FaceTrainer, options: TrainingOptions, stop: StopRequest) -> None:
        self._trainer, self._options, self._stop = trainer, options, stop
        self._stopping = False

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._trainer.start_average()

    def on_step_end(self, _: TrainingArguments, state: TrainerState, control: TrainerControl, **__: Any) -> None:
        if self._trainer.average:
            self._trainer.average.update()
        if self._options.save_steps and state.global_step % self._options.save_steps == 0:
            control.should_save = True
        self._stopping = self._trainer.any_process(bool(self._stop.signal_number))  # all stop after the same step
        if self._stopping:
            control.should_save = control.should_training_stop = True

    def on_epoch_end(self, _: TrainingArguments, __: TrainerState, control: TrainerControl, **___: Any) -> None:
        control.should_log = True
        if self._stopping:  # the state is saved already, and validation may take minutes
            control.should_evaluate = control.should_save = False

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from deepfake_client.release import Scope
from evaluation.dataset import Label
from export.checkpoint.hub import locate_checkpoint
from export.checkpoint.load import load_checkpoint
from preprocessing import ResizeSpec
from tests.export.families import FAMILIES
from tests.training.samples import made_faces, paint_patch, tiny_base
from training.data.faces import serving_view
from training.data.sets import TrainingData, data_in_memory
from training.errors import DatasetError, OptionError, ResumeError, StoppedError, TrainingError
from training.options import TrainingOptions
from training.run import TrainedCheckpoint, train
from training.run_state import StopRequest

TRAIN, VALIDATION = made_faces(16), made_faces(8, first=100)

Run = Callable[..., TrainedCheckpoint]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base") / "tiny-base")


@pytest.fixture
def run(tmp_path: Path, base: Path) -> Run:
    """Self-blended training on made faces for two short epochs, in memory."""

    def start(
        data: TrainingData | None = None, stop: StopRequest | None = None, **changes: object
    ) -> TrainedCheckpoint:
        options = TrainingOptions(
            output=tmp_path / "out",
            base=str(base),
            epochs=2,
            batch_size=4,
            learning_rate=3e-3,
            self_blend=True,
            cpu=True,
        )
        options = replace(options, **changes)
        forge = paint_patch if options.self_blend else None
        return train(options, data or data_in_memory(TRAIN, VALIDATION, forge=paint_patch), forge, stop=stop)

    return start


def weights(trained: TrainedCheckpoint) -> dict[str, torch.Tensor]:
    return load_file(trained.path / "model.safetensors")


def same_weights(one: TrainedCheckpoint, other: TrainedCheckpoint) -> bool:
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, base: Path) -> TrainedCheckpoint:
    """Long enough to learn; with everything switched on."""
    options = TrainingOptions(
        output=tmp_path_factory.mktemp("trained") / "checker-finder", base=str(base), epochs=50, batch_size=8,
        learning_rate=4e-3, self_blend=True, patch_loss=1.0, ema=0.9, crop_factor=1.5, cpu=True, augment=0.3,
    )  # fmt: skip
    return train(options, data_in_memory(TRAIN, VALIDATION, forge=paint_patch), paint_patch)


def test_it_learns_and_the_export_takes_what_comes_out(trained: TrainedCheckpoint) -> None:
    assert trained.figures["auc"] > 0.9
    checkpoint = load_checkpoint(locate_checkpoint(str(trained.path)))
    assert (checkpoint.name, checkpoint.sidecar.trained, checkpoint.sidecar.crop_factor) == (
        "checker-finder",
        True,
        1.5,
    )
    assert checkpoint.sidecar.scope is Scope.FACE
    assert "Scope: faces only" in (trained.path / "README.md").read_text(encoding="utf-8")
    assert checkpoint.head.labels == ("Fake", "Real")
    resize = checkpoint.resize
    real, fake = [], []
    for number, face in enumerate(made_faces(8, first=200)):
        forgery = paint_patch(face, np.random.default_rng(number))
        for pixels, scores in ((face.pixels, real), (forgery.pixels, fake)):
            view = serving_view(pixels, face.box, 1.5, resize)
            inputs = checkpoint.processor(view, return_tensors="pt", do_resize=False)
            with torch.no_grad():
                scores.append(checkpoint.model(**inputs).logits.softmax(-1)[0, 0].item())
    assert np.mean(fake) > np.mean(real) + 0.2


def test_the_kept_weights_have_the_figures_that_are_told(trained: TrainedCheckpoint) -> None:
    """Best of the history; scoring the validation faces with the written checkpoint gives the same log loss."""
    assert trained.figures["auc"] == max(row["auc"] for row in trained.history)
    assert json.loads((trained.path.parent / "history.json").read_text()) == trained.history
    assert trained.history[0]["kept"]
    checkpoint = load_checkpoint(locate_checkpoint(str(trained.path)))
    validation = data_in_memory(TRAIN, VALIDATION, forge=paint_patch).validate(1.5, checkpoint.resize)
    inputs = checkpoint.processor(list(validation.views), return_tensors="pt", do_resize=False)
    with torch.no_grad():
        log_p = checkpoint.model(**inputs).logits.log_softmax(-1)
    is_fake = torch.tensor([label is Label.FAKE for label in validation.labels])
    log_loss = -torch.where(is_fake, log_p[:, 0], log_p[:, 1]).mean().item()
    assert log_loss == pytest.approx(trained.figures["log_loss"], abs=1e-5)


def test_nothing_of_training_is_left_in_the_checkpoint(trained: TrainedCheckpoint, base: Path) -> None:
    assert weights(trained).keys() == load_file(base / "model.safetensors").keys()
    names = {path.name for path in trained.path.iterdir()}
    assert names == {"README.md", "config.json", "deepfake.json", "model.safetensors", "preprocessor_config.json"}
    assert list((trained.path.parent / "logs").glob("events.out.tfevents.*"))
    card = (trained.path / "README.md").read_text(encoding="utf-8")
    for said in ("| real | 16 | 8 |", f"{trained.figures['auc']:.4f}", '"seed": 0', "transformers 4", "## Limits"):
        assert said in card


def test_the_same_seed_gives_the_same_weights(run: Run, tmp_path: Path) -> None:
    one = run(output=tmp_path / "one")
    again = run(output=tmp_path / "again")
    other = run(output=tmp_path / "other", seed=1)
    assert same_weights(one, again)
    assert not same_weights(one, other)


def test_workers_change_nothing(run: Run, tmp_path: Path) -> None:
    assert same_weights(run(output=tmp_path / "none", epochs=1), run(output=tmp_path / "two", epochs=1, workers=2))


def test_lora_is_merged_and_leaves_the_rest(run: Run, base: Path) -> None:
    trained = run(lora=2, freeze_layers=1)
    before, after = load_file(base / "model.safetensors"), weights(trained)
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(".layers.1." in name or name.startswith("classifier") for name in changed)
    assert any("q_proj.weight" in name for name in changed)
    assert any("mlp.fc1.weight" in name for name in changed)
    assert "lora" not in "".join(path.read_text(errors="ignore") for path in trained.path.glob("*.json"))
    load_checkpoint(locate_checkpoint(str(trained.path)))


@pytest.mark.parametrize("name", ["DeiT, with its teacher's head", "ResNet"])
def test_a_base_of_another_family_is_trained_by_adapters(run: Run, tmp_path: Path, name: str) -> None:
    family = next(one for one in FAMILIES if one.name == name)
    path = family.save(tmp_path / "family")
    trained = run(base=str(path), lora=2, epochs=1)
    before, after = load_file(path / "model.safetensors"), weights(trained)
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[key], after[key]) for key in before if key.endswith("weight"))
    load_checkpoint(locate_checkpoint(str(trained.path)))


def test_a_convolutional_base_is_trained_with_a_patch_loss_and_keeps_its_statistics(run: Run, tmp_path: Path) -> None:
    path = next(one for one in FAMILIES if one.name == "ResNet").save(tmp_path / "family")
    before, after = load_file(path / "model.safetensors"), weights(run(base=str(path), patch_loss=1.0, epochs=1))
    statistics = [name for name in before if "running" in name]
    assert statistics
    assert all(torch.equal(before[name], after[name]) for name in statistics)
    assert any(not torch.equal(before[name], after[name]) for name in before if "convolution.weight" in name)


def test_frozen_layers_stay(run: Run, base: Path) -> None:
    before, after = load_file(base / "model.safetensors"), weights(run(freeze_layers=1))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(".layers.1." in name for name in changed)
    assert not any(".layers.0." in name or "embeddings" in name for name in changed)


def test_another_meaning_of_labels_gets_a_new_head(
    run: Run, tmp_path: Path, base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    swapped = tiny_base(tmp_path / "swapped", ("Real", "Fake"))
    three = tiny_base(tmp_path / "three", ("cat", "dog", "bird"))
    with caplog.at_level(logging.INFO, "training"):
        first = run(base=str(swapped), output=tmp_path / "1", learning_rate=1e-9, epochs=1)
        run(base=str(three), output=tmp_path / "2", epochs=1)
    assert caplog.text.count("it gets a new one") == 2
    kept = run(output=tmp_path / "3", learning_rate=1e-9, epochs=1)
    head = load_file(base / "model.safetensors")["classifier.weight"]
    assert torch.allclose(weights(kept)["classifier.weight"], head, atol=1e-6)
    assert not torch.allclose(weights(first)["classifier.weight"], head, atol=1e-3)


def test_a_second_stage_starts_from_the_first(run: Run, tmp_path: Path) -> None:
    first = run(output=tmp_path / "stage1", crop_factor=1.6, epochs=1)
    second = run(output=tmp_path / "stage2", base=str(first.path), learning_rate=1e-9, epochs=1)
    assert second.figures["log_loss"] == pytest.approx(first.figures["log_loss"], abs=1e-4)
    assert json.loads((second.path / "deepfake.json").read_text())["crop_factor"] == 1.6


def test_rare_classes_weigh_more(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    fakes = [replace(face, pixels=paint_patch(face, np.random.default_rng(0)).pixels) for face in TRAIN[:4]]
    data = data_in_memory(TRAIN[4:], VALIDATION[:4], fakes, VALIDATION[4:])
    with caplog.at_level(logging.INFO, "training"):
        run(data, self_blend=False, epochs=1)
    assert "12 real and 4 fake faces; they weigh 0.67 and 2.00" in caplog.text


def test_bf16_trains_on_a_cpu(run: Run, tmp_path: Path) -> None:
    low, full = run(precision="bf16", output=tmp_path / "low"), run(output=tmp_path / "full")
    assert weights(low)["classifier.weight"].dtype == torch.float32
    assert low.figures["log_loss"] == pytest.approx(full.figures["log_loss"], abs=0.05)
    assert low.figures["log_loss"] != full.figures["log_loss"]


def test_the_average_is_what_is_kept(run: Run, tmp_path: Path) -> None:
    plain, averaged = run(output=tmp_path / "plain", epochs=1), run(output=tmp_path / "averaged", epochs=1, ema=0.99)
    state = load_file(next((tmp_path / "averaged" / "runs").glob("checkpoint-*")) / "model.safetensors")
    last = {name.removeprefix("network."): value for name, value in state.items()}
    assert torch.equal(last["classifier.weight"], weights(plain)["classifier.weight"])
    assert not torch.equal(weights(averaged)["classifier.weight"], last["classifier.weight"])


def test_a_stopped_run_goes_on_to_the_same_weights(run: Run, tmp_path: Path) -> None:
    """Stopped in the middle of an epoch, with averaged weights."""
    whole = run(output=tmp_path / "whole", ema=0.9)
    stop = StopRequest()
    calls = 0

    def forge_until(face: object, rng: np.random.Generator) -> object:
        nonlocal calls
        calls += 1
        if calls == 22:  # of 16 in an epoch
            stop.ask()
        return paint_patch(face, rng)  # type: ignore[arg-type]

    options = TrainingOptions(
        output=tmp_path / "out",
        base=whole_base(run),
        epochs=2,
        batch_size=4,
        learning_rate=3e-3,
        self_blend=True,
        cpu=True,
        ema=0.9,
    )
    data = data_in_memory(TRAIN, VALIDATION, forge=paint_patch)
    with pytest.raises(StoppedError, match=r"stopped at step [56] of 8; --resume") as stopped:
        train(options, data, forge_until, stop=stop)  # type: ignore[arg-type]
    assert stopped.value.signal_number == 15
    assert not (tmp_path / "out" / "checkpoint").exists()
    resumed = run(resume=True, ema=0.9)
    assert same_weights(whole, resumed)
    assert [row["step"] for row in resumed.history] == [4, 8]
    assert [row["auc"] for row in resumed.history] == [row["auc"] for row in whole.history]


def whole_base(run: Run) -> str:
    return str(run.__closure__[0].cell_contents)  # type: ignore[attr-defined]


def test_resuming_needs_the_same_run(run: Run, tmp_path: Path) -> None:
    done = run(epochs=1)
    with pytest.raises(ResumeError, match=r"epochs \(1 then, 2 now\)"):
        run(resume=True)
    with pytest.raises(ResumeError, match="another data"):
        run(data_in_memory(TRAIN[1:], VALIDATION, forge=paint_patch), resume=True, epochs=1)
    with pytest.raises(OptionError, match=r"--resume.*--overwrite"):
        run(epochs=1)
    again = run(resume=True, epochs=1, workers=1)  # a finished run is finished
    assert again.figures == done.figures
    replaced = run(overwrite=True)
    assert [row["step"] for row in replaced.history] == [4, 8]


def test_a_run_that_diverges_says_so(run: Run) -> None:
    with pytest.raises(TrainingError, match="not finite"):
        run(learning_rate=1e20, epochs=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs is 0; it may be at least 1"),
        ({"precision": "fp8"}, "one of fp32, bf16, fp16"),
        ({"precision": "fp16"}, "fp16 needs a GPU"),
        ({"patch_loss": 1.0, "self_blend": False}, "self_blend"),
        ({"freeze_layers": 3}, "the base has 2 layers"),
        ({"lora": 2, "freeze_layers": 2}, "lora finds no layers"),
        ({"base": "no/such/place"}, "--base: no/such/place: no such directory"),
    ],
)
def test_options_that_do_not_fit_are_refused(run: Run, changes: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        run(**changes)


def test_data_that_does_not_fit_is_refused() -> None:
    with pytest.raises(DatasetError, match="2 people are on both sides"):
        data_in_memory(TRAIN, TRAIN[:2], forge=paint_patch)
    with pytest.raises(DatasetError, match="real faces and a forger"):
        data_in_memory(TRAIN, VALIDATION)


def test_video_frames_are_averaged_and_kinds_told_apart() -> None:
    from training.data.sets import ValidationSet
    from training.model.validation import validation_figures

    pixels = np.zeros((4, 4, 3), np.uint8)
    labels = [Label.REAL, Label.REAL, Label.FAKE, Label.FAKE, Label.FAKE]
    data = ValidationSet([pixels] * 5, labels, ["r", "r", "a", "b", "b"], ["", "", "one", "two", "two"])
    p_fake = np.array([0.8, 0.2, 0.6, 0.1, 0.3])
    figures = validation_figures(np.log(np.stack([p_fake, 1 - p_fake], axis=1)).astype(np.float32), data)
    assert (figures["auc"], figures["auc_one"], figures["auc_two"]) == (0.5, 1.0, 0.0)
    assert figures["log_loss"] == pytest.approx(-np.log([0.5, 0.6, 0.2]).mean(), abs=1e-6)


@pytest.mark.parametrize(("family", "size_px", "side"), [("tokens", 48, 3), ("ResNet", 64, 8)])
def test_the_patch_head_learns_where_the_forgery_is(
    base: Path, tmp_path: Path, family: str, size_px: int, side: int
) -> None:
    """Its loss falls, and it counts only rows whose masks are known."""
    from training.data.sets import FaceSet
    from training.data.views import TrainingViews, ViewParams, collate
    from training.model.base import find_base
    from training.model.training_model import TrainingModel, patch_grid

    of_family = [one for one in FAMILIES if one.name == family]
    found = find_base(str(of_family[0].save(tmp_path / "family") if of_family else base))
    torch.manual_seed(0)
    network = found.load()
    grid = patch_grid(network, size_px)
    assert grid.side == side
    model = TrainingModel(network, found.normalisation, [1.0, 1.0], 1.0, grid.width).train()
    params = ViewParams(1.3, ResizeSpec(size_px), grid.side, 0.0, 0)
    views = TrainingViews(FaceSet(TRAIN, [Label.REAL] * 16), params, paint_patch)
    batch = collate([views[index] for index in range(16)])

    def patch_loss(patches: torch.Tensor | None) -> float:
        with torch.no_grad():
            whole = model(batch["pixels"], batch["labels"], patches)
            plain = torch.nn.functional.cross_entropy(whole["logits"], batch["labels"])
        return (whole["loss"] - plain).item()

    before = patch_loss(batch["patches"])
    half = batch["patches"].clone()
    half[1::2] = float("nan")
    assert patch_loss(half) == pytest.approx(patch_loss(batch["patches"][0::2].repeat_interleave(2, 0)), rel=0.5)
    assert patch_loss(torch.full_like(half, float("nan"))) == pytest.approx(0, abs=1e-6)
    assert patch_loss(None) == pytest.approx(0, abs=1e-6)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        model(batch["pixels"], batch["labels"], batch["patches"])["loss"].backward()
        optimizer.step()
    assert patch_loss(batch["patches"]) < 0.5 * before


def test_training_ends_where_validation_gets_no_better(run: Run) -> None:
    """A learning rate that is far too high; the best epoch's weights are kept as ever."""
    trained = run(epochs=20, learning_rate=0.3, patience=2, select="log-loss")
    kept = [row["kept"] for row in trained.history]
    assert kept[-3:] == [True, False, False]
    assert len(kept) < 20
    assert (False, False) not in pairwise(kept[:-1])
    assert trained.figures["log_loss"] == min(row["log_loss"] for row in trained.history)
    with pytest.raises(OptionError, match="patience"):
        run(patience=2, select="last")

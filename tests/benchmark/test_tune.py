"""The search over scripted machines with a known best, and the command over a real Triton."""

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from benchmark.cli import app
from benchmark.tune_release import configuration_of, planned_release
from benchmark.tune_search import (
    MIN_GAIN,
    Configuration,
    Figures,
    Measure,
    Outcome,
    Trial,
    TrialError,
    axes_for,
    search,
)
from export.checkpoint.hub import locate_checkpoint
from export.plan_file import PlanFile
from export.release import Release, file_digests, verify_files
from export.run import export_checkpoint
from export.settings import ExportSettings

DEFAULT = Configuration(4, 1, 0, 8, 0, 8)
BEST = replace(DEFAULT, preprocess_instances=2, chunk_frames=15, queue_delay_us=500)
GAINS = {"preprocess_instances": 1.15, "chunk_frames": 1.10, "queue_delay_us": 1.06}


def figures(speed: float) -> Figures:
    return Figures(100 * speed, 0.3 / speed, 80 * speed, 0.08 / speed, 0.12 / speed)


def speed_of(configuration: Configuration) -> float:
    """Each field of the best that a configuration has makes it faster."""
    speed = 1.0
    for name, gain in GAINS.items():
        if getattr(configuration, name) == getattr(BEST, name):
            speed *= gain
    return speed


def machine(speed: Callable[[Configuration], float], noise: float, drift: float = 0.0, seed: int = 0) -> Measure:
    """Measures with relative noise, on a machine that grows slower with every measurement."""
    generator = random.Random(seed)
    calls = 0

    def measure(configuration: Configuration) -> Figures:
        nonlocal calls
        calls += 1
        return figures(speed(configuration) * generator.gauss(1, noise) * (1 - drift) ** calls)

    return measure


def run(measure: Measure, most: int = 100, rounds: int = 3) -> Outcome:
    return search(DEFAULT, axes_for(4, 8), measure, rounds, most, lambda _line: None)


def test_the_best_is_found_without_noise() -> None:
    outcome = run(machine(speed_of, noise=0))
    assert outcome.winner == BEST
    assert outcome.final is not None
    assert outcome.final.gain == pytest.approx(1.15 * 1.10 * 1.06 - 1)
    assert "preprocess_instances 2" in outcome.reason()
    assert len({trial.candidate for trial in outcome.trials}) == len(outcome.trials)  # none is measured again


@pytest.mark.parametrize("seed", range(10))
def test_noise_and_a_machine_that_grows_slower_hide_no_large_gain(seed: int) -> None:
    outcome = run(machine(speed_of, noise=0.01, drift=0.01, seed=seed))
    assert outcome.winner.preprocess_instances == BEST.preprocess_instances
    assert outcome.winner.chunk_frames == BEST.chunk_frames
    assert speed_of(outcome.winner) >= 1.15 * 1.10


def test_the_default_wins_ties_and_noise() -> None:
    assert run(machine(lambda _: 1.0, noise=0)).winner == DEFAULT
    assert "the default stays: none of" in run(machine(lambda _: 1.0, noise=0)).reason()
    lucky = [run(machine(lambda _: 1.0, noise=0.03, seed=seed)).winner for seed in range(50)]
    assert sum(winner != DEFAULT for winner in lucky) <= 5


def test_a_gain_within_the_spread_is_not_taken() -> None:
    assert not Trial(BEST, DEFAULT, ratios=(1 + 0.9 * MIN_GAIN,) * 3).won
    assert Trial(BEST, DEFAULT, ratios=(1.03, 1.04, 1.03)).won
    assert not Trial(BEST, DEFAULT, ratios=(0.99, 1.04, 1.12)).won


def test_both_sides_are_measured_in_turn() -> None:
    order: list[str] = []

    def measure(configuration: Configuration) -> Figures:
        order.append("best" if configuration == DEFAULT else "candidate")
        return figures(1.0)

    search(DEFAULT, {"one": [{"chunk_frames": 4}]}, measure, 3, 10, lambda _line: None)
    assert order == ["best", "candidate", "candidate", "best", "best", "candidate"]


def test_no_more_is_tried_than_allowed() -> None:
    assert len(run(machine(speed_of, noise=0), most=4).trials) == 3
    assert run(machine(speed_of, noise=0), most=1).winner == DEFAULT


def test_a_candidate_that_does_not_start_is_left_and_named() -> None:
    def measure(configuration: Configuration) -> Figures:
        if configuration.preprocess_instances == 2:
            raise TrialError("Triton ended with code 1")
        return figures(speed_of(configuration))

    outcome = run(measure)
    assert outcome.winner == replace(BEST, preprocess_instances=4)
    assert any("failed: Triton ended with code 1" in trial.verdict() for trial in outcome.trials)


def test_a_default_that_does_not_start_ends_the_search() -> None:
    def measure(configuration: Configuration) -> Figures:
        raise TrialError("no")

    with pytest.raises(TrialError):
        run(measure)


def test_axes_keep_to_cores_and_memory() -> None:
    two = axes_for(2, 8)
    assert [value["preprocess_instances"] for value in two["preprocess"]] == [1, 2, 3]
    assert all(value["classifier_instances"] == 1 for value in two["classifier"])
    assert {"classifier_instances": 2, "cores_per_instance": 0} in axes_for(8, 8)["classifier"]
    assert [value["preprocess_instances"] for value in axes_for(64, 40)["preprocess"]] == [1, 32]
    assert axes_for(1, 0)["preprocess"] == [{"preprocess_instances": 1}]


def test_what_is_measured_is_what_an_export_with_the_plan_gives(
    tiny_checkpoint: Path, tiny_release: Release, tmp_path: Path
) -> None:
    before = file_digests(tiny_release.path)
    configuration = Configuration(3, 2, 1, 16, 500, 8)
    planned = planned_release(tiny_release, configuration, tmp_path / "planned")
    verify_files(planned)
    assert configuration_of(planned, chunk_frames=8) == configuration
    assert file_digests(tiny_release.path) == before
    settings = ExportSettings(tmp_path / "releases", parity_images=8)
    plan = PlanFile(**asdict(configuration))
    exported = export_checkpoint(locate_checkpoint(str(tiny_checkpoint)), plan.applied_to(settings))
    assert exported.release_id == planned.release_id


def test_the_command_measures_a_real_triton_and_writes_a_plan(
    tiny_checkpoint: Path, tiny_release: Release, tmp_path: Path
) -> None:
    output = tmp_path / "plan.json"
    # So that the export finds its release.
    shutil.copytree(tiny_release.path.parent, tmp_path / "folder" / "releases" / "fp32", symlinks=True)
    done = CliRunner().invoke(
        app,
        [
            "tune", "--checkpoint", str(tiny_checkpoint), "--precision", "fp32", "--seconds", "0.1", "--rounds", "1",
            "--max-configurations", "5", "--output", str(output), "--folder", str(tmp_path / "folder"),
        ],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "make serve SERVING_PLAN=" in done.output
    plan = PlanFile.load(output)
    assert plan.measured is not None
    assert plan.measured.precision == "fp32"
    assert plan.measured.figures["default_video_images_per_s"] > 1
    results = json.loads((tmp_path / "plan.results.json").read_text())
    assert {name: value for name, value in plan.model_dump().items() if name != "measured"} == results["winner"]
    assert len(results["trials"]) == 4  # three that share the default's server, and one with its own
    assert all(trial["ratios"] for trial in results["trials"])
    assert list((tmp_path / "folder").glob("tune-*")) == []
    assert not [one for one in psutil.process_iter() if str(tmp_path) in " ".join(_command(one))]


def test_a_checkpoint_that_cannot_be_exported_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = CliRunner().invoke(app, ["tune", "--checkpoint", str(tmp_path / "empty"), "--folder", str(tmp_path / "f")])
    assert done.exit_code == 1
    assert "deepfake-export ended with code 1" in done.output


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []
